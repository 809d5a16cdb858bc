"""Whole systems: real processes, one core for the server, one for venue and load."""
