"""The only writer of bundles."""
