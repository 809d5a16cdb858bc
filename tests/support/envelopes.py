"""Envelopes for tests."""

from __future__ import annotations

from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import PUBLIC, Topic

TICKER = Topic(PUBLIC, "bybit", "linear", "ticker", "BTCUSDT")
TRADES = Topic(PUBLIC, "bybit", "linear", "trade", "BTCUSDT")


def update(topic: Topic, seq: int, payload: bytes = b"{}", epoch: int = 1) -> Envelope:
    """The update of ``topic`` that consumed ``seq``."""
    return Envelope(topic, epoch, seq, EventKind.UPDATE, 0, 0, "", payload)
