"""`enrich` and its parts."""
