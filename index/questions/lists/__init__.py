"""Neighbor lists as records: what is in them, what is marked in them, how far two agree."""
