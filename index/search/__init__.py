"""float32 points in, rows out: the exact graph and the finder. No file, no token."""
