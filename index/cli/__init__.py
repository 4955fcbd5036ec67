"""A question's signature becomes a command, its answer a form and an exit code. Names no question."""
