"""Bytes to values and back, as our own protocols define them."""
