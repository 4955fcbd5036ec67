"""`evaluate` and its parts."""
