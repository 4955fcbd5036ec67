"""`overlap` and its parts."""
