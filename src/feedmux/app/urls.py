"""Tell a URL from a path."""

from __future__ import annotations


def is_url(place: str) -> bool:
    """Whether something has to be fetched from there; else it is a path."""
    return "://" in place
