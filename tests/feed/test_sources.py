from __future__ import annotations

from feedmux.feed.sources import Sources
from feedmux.model.topic import PUBLIC, Topic

LINEAR = Topic(PUBLIC, "bybit", "linear", "ticker", "A")
SPOT = Topic(PUBLIC, "bybit", "spot", "ticker", "A")


class Book:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        self.asked.append(("want", topic, holder, asker))

    def drop(self, topic: Topic, holder: str) -> None:
        self.asked.append(("drop", topic, holder))

    def forget(self, holder: str) -> None:
        self.asked.append(("forget", holder))


def test_each_topic_goes_to_the_source_of_its_market() -> None:
    linear, spot = Book(), Book()
    sources = Sources({("bybit", "linear"): linear, ("bybit", "spot"): spot})
    sources.want(LINEAR, "h", 7)
    sources.drop(SPOT, "h")
    sources.forget("h")
    assert linear.asked == [("want", LINEAR, "h", 7), ("forget", "h")]
    assert spot.asked == [("drop", SPOT, "h"), ("forget", "h")]
