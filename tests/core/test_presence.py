from __future__ import annotations

import pytest

from feedmux.core.presence import Presence, Share, read, short
from feedmux.model.errors import MalformedMessage
from feedmux.model.topic import Topic

NODE = Presence(
    name="node-a",
    life=1_700_000_000_000_000_000,
    address="127.0.0.1:8000",
    version="1.0",
    clients=3,
    has_rival=False,
    markets={"bybit.linear": Share(holds=True, wanted=1, topics=("ticker:BTCUSDT",), lag_s=0.001)},
)


def test_what_was_written_is_read() -> None:
    assert read(NODE.encode()) == NODE


@pytest.mark.parametrize(
    "text", [b"", b"{", b"{}", b"[]", b"\xff", b"[" * 100_000, NODE.encode()[:-1], b'{"name": 5}'], ids=repr
)
def test_what_no_node_wrote_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedMessage, match="presence"):
        read(text)


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        (Topic("public", "bybit", "linear", "ticker", "BTCUSDT"), "ticker:BTCUSDT"),
        (Topic("public", "bybit", "linear", "kline", "BTCUSDT", "1"), "kline:BTCUSDT:1"),
        (Topic("public", "deribit", "", "ticker", "A:B"), "ticker:A%3AB"),
    ],
)
def test_a_topic_is_named_without_its_market(topic: Topic, text: str) -> None:
    assert short(topic) == text
