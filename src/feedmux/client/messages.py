"""Read what a gateway says in its ``/ws`` protocol."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from feedmux.model.errors import MalformedMessage

Message = dict[str, Any]

_DECODER: Final = msgspec.json.Decoder(Message)


def decode(payload: bytes) -> Message:
    """Read one message of a gateway.

    Raises:
        MalformedMessage: it is not a JSON object.
    """
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("message of the gateway", str(error)) from error
