"""Put a client's message together again from its frames, and check that text is text."""

from __future__ import annotations

from websockets.frames import Frame, Opcode


class NotText(Exception):
    """A text message is not UTF-8 (close code 1007, RFC 6455 §8.1)."""


class Assembly:
    """The fragments of one message; their sum is bounded by the protocol's ``max_size``.

    They are joined as they come: a list of them would grow with empty ones, which no sum bounds.
    """

    __slots__ = ("_is_text", "_payload")

    def __init__(self, first: Frame) -> None:
        self._is_text = first.opcode is Opcode.TEXT
        self._payload = bytearray(first.data)

    def add(self, frame: Frame) -> bytes | None:
        """Take the next fragment; the last one gives the message.

        Raises:
            NotText: a text message is not UTF-8.
        """
        self._payload += frame.data
        return _checked(bytes(self._payload), is_text=self._is_text) if frame.fin else None


def whole(frame: Frame) -> bytes:
    """The message of a frame that is one by itself.

    Raises:
        NotText: a text message is not UTF-8.
    """
    return _checked(bytes(frame.data), is_text=frame.opcode is Opcode.TEXT)


def _checked(payload: bytes, *, is_text: bool) -> bytes:
    if is_text:
        try:
            payload.decode()
        except UnicodeDecodeError as error:
            raise NotText(str(error)) from None
    return payload
