"""Arrays only: density, overlap, connected groups, random pairs."""
