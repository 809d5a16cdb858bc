"""A process that reads a ring and says what became of every record.

Arguments: the descriptor of a socket, a way of reading, and of how many units records are at most.
Over the socket come the descriptors of the ring, a seat and its bell; then it says "ready", after many
whole records "enough", at a torn one "torn". It ends when the last record (its number follows over the
socket) was read or lapped, or the socket ends, and prints the outcomes as one line of JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from feedmux._native.ring import RingReader, Seat
from feedmux.client.segment import open_page, open_ring, silence_bell
from feedmux.model.ring_errors import InvalidRing, Lapped
from support.ring_records import number_of

Outcomes = Counter[str]
ENOUGH = 500
"""Whole records after which a reader has seen something."""


class Reading:
    """One reader and what it saw."""

    def __init__(self, control: socket.socket, units: int) -> None:
        self.control, self.units = control, units
        _, (ring, seat, self.bell), *_ = socket.recv_fds(control, 1, 3)
        self.memory = open_ring(ring)
        self.seat = Seat(open_page(seat), self.bell)
        self.outcomes: Outcomes = Counter()
        self.first = self.last = -1
        self.lost = 0
        self.end: int | None = None
        self.attach()

    def attach(self) -> None:
        self.reader = RingReader(self.memory, self.seat)

    def figures(self) -> dict[str, int]:
        counted = {"lost": self.lost + self.reader.lost, "first": self.first, "last": self.last}
        return {**counted, "whole": 0, **self.outcomes}

    def judge(self, record: bytes) -> None:
        number = number_of(record, self.units)
        if number < 0:
            self.outcomes["torn"] += 1
            if self.outcomes["torn"] == 1:
                say("torn")
        elif number <= self.last:
            self.outcomes["stale"] += 1
        else:
            self.outcomes["whole"] += 1
            if self.outcomes["whole"] == ENOUGH:
                say("enough")
            self.first = number if self.first < 0 else self.first
            self.last = number

    def step(self, read: Callable[[], bool]) -> bool:
        """Read once; whether there was something."""
        try:
            return read()
        except Lapped:
            self.outcomes["lapped"] += 1
        except InvalidRing:
            self.outcomes["invalid"] += 1
        return True

    def one(self) -> bool:
        record = self.reader.read()
        if record is not None:
            self.judge(record)
        return record is not None

    def many(self) -> bool:
        records = self.reader.read_many(64)
        for record in records:
            self.judge(record)
        return bool(records)

    def borrowed(self) -> bool:
        with self.reader.borrow() as view:
            seen = None if view is None else bytes(view)
        if seen is not None:
            self.judge(seen)
        return seen is not None

    def again(self) -> bool:
        """Attach anew after every few records."""
        if self.outcomes["whole"] % 50 == 49:
            self.lost += self.reader.lost
            self.attach()
        return self.one()

    def rest(self, sleeps: bool) -> bool:
        """There was nothing: look whether that was all, or sleep; False when it was."""
        wanted: list[Any] = [self.control] if self.end is None else []
        if sleeps and self.reader.sleep():
            ready = select.select([*wanted, self.bell], [], [], 20)[0]
            self.reader.rise()
            silence_bell(self.bell)
        else:
            ready = select.select(wanted, [], [], 0)[0]
        if self.control in ready:
            said = self.control.recv(32)
            if not said:
                return False
            self.end = int(said)
        return self.end is None or (self.reader.lag > 0)


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(descriptor: int, how: str, units: int) -> None:
    with socket.socket(fileno=descriptor) as control:
        reading = Reading(control, units)
        read = {"many": reading.many, "borrow": reading.borrowed, "attach": reading.again}.get(
            how, reading.one
        )
        say("ready")
        going = True
        while going:
            going = reading.step(read) or reading.rest(how == "sleep")
        say(reading.figures())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
