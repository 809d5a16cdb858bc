"""Pure: who holds which topic, and its last value."""
