"""Recompute by another way than the build."""
