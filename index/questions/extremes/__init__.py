"""`extremes` and its parts."""
