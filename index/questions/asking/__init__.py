"""What every question is asked with: its parameters, the part of a vocabulary it keeps to, named sets and vectors."""
