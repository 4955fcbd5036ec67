"""`shares` and its parts."""
