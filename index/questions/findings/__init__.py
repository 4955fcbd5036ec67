"""`findings` and its parts."""
