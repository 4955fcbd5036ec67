"""The two sides of the bundle's format: stored arrays checked as they are read, and the writer."""
