"""`concept` and its parts."""
