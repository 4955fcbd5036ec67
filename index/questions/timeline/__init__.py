"""`timeline` and its parts."""
