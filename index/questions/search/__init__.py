"""`search` and its parts."""
