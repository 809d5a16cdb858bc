"""Readers of the simulated Deribit's channels without sockets, and a clock that is set by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from feedmux.sim.deribit_auth import Grant
from feedmux.sim.deribit_floor import DeribitFloor, Key
from feedmux.sim.deribit_heartbeat import Heartbeat

Level = dict[float, float]


class ManualClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def time_ns(self) -> int:
        return 1_790_757_082_000_000_000 + int(self.seconds * 1e9)


def payload(frame: bytes) -> dict[str, Any]:
    """What a frame of the server says."""
    header = 2 if frame[1] < 126 else 4 if frame[1] == 126 else 10
    message = json.loads(frame[header:])
    assert isinstance(message, dict)
    return message


class Reader:
    """A connection that keeps what it was sent."""

    def __init__(self, floor: DeribitFloor, ident: int = 1) -> None:
        self.ident = ident
        self.floor = floor
        self.channels: dict[str, Key] = {}
        self.messages: list[dict[str, Any]] = []
        self.grant: Grant | None = None
        self.cancels_on_disconnect: bool | None = None
        self.heartbeat = Heartbeat(10.0)
        self.closed: tuple[int, str] | None = None
        self.logged_out = False
        floor.members.add(self)

    def queue(self, frames: Iterable[bytes]) -> None:
        self.messages += map(payload, frames)

    def write(self, frames: Iterable[bytes]) -> None:
        self.queue(frames)

    def flush(self) -> None:
        """Frames are taken when they are queued."""

    def sweep(self, now: float) -> None:
        """Nobody is cut here."""

    def may_read(self, account: str) -> bool:
        grant = self.grant
        return (
            grant is not None
            and grant.account == account
            and self.floor.tokens.is_good(grant, self.floor.now())
        )

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason

    def log_out(self) -> None:
        self.logged_out = True

    def join(self, name: str, account: str = "") -> None:
        """Subscribe."""
        channel = self.floor.catalog.find(name)
        assert channel is not None, name
        self.channels[name] = (account, name)
        self.floor.join(self, [(channel, account)])

    def leave(self, name: str) -> None:
        """Unsubscribe."""
        self.floor.leave_channels(self, [self.channels.pop(name)])

    def said(self, name: str) -> list[Any]:
        """What a channel said."""
        return [m["params"]["data"] for m in self.messages if m["params"]["channel"] == name]


class BookKeeper(Reader):
    """A reader that keeps books, by the venue's rule: a chain of changes after a snapshot."""

    def __init__(self, floor: DeribitFloor, ident: int = 1) -> None:
        super().__init__(floor, ident)
        self.books: dict[str, dict[str, Level]] = {}
        self.chain: dict[str, int] = {}
        self.breaks = 0
        self.snapshots: dict[str, int] = {}

    def queue(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            message = payload(frame)
            self.messages.append(message)
            name, data = message["params"]["channel"], message["params"]["data"]
            if name.startswith("book.") and ".none." not in name:
                self._take(name, data)

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if data["type"] == "snapshot":
            assert "prev_change_id" not in data
            self.books[name] = {"bids": {}, "asks": {}}
            self.snapshots[name] = self.snapshots.get(name, 0) + 1
        elif data["prev_change_id"] != self.chain[name]:
            self.breaks += 1
        else:
            assert data["change_id"] > data["prev_change_id"]
            assert data["bids"] or data["asks"]
        self.chain[name] = data["change_id"]
        for side in ("bids", "asks"):
            levels = self.books[name][side]
            prices = [price for _, price, _ in data[side]]
            assert prices == sorted(prices, reverse=side == "bids")
            for action, price, amount in data[side]:
                assert (price in levels) == (action != "new"), "the action says what was there"
                assert (amount == 0) == (action == "delete")
                if action == "delete":
                    del levels[price]
                else:
                    levels[price] = amount


def truth(floor: DeribitFloor, instrument: str) -> dict[str, Level]:
    """The venue's own book."""
    book = floor.exchange.markets[instrument].book
    return {side: {float(p): float(a) for p, a in book.depth(side)} for side in ("bids", "asks")}
