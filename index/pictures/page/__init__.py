"""One HTML file that needs no network."""
