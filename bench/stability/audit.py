"""Look at everything that a reader of Deribit's channels was given, and find what is missing unsaid.

Theory of operation
===================
Deribit numbers what it sends: trades by instrument (``trade_seq``), changes of a book by the change before
(``prev_change_id``). A number that does not follow is a *gap*. It is *said* when it lies between an
:class:`Interrupted` and a :class:`Restored` notice, that is, when an Interrupted stands between the two
messages, and *unsaid* otherwise. On the first message of a channel after a Restored it may come to light,
for the channel was quiet until then. A book whose adapter said that it is invalid may begin anew, too.

What comes twice, or goes back, is never right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from feedmux.client.deribit_adapter import BookInvalid
from feedmux.client.events import Dropped, Interrupted, Restored

_KEPT = 20


class Audit:
    """Takes what a reader was given, in order."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._may_jump: set[str] = set()
        self.is_interrupted = False
        """Whether an Interrupted was given and no Restored yet."""
        self.messages: Counter[str] = Counter()
        """By channel, how many came."""
        self.interruptions = self.restorations = self.said = self.repeated = self.dropped = 0
        self.trades_missed = 0
        """Of those whose loss was said."""
        self.unsaid: list[str] = []
        """What was missing without a word: the first ones of them."""
        self.unsaid_count = 0

    def take(self, item: object) -> None:
        """Take the next message or notice."""
        match item:
            case Interrupted():
                self.interruptions += 1
                self.is_interrupted = True
            case Restored():
                self.restorations += 1
                self.is_interrupted = False
                self._may_jump |= self._last.keys()
            case BookInvalid():
                self._may_jump.add(item.channel)
            case Dropped():
                self.dropped += item.count
            case {"params": {"channel": str(channel), "data": data}}:
                self._take_data(channel, data)
            case {"topic": str(topic)}:  # Bybit, which numbers nothing
                self.messages[topic] += 1

    def _take_data(self, channel: str, data: Any) -> None:
        self.messages[channel] += 1
        for before, number in _numbers(channel, data):
            self._compare(channel, before, number)
        if not self.is_interrupted:
            self._may_jump.discard(channel)

    def _compare(self, channel: str, before: int | None, number: int) -> None:
        last = self._last.get(channel)
        self._last[channel] = number
        if last is None or last == before:
            return
        if number < last or (number == last and before is not None):
            self.repeated += 1
        elif self.is_interrupted or channel in self._may_jump:
            self.said += 1
            self.trades_missed += number - 1 - last if channel.startswith("trades.") else 0
        else:
            self.unsaid_count += 1
            if len(self.unsaid) < _KEPT:
                self.unsaid.append(f"{channel}: {number} after {last}")

    def figures(self) -> dict[str, object]:
        """What there is to store."""
        return {
            "messages": self.messages.total(),
            "interruptions": self.interruptions,
            "restorations": self.restorations,
            "gaps_said": self.said,
            "trades_missed": self.trades_missed,
            "gaps_unsaid": self.unsaid,
        }


def _numbers(channel: str, data: Any) -> Iterator[tuple[int | None, int]]:
    """The numbers in a message: which one has to come before (None: a snapshot, any), and which it is."""
    if channel.startswith("trades."):
        for trade in data:
            number = int(trade["trade_seq"])
            yield number - 1, number
    elif channel.startswith("book.") and isinstance(data, Mapping):
        before = data.get("prev_change_id")
        yield None if before is None else int(before), int(data["change_id"])
