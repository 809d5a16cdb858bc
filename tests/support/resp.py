"""A client of Redis that is only a socket: what it sends and reads is written out here, after the protocol.

Source: redis.io, "Redis serialization protocol specification", RESP2 and the RESP3 types that Redis 7 uses.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final, Self, TypeAlias

_DEADLINE_S: Final = 10.0

Answer: TypeAlias = "int | bytes | float | bool | list[Answer] | dict[bytes, Answer] | None"

_SCALARS: Final[dict[bytes, Callable[[bytes], Answer]]] = {
    b"+": bytes,
    b":": int,
    b",": float,
    b"#": lambda text: text == b"t",
    b"_": lambda _: None,
}


class RespError(Exception):
    """Redis answered with an error; the text is its own."""


class RespEnded(Exception):
    """The connection has ended."""


def packed(*parts: str | bytes) -> bytes:
    """A command as it is sent."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in raw)


class Resp:
    """One connection, which blocks, with a deadline; a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""

    @classmethod
    def connect(cls, port: int) -> Self:
        """Connect to this machine."""
        return cls(socket.create_connection(("127.0.0.1", port), _DEADLINE_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, without a word."""
        self._sock.close()

    def enter(self, user: str, password: str) -> None:
        """Say who we are; whoever is not let in is closed.

        Raises:
            RespError: it is not believed.
            RespEnded: the connection ended instead.
        """
        try:
            self.ask("AUTH", user, password)
        except (RespError, RespEnded, OSError):
            self.close()
            raise

    def send(self, *parts: str | bytes) -> None:
        """Send a command and do not wait for the answer."""
        self._sock.sendall(packed(*parts))

    def ask(self, *parts: str | bytes) -> Answer:
        """Send a command; its answer.

        Raises:
            RespError: it is an error.
            RespEnded: the connection ended instead.
        """
        self.send(*parts)
        return self.read()

    def ask_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Answer]:
        """Send commands in one piece; their answers."""
        self._sock.sendall(b"".join(packed(*command) for command in commands))
        return [self.read() for _ in commands]

    def read(self) -> Answer:
        """The next thing that Redis says; a push of RESP3 is a list.

        Raises:
            RespError: it is an error.
            RespEnded: there is none.
        """
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RespError(rest.decode())
        if kind in _SCALARS:
            return _SCALARS[kind](rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            return self._exactly(size)
        if kind == b"%":
            return {self._key(): self.read() for _ in range(size)}
        assert kind in (b"*", b">", b"~"), f"Redis said {line!r}, which is no RESP"
        return [self.read() for _ in range(size)]

    def _key(self) -> bytes:
        key = self.read()
        assert isinstance(key, bytes)
        return key

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size + 2:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return data

    def _more(self) -> None:
        try:
            data = self._sock.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise RespEnded
        self._buffer += data
