"""Where a shared WebSocket leads, what is said there first, and by what it is shared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from feedmux.client.settings import LinkConfig
from feedmux.core.hiding import secrets_in
from feedmux.core.wanted import Said
from feedmux.model.errors import InvalidSetting
from feedmux.wire.local_records import MAX_MESSAGE_BYTES, Open

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WRITE_BUFFER_BYTES: Final = MAX_MESSAGE_BYTES + 1024 * 1024

Key = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""Opens that agree in it share a WebSocket: address, key, headers, sub-protocols."""


class Target(NamedTuple):
    """What one WebSocket is.

    Args:
        key: what it is shared by.
        config: of its link.
        opening: the messages that are sent first, each time it opens.
        last_by: the member by which last messages are kept; empty: none are.
    """

    key: Key
    config: LinkConfig
    opening: tuple[Said, ...]
    last_by: str

    @property
    def url(self) -> str:
        """Its address."""
        return self.key[0]

    @property
    def secrets(self) -> Iterable[str]:
        """What may not show: the key, and what logs in."""
        found = {self.key[1]}
        for message in self.opening:
            found |= self.secrets_of(message.payload)
        return found - {""}

    @staticmethod
    def secrets_of(payload: bytes) -> set[str]:
        """What may be secret in a message."""
        return secrets_in(payload)

    @classmethod
    def of(cls, record: Open) -> Self:
        """Read what a client asks for.

        Raises:
            InvalidSetting: a header, sub-protocol or opening message cannot be.
        """
        headers = record.headers
        for subprotocol in record.subprotocols:
            if not _TOKEN.fullmatch(subprotocol):
                raise InvalidSetting("subprotocols", subprotocol, "letters, digits, hyphens and the like")
        if record.subprotocols:
            headers = (*headers, ("Sec-WebSocket-Protocol", ", ".join(record.subprotocols)))
        config = LinkConfig(
            headers=headers,
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_write_buffer_bytes=_WRITE_BUFFER_BYTES,
        )
        opening = tuple(Said(message.payload, message.is_binary) for message in record.opening)
        for said in opening:
            _require_text(said)
        return cls(key_of(record), config, opening, record.last_by)


def key_of(record: Open) -> Key:
    """What the WebSocket that a client asks for is shared by."""
    return record.url, record.key, record.headers, record.subprotocols


def _require_text(said: Said) -> None:
    if not said.is_binary:
        try:
            said.payload.decode()
        except UnicodeDecodeError as error:
            raise InvalidSetting("opening", "***", "text in UTF-8, or a binary message") from error
