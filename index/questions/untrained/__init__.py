"""`untrained` and its parts."""
