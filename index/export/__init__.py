"""One format, one function."""
