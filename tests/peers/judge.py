"""What a careful client expects of a gateway's messages, by docs/protocol.md. ``judge.js`` says the same."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from peers.venue import EPOCH_MS

Message = dict[str, Any]
MINUTE_MS = 60_000


class Stream:
    """What was seen of one stream."""

    def __init__(self, name: str) -> None:
        self.kind = name.split(".")[2]
        self.epoch = self.seq = self.timestamp = self.closed_at = 0
        self.offset: int | None = None
        self.may_miss = False
        """It was given back and taken again: what came meanwhile is not owed."""

    def take(self, message: Message) -> str:
        """Check one message; a word for what it was."""
        kind = message["type"]
        assert kind != "status", f"all streams are live: {message}"
        if kind == "gap":
            return self._gap(message)
        self._place(message, is_snapshot=kind == "snapshot")
        is_jump = self.offset is not None and message["seq"] > self.seq + 1
        if is_jump and self.kind == "trade":
            self._miss(f"after {self.seq}: {message}")
        self._number(message["data"], message["seq"])
        self.seq, self.timestamp = message["seq"], message["timestamp"]
        return f"{self.kind} {kind}s{' after a jump' if is_jump else ''}"

    def _place(self, message: Message, *, is_snapshot: bool) -> None:
        seq = message["seq"]
        if self.offset is None and self.kind == "ticker":
            assert is_snapshot, f"a snapshot comes first: {message}"
        self.epoch = self.epoch or message.get("epoch", 0)
        assert message.get("epoch", self.epoch) == self.epoch, f"there is one epoch, {self.epoch}: {message}"
        assert seq > self.seq or (is_snapshot and seq == self.seq), f"after {self.seq}: {message}"
        assert message["timestamp"] >= self.timestamp, f"older than the one before: {message}"

    def _gap(self, message: Message) -> str:
        hole = message["data"]
        assert self.kind != "ticker", f"tickers have no gaps: {message}"
        assert hole["reason"] == "slow", message
        assert self.seq < hole["from"] <= hole["to"], f"after {self.seq}: {message}"
        if hole["from"] > self.seq + 1 and self.kind == "trade":
            self._miss(f"after {self.seq}: {message}")
        self.seq, self.closed_at = hole["to"], 0
        return "gaps"

    def _miss(self, what: str) -> None:
        assert self.may_miss, what
        self.may_miss = False

    def _number(self, data: Any, seq: int) -> None:
        """The venue's own number must be as far from ours as ever."""
        if self.kind == "trade":
            number = _number_of_trades(data)
        elif self.kind == "kline":
            number = int(data["close"])
            self._candle(data)
        else:
            number = int(data["price"])
        if self.offset is None:
            self.offset = number - seq
        assert number - seq == self.offset, f"number {number} has seq {seq}, not {number - self.offset}"

    def _candle(self, data: Message) -> None:
        if data["confirmed"]:
            before, self.closed_at = self.closed_at, data["openTime"]
            if before not in {0, self.closed_at, self.closed_at - MINUTE_MS}:
                self._miss(f"a closed candle is missing before {data}")


def _number_of_trades(data: list[Message]) -> int:
    number, _, count = data[0]["id"].partition(":")
    assert len(data) == int(count), f"{len(data)} of {count} trades"
    for index in range(1, len(data)):
        assert data[index]["id"] == f"{index}/{count}", data[index]
    return int(number)


class Judge:
    """Checks all that one client is sent."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.counts: Counter[str] = Counter()
        self.values = 0
        self.furthest = 0
        """The highest number of the venue's messages that was seen."""
        self._asked: deque[tuple[str, str]] = deque()
        self._pongs_due = 0

    @property
    def owed(self) -> int:
        """Answers that are to come."""
        return len(self._asked) + self._pongs_due

    def asks(self, op: str, arg: str = "") -> None:
        """Note a request that is sent now."""
        if op == "ping":
            self._pongs_due += 1
        else:
            self._asked.append((op, arg))

    def take(self, message: Message) -> None:
        """Check one message.

        Raises:
            AssertionError: it is wrong, or comes at a wrong place.
        """
        if "op" in message:
            self._answer(message)
            return
        stream = self.streams.get(message["stream"])
        assert stream is not None, f"nobody was told that this comes: {message}"
        self.counts[stream.take(message)] += 1
        if message["type"] != "gap":
            self.values += 1
            self.furthest = max(self.furthest, message["timestamp"] - EPOCH_MS)

    def _answer(self, message: Message) -> None:
        if message["op"] == "pong":
            assert self._pongs_due > 0, message
            self._pongs_due -= 1
        else:
            assert self._asked, f"nobody asked for this: {message}"
            op, arg = self._asked.popleft()
            assert (message["op"], message["args"]) == (op, [arg]), f"not the answer to {op} {arg}: {message}"
            assert not message.get("rejected"), message
            if op == "subscribe":
                self._joined(stream_of(arg))
        self.counts[f"answers to {message['op']}"] += 1

    def _joined(self, name: str) -> None:
        if name in self.streams:
            self.streams[name].may_miss = True
        else:
            self.streams[name] = Stream(name)


def stream_of(arg: str) -> str:
    """The stream that an argument means; candles are those of one minute."""
    kind, *_, symbol = arg.split(":")
    return f"mudrex.futures.{kind}{'.1' if kind == 'kline' else ''}.{symbol}"
