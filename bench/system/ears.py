"""Listen at two nodes at once: ``python -m bench.system.ears PORT PORT TOPICS WARMUP SECONDS``.

One process has a client at each. It notes what each socket gives and when, on one clock, and looks into it
only afterwards, so that little of its own is in what it measures. Prints ``ready``, ``measuring`` when the
warm-up is over, ``measured``, then the result.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bench.bus.tally import marks

OWNER, FOLLOWER = "owner", "follower"
_DEADLINE_S = 20.0
_GRACE_NS = 500_000_000
_READ_BYTES = 1 << 20
_INTENDED = re.compile(rb'"id":"(\d{17})')
_SEQ = re.compile(rb'"seq":(\d+)')
_SUBSCRIBED = re.compile(rb'"op": "subscribe".*\}')
_STREAM = re.compile(rb'"stream":"([^"]+)"')


class Heard(NamedTuple):
    """What a socket gave at once.

    Args:
        at_ns: when, on :func:`time.monotonic_ns`.
        data: the bytes.
    """

    at_ns: int
    data: bytes


class Value(NamedTuple):
    """One message of a stream.

    Args:
        intended_ns: when the venue was to send it.
        heard_ns: when its last byte was read.
    """

    intended_ns: int
    heard_ns: int


class Ear:
    """A client of one node, or what it heard.

    Args:
        port: the node's.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _DEADLINE_S)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise ConnectionError(f"the node answered {head[:60]!r}")

    def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe, and wait for the answer."""
        text = json.dumps({"op": "subscribe", "args": list(topics)}).encode()
        # A mask of zeros leaves the text as it is.
        self.socket.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
        while not _SUBSCRIBED.search(self.rest):
            self.rest += self._more()
        if b'"rejected": null' not in self.rest:
            raise ConnectionError(f"the node answered {self.rest[:200]!r}")

    def _more(self) -> bytes:
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the node closed the connection")
        return data


def texts(heard: Iterable[Heard]) -> Iterable[tuple[int, bytes]]:
    """The messages in what was heard, each with the time at which it was whole."""
    waiting = b""
    for at_ns, data in heard:
        waiting += data
        at = 0
        while (frame := _frame(waiting, at)) is not None:
            kind, start, at = frame
            if kind == 1:
                yield at_ns, waiting[start:at]
        waiting = waiting[at:]


def _frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Kind, begin of the content and end of the frame of a server that begins here; None: it is not whole."""
    if len(data) < at + 2:
        return None
    short = data[at + 1]
    start = at + (2 if short < 126 else 4 if short == 126 else 10)
    if len(data) < start:
        return None
    end = start + (short if short < 126 else int.from_bytes(data[at + 2 : start], "big"))
    return (data[at] & 15, start, end) if len(data) >= end else None


class Account:
    """What one ear heard of all streams.

    Args:
        heard: all of it, in order.

    Attributes:
        values: by stream and seq.
        lost: jumps of a stream's seq, by how much.
        gaps: how often the node said that values are missing.
    """

    def __init__(self, heard: Iterable[Heard]) -> None:
        self.values: dict[tuple[bytes, int], Value] = {}
        self.lost = self.gaps = self.disorder = self.duplicates = 0
        latest: dict[bytes, int] = {}
        for at_ns, text in texts(heard):
            stream, seq, intended = _STREAM.search(text), _SEQ.search(text), _INTENDED.search(text)
            if b'"type":"gap"' in text:
                self.gaps += 1
            if not (stream and seq and intended):
                continue
            name, number = stream[1], int(seq[1])
            before = latest.get(name, number - 1)
            self.lost += max(0, number - before - 1)
            self.duplicates += number == before
            self.disorder += number < before
            latest[name] = number
            self.values[name, number] = Value(int(intended[1]), at_ns)


def compare(owner: Account, follower: Account, since_ns: int, until_ns: int) -> dict[str, Any]:
    """The sample of what was due in a time.

    Returns:
        For each ear the latencies from a message's intended time and what is amiss; what only the other ear
        heard is ``lost``, too. ``added`` is by how much the follower's client had the same message later.
    """
    taken = {
        name: {key: one for key, one in ear.values.items() if since_ns <= one.intended_ns < until_ns}
        for name, ear in ((OWNER, owner), (FOLLOWER, follower))
    }
    both = taken[OWNER].keys() & taken[FOLLOWER].keys()
    added = [taken[FOLLOWER][key].heard_ns - taken[OWNER][key].heard_ns for key in both]
    heard = taken[OWNER].keys() | taken[FOLLOWER].keys()
    counted = {
        name: {
            "messages": len(taken[name]),
            "lost": max(ear.lost, len(heard) - len(taken[name])),
            "gap_messages": ear.gaps,
            "disorder": ear.disorder,
            "duplicates": ear.duplicates,
            **marks([one.heard_ns - one.intended_ns for one in taken[name].values()]),
        }
        for name, ear in ((OWNER, owner), (FOLLOWER, follower))
    }
    return {**counted, "messages": len(both), "added": marks(added)}


def main() -> None:
    """Listen, and print what was heard."""
    ports, topics = sys.argv[1:3], sys.argv[3].split(",")
    warmup_ns, seconds_ns = (round(float(word) * 1e9) for word in sys.argv[4:6])
    ears = [Ear(int(port)) for port in ports]
    for ear in ears:
        ear.subscribe(topics)
    _say({"event": "ready"})
    heard: list[list[Heard]] = [[Heard(time.monotonic_ns(), ear.rest)] for ear in ears]
    began_ns = _listen(ears, heard, time.monotonic_ns() + round(_DEADLINE_S * 1e9), first=True)
    since_ns = began_ns + warmup_ns
    _listen(ears, heard, since_ns)
    _say({"event": "measuring"})
    _listen(ears, heard, since_ns + seconds_ns)
    _say({"event": "measured"})
    _listen(ears, heard, since_ns + seconds_ns + _GRACE_NS)
    owner, follower = (Account(one) for one in heard)
    _say({"event": "result", **compare(owner, follower, since_ns, since_ns + seconds_ns)})
    sys.stdin.read()


def _listen(ears: Sequence[Ear], heard: list[list[Heard]], until_ns: int, *, first: bool = False) -> int:
    """Note what comes until then; ``first``: until a value came. Returns when it ended."""
    poll = select.epoll()
    places = {ear.socket.fileno(): place for place, ear in enumerate(ears)}
    for descriptor in places:
        poll.register(descriptor, select.EPOLLIN)
    now_ns = time.monotonic_ns()
    while now_ns < until_ns:
        for descriptor, _ in poll.poll((until_ns - now_ns) / 1e9):
            place = places[descriptor]
            data = ears[place].socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("a node closed the connection")
            now_ns = time.monotonic_ns()
            heard[place].append(Heard(now_ns, data))
            if first and _INTENDED.search(data):
                return now_ns
        now_ns = time.monotonic_ns()
    if first:
        raise TimeoutError("no value came")
    return now_ns


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
