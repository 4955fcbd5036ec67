"""The series that pictures draw."""
