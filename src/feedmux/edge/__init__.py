"""Outbound: sockets, HTTP, sessions."""
