"""JSON in text frames, and everything else as it is: what a link speaks unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from feedmux.model.errors import MalformedMessage

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class JsonCodec:
    """Values are JSON; text that is none stays a ``str``, and binary messages stay ``bytes``."""

    decode_text: Callable[[bytes], object] = staticmethod(_decode)
    """Reads JSON; raises ``msgspec.DecodeError`` where it is none."""

    def encode(self, message: object, /) -> tuple[bytes, bool]:
        """Write ``bytes`` as a binary message, ``str`` as text, and any other value as JSON.

        Raises:
            MalformedMessage: it cannot be written as JSON.
        """
        if isinstance(message, bytes):
            return message, True
        try:
            return (message.encode() if isinstance(message, str) else _encode(message)), False
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            problem = str(error)
        # Raised here, so that it does not carry the message: a UnicodeError would.
        raise MalformedMessage("message to send", problem)

    def decode(self, payload: bytes, is_binary: bool, /) -> object:
        """Read one message.

        Raises:
            MalformedMessage: text that is not UTF-8 (RFC 6455 §8.1).
        """
        if is_binary:
            return payload
        try:
            try:
                return self.decode_text(payload)
            except (msgspec.DecodeError, RecursionError, ArithmeticError):
                return payload.decode()  # no JSON, or none that this machine can hold
        except UnicodeDecodeError as error:
            problem = error.reason
        raise MalformedMessage("text message", f"it is not UTF-8: {problem}")
