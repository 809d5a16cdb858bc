"""A client of the broker, written from docs/reference/local-protocol.md and ring.md alone.

It shares no code with the product: records are packed here, and the ring is read as its page says.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

DEADLINE_S = 10.0
HELLO, BEAT, OPEN, CLOSE, SEND, SUBSCRIBE, UNSUBSCRIBE, LOG_LEVEL, ASK = range(1, 10)
WELCOME, OPENED, LAST, FAILED, DONE, LOG, ANSWER = range(33, 40)
TEXT, BINARY, IS_OPEN, IS_CLOSED, ERROR = range(1, 6)
MAGIC = b"fmlo"


class Said(NamedTuple):
    """A record of the broker: its type, and its fields in order."""

    kind: int
    fields: tuple[Any, ...]


class Item(NamedTuple):
    """An entry of a ring."""

    what: int
    flags: int
    code: int
    remaining: int
    client: int
    received_ns: int
    payload: bytes


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<H", len(data)) + data


def blob(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def record(kind: int, *fields: bytes) -> bytes:
    body = b"".join(fields)
    return struct.pack("<IB", len(body), kind) + body


def hello(pid: int | None = None, name: str = "test", version: int = 1) -> bytes:
    return record(HELLO, MAGIC, struct.pack("<HI", version, os.getpid() if pid is None else pid), text(name))


def place(name: str, uid: int | None = None, what: str = "share") -> str:
    return f"\0feedmux-{what}-{os.getuid() if uid is None else uid}-{name}"


_LAYOUTS = {WELCOME: "4sHIIII", BEAT: "", OPENED: "IQBQI", LAST: "Qb", FAILED: "Iss", DONE: "IB", LOG: "Bs"}
_LAYOUTS[ANSWER] = "Ib"


def fields_of(kind: int, body: bytes) -> tuple[Any, ...]:
    """The fields of a record of the broker."""
    found: list[Any] = []
    if kind == WELCOME:
        return struct.unpack("<4sHIIII", body)
    for letter in _LAYOUTS[kind]:
        if letter in "sb":
            form = "<H" if letter == "s" else "<I"
            (size,) = struct.unpack_from(form, body)
            start = struct.calcsize(form)
            value = body[start : start + size]
            assert len(value) == size
            found.append(value.decode() if letter == "s" else value)
            body = body[start + size :]
        else:
            found.append(struct.unpack_from(f"<{letter}", body)[0])
            body = body[struct.calcsize(f"<{letter}") :]
    assert not body
    return tuple(found)


class Ring:
    """A ring and a seat, as three descriptors lend them; reads from ``start`` on."""

    def __init__(self, ring: int, seat: int, bell: int, start: int) -> None:
        size = os.fstat(ring).st_size
        self.memory = mmap.mmap(ring, size, prot=mmap.PROT_READ)
        self.page = mmap.mmap(seat, 4096)
        self.bell, self.descriptors = bell, (ring, seat)
        magic, version, head, self.capacity, self.largest = struct.unpack_from("<8sIIQQ", self.memory)
        assert (magic, version, head) == (b"fmuxring", 1, 4096)
        assert size == 4096 + self.capacity
        self.cursor, self.missed = start, 0

    def read(self) -> Item | None:
        """The next entry; None: nothing is there."""
        while True:
            (published,) = struct.unpack_from("<Q", self.memory, 128)
            if published == self.cursor:
                return None
            at = 4096 + self.cursor % self.capacity
            length, kind, _ = struct.unpack_from("<IIQ", self.memory, at)
            payload = self.memory[at + 16 : at + 16 + length] if kind == 1 else b""
            (reserved,) = struct.unpack_from("<Q", self.memory, 64)
            if reserved - self.cursor > self.capacity:
                self.cursor, self.missed = published, self.missed + 1
                continue
            self.cursor += (16 + length + 15) // 16 * 16
            if kind == 1:
                what, flags, code, remaining, client, zero, ns = struct.unpack_from("<BBHIIIq", payload)
                assert zero == 0
                return Item(what, flags, code, remaining, client, ns, payload[24:])

    def wait(self, deadline_s: float = DEADLINE_S) -> Item:
        """The next entry; sleeps on the bell until it is there."""
        end = time.monotonic() + deadline_s
        while (item := self.read()) is None:
            self.page[:4] = b"\1\0\0\0"
            item = self.read()
            if item is not None:
                self.page[:4] = bytes(4)
                return item
            left = end - time.monotonic()
            assert left > 0, "nothing came through the ring"
            # No fence between the flag and the look: so this does not sleep for long.
            if select.select([self.bell], [], [], min(left, 0.05))[0]:
                with suppress(BlockingIOError):
                    os.eventfd_read(self.bell)
        return item

    def wait_for(self, what: int, payload: bytes | None = None) -> Item:
        """The next entry of this kind, with this payload; others are passed over."""
        end = time.monotonic() + DEADLINE_S
        while True:
            item = self.wait(max(end - time.monotonic(), 0.001))
            if item.what == what and payload in {None, item.payload}:
                return item

    def message(self) -> bytes:
        """The next message, its parts together."""
        item = self.wait()
        while item.what not in {TEXT, BINARY}:
            item = self.wait()
        parts, remaining = [item.payload], item.remaining
        while remaining:
            item = self.wait()
            parts.append(item.payload)
            remaining -= len(item.payload)
            assert item.remaining == remaining
        return b"".join(parts)

    def close(self) -> None:
        self.memory.close()
        self.page.close()
        for descriptor in (*self.descriptors, self.bell):
            os.close(descriptor)


class ShareClient:
    """A connection to a broker, or to a gateway; blocks. It beats only when told to."""

    def __init__(self, name: str = "default", what: str = "share") -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE_S)
        try:
            self.sock.connect(place(name, what=what))
        except OSError:
            self.sock.close()
            raise
        self.rings: dict[int, Ring] = {}
        self.number = 0
        self._buffer = b""
        self._lent: list[int] = []
        self._requests = 0

    @classmethod
    def welcomed(cls, name: str = "default", what: str = "share") -> ShareClient:
        """One that has said hello; waits until the broker is there."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                client = cls(name, what)
            except ConnectionRefusedError:
                assert time.monotonic() < end, "no broker came"
                time.sleep(0.005)
                continue
            try:
                client.say(hello())
                client.number = client.next(WELCOME)[3]
            except BaseException:
                client.close()
                raise
            return client

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hear(self) -> Said | None:
        """The next record; None: the broker hung up."""
        while True:
            if len(self._buffer) >= 5:
                size, kind = struct.unpack_from("<IB", self._buffer)
                if len(self._buffer) >= 5 + size:
                    body, self._buffer = self._buffer[5 : 5 + size], self._buffer[5 + size :]
                    return Said(kind, fields_of(kind, body))
            try:
                data, lent, *_ = socket.recv_fds(self.sock, 65536, 3)
            except ConnectionResetError:
                return None
            self._lent += lent
            if not data:
                return None
            self._buffer += data

    def next(self, kind: int) -> tuple[Any, ...]:
        """The fields of the next record of a type; beats and lines of the log are passed over."""
        while True:
            said = self.hear()
            assert said is not None, "the broker hung up"
            if said.kind == kind:
                return said.fields
            assert said.kind in {BEAT, LOG}, said

    def hears_beats(self, count: int) -> None:
        """Wait for so many beats, one after another."""
        for _ in range(count):
            said = self.hear()
            assert said is not None and said.kind == BEAT, said

    def request(self) -> int:
        self._requests += 1
        return self._requests

    def begin_open(
        self,
        url: str,
        key: str = "",
        *,
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        opening: Sequence[bytes] = (),
        last_by: str = "",
    ) -> int:
        """Ask for a WebSocket; the number of the request."""
        request = self.request()
        pairs = b"".join(text(name) + text(value) for name, value in headers)
        self.say(
            record(
                OPEN,
                struct.pack("<I", request),
                text(url),
                text(key),
                struct.pack("<H", len(headers)) + pairs,
                struct.pack("<H", len(subprotocols)) + b"".join(map(text, subprotocols)),
                struct.pack("<H", len(opening)) + b"".join(b"\0" + blob(message) for message in opening),
                text(last_by),
            )
        )
        return request

    def opened(self) -> tuple[int, int, Ring, list[bytes]]:
        """The WebSocket that is open now: id, whether it is new, its ring, the last messages."""
        _, id_, is_new, start, last = self.next(OPENED)
        if id_ not in self.rings:
            assert len(self._lent) >= 3
            (memory, seat, bell), self._lent = self._lent[:3], self._lent[3:]
            self.rings[id_] = Ring(memory, seat, bell, start)
        entries = [self.next(LAST) for _ in range(last)]
        assert all(number == id_ for number, _ in entries)
        return id_, is_new, self.rings[id_], [entry for _, entry in entries]

    def open(self, url: str, key: str = "", **options: Any) -> tuple[int, int, Ring, list[bytes]]:
        """Share a WebSocket; see :meth:`opened`."""
        self.begin_open(url, key, **options)
        return self.opened()

    def failed(self) -> tuple[int, str, str]:
        request, code, reason = self.next(FAILED)
        return request, code, reason

    def send(self, id_: int, message: bytes, *, binary: bool = False) -> None:
        self.say(record(SEND, struct.pack("<QB", id_, binary), blob(message)))

    def begin_subscribe(
        self, id_: int, symbol: str, message: bytes, release: bytes = b"", kinds: int = 1
    ) -> int:
        request = self.request()
        head = struct.pack("<IQBB", request, id_, kinds, 0)
        self.say(record(SUBSCRIBE, head, text(symbol), blob(message), blob(release)))
        return request

    def subscribe(self, id_: int, symbol: str, message: bytes, release: bytes = b"", kinds: int = 1) -> int:
        """Want a symbol; whether somebody did."""
        request = self.begin_subscribe(id_, symbol, message, release, kinds)
        done, value = self.next(DONE)
        assert done == request
        return int(value)

    def unsubscribe(self, id_: int, symbol: str, message: bytes) -> int:
        request = self.request()
        self.say(record(UNSUBSCRIBE, struct.pack("<IQB", request, id_, 0), text(symbol), blob(message)))
        done, value = self.next(DONE)
        assert done == request
        return int(value)

    def leave(self, id_: int = 0) -> None:
        request = self.request()
        self.say(record(CLOSE, struct.pack("<IQ", request, id_)))
        assert self.next(DONE)[0] == request

    def beat(self) -> None:
        self.say(record(BEAT))

    def ask(self, query: int) -> bytes:
        request = self.request()
        self.say(record(ASK, struct.pack("<IB", request, query)))
        number, answer = self.next(ANSWER)
        assert number == request
        return bytes(answer)

    def wait_end(self) -> list[Said]:
        """What is said until the broker hangs up."""
        found = []
        while (said := self.hear()) is not None:
            found.append(said)
        return found

    def close(self) -> None:
        self.sock.close()
        for ring in self.rings.values():
            ring.close()
        for descriptor in self._lent:
            os.close(descriptor)
        self.rings, self._lent = {}, []
