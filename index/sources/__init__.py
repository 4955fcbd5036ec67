"""Where strangers' bytes end: what leaves is believed."""
