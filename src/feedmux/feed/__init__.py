"""Inbound: sources become envelopes."""
