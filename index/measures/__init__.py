"""Arrays only: density, overlap, connected groups."""
