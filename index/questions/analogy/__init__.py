"""`analogy` and its parts."""
