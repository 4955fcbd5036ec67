"""The commands of `query.py`: each loads, asks once, and prints."""
