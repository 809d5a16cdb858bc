"""What the measuring code of the hops counts, tried on a transport that does what it is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.hop.port import FILLING, MESSAGE, POOL, Work
from bench.hop.reading import read
from bench.hop.writing import write, write_end
from bench.loadcheck import expect
from bench.report import say

_WORKS = (
    Work(7, "spin", "poll", 100_000, 4, 0.01),
    Work(7, "sleep", "wait", 100_000, 20, 0.01),
    Work(7, "bursts", "poll", 500_000, 32, 0.01),
    Work(7, "free", "many", 0, 64, 0.001),
    Work(7, "free", "wait", 0, 1, 0.001),
)


class Missed(Exception):
    """So many messages were lost, and it is said."""

    def __init__(self, count: int) -> None:
        self.count = count


class Tape:
    """Writes to a list and reads from it."""

    missed = Missed
    descriptor = -1

    def __init__(self) -> None:
        self.events: list[bytes | Missed] = []
        self.written_ns: list[int] = []
        self.flushes = self._lost = self._place = 0

    def write(self, message: bytes) -> None:
        self.events.append(message)

    def flush(self) -> None:
        self.flushes += 1

    def read(self) -> bytes | None:
        if self._place == len(self.events):
            return None
        event = self.events[self._place]
        self._place += 1
        if isinstance(event, Missed):
            self._lost += event.count
            raise event
        return event

    def wait(self) -> bytes:
        message = self.read()
        assert message is not None, "the end of the work was not seen"
        return message

    def read_many(self, most: int) -> list[bytes]:
        messages: list[bytes] = []
        while len(messages) < most and self._place < len(self.events):
            if isinstance(self.events[self._place], Missed) and messages:
                break
            messages.append(self.wait())
        return messages

    def lost(self) -> int:
        return self._lost

    def wake(self) -> None:
        raise NotImplementedError

    def rest(self) -> bool:
        raise NotImplementedError


def _recorded(work: Work) -> tuple[Tape, int]:
    """A whole work on tape, behind the end of the one before it, and how many messages it has."""
    tape = Tape()
    write_end(tape, work._replace(serial=work.serial - 1), 5)
    count, tape.written_ns = write(tape, work)
    expect(tape.flushes == 1 + count / work.burst, f"{tape.flushes} flushes for {count} messages")
    write_end(tape, work, count)
    write_end(tape, work, count + 1)
    return tape, count


def _read(tape: Tape, work: Work, **wanted: int) -> dict[str, Any]:
    got = read(tape, work).figures(tape.written_ns)
    seen = {name: got[name] for name in wanted}
    expect(seen == wanted, f"{work.how}, {work.reading}: {seen} instead of {wanted}")
    return got


def hop_counts_what_was_written_and_read() -> None:
    """Each way to write and to read: all messages, in order, none lost, and the end is the work's own."""
    for work in _WORKS:
        tape, count = _recorded(work)
        expect(count >= min(POOL, work.burst), f"{count} messages")
        _read(tape, work, sent=count, received=count, lost_reported=0, lost_unreported=0, disorder=0)


def hop_sees_messages_that_are_lost_without_a_word() -> None:
    """Three that are not there, in two places."""
    for work in _WORKS:
        tape, count = _recorded(work)
        del tape.events[40], tape.events[20:22]
        _read(tape, work, sent=count, received=count - 3, lost_unreported=3, disorder=2)


def hop_tells_reported_losses_from_others() -> None:
    """Three are lost and it is said; one more is lost in silence."""
    for work in _WORKS:
        tape, count = _recorded(work)
        tape.events[20:23] = [Missed(3)]
        del tape.events[40]
        wanted = {"lost_reported": 3, "reports": 1, "lost_unreported": 1, "disorder": 1}
        _read(tape, work, sent=count, received=count - 4, **wanted)


def hop_sees_messages_out_of_order_and_twice() -> None:
    """Two that change places; one that comes again, so that there is one more than was sent."""
    for work in _WORKS:
        tape, _ = _recorded(work)
        tape.events[20], tape.events[21] = tape.events[21], tape.events[20]
        expect(_read(tape, work, lost_unreported=0)["disorder"] > 0, f"{work.how}: it was not seen")
        tape, _ = _recorded(work)
        tape.events.insert(20, tape.events[20])
        expect(_read(tape, work, lost_unreported=-1)["disorder"] > 0, f"{work.how}: it was not seen")


def hop_knows_how_late_a_message_is() -> None:
    """Nine that are a second old and one that is three."""
    work = Work(7, "spin", "poll", 1_000, 1, 0.01)
    tape = Tape()
    for number in range(10):
        age_ns = 3_000_000_000 if number == 9 else 1_000_000_000
        tape.written_ns.append(time.monotonic_ns() - age_ns)
        tape.write(MESSAGE.pack(0, number, FILLING))
    write_end(tape, work, 10)
    got = read(tape, work).figures(tape.written_ns)
    expect(1e9 <= got["p50_ns"] <= got["p90_ns"] and got["p99_ns"] >= 3e9 and got["p10_ns"] < 3e9, got)


CHECKS: Sequence[Callable[[], None]] = (
    hop_counts_what_was_written_and_read,
    hop_sees_messages_that_are_lost_without_a_word,
    hop_tells_reported_losses_from_others,
    hop_sees_messages_out_of_order_and_twice,
    hop_knows_how_late_a_message_is,
)


if __name__ == "__main__":
    for check in CHECKS:
        check()
        say(f"{check.__name__.replace('_', ' ')}: holds")
