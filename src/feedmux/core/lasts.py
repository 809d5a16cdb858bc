"""Keep the last message of each key, so that who comes late need not wait for the next one.

A message is JSON, an object or a list of objects, and its keys are the values of one member in them.
Whatever is no JSON, or lacks the member, is passed over. What is kept is bounded: the key that was
silent for the longest goes first.

Deliberately absent: merging. What a venue sends as changes is not whole with the last one alone.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec

MOST_KEYS: Final = 4096
MOST_BYTES: Final = 4 * 1024 * 1024
MOST_MESSAGE_BYTES: Final = 256 * 1024
"""A longer message is not kept."""
MOST_KEY_CHARACTERS: Final = 256

_Key = str | int | None


class Lasts:
    """The last messages of one WebSocket.

    Args:
        member: by whose value they are kept; empty: none are.
        most_keys: so many at once.
        most_bytes: so long together.
    """

    __slots__ = ("_decoder", "_kept", "_most_bytes", "_most_keys", "_size_bytes")

    def __init__(self, member: str, most_keys: int = MOST_KEYS, most_bytes: int = MOST_BYTES) -> None:
        self._decoder = _decoder(member) if member else None
        self._kept: dict[str, tuple[bytes, int]] = {}
        self._most_keys, self._most_bytes = most_keys, most_bytes
        self._size_bytes = 0

    def note(self, message: bytes, received_ns: int) -> None:
        """Take a message; runs per message.

        Args:
            message: the text of it.
            received_ns: when it came, Unix nanoseconds.
        """
        if self._decoder is None or len(message) > MOST_MESSAGE_BYTES:
            return
        with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            found = self._decoder.decode(message)
            for part in found if isinstance(found, list) else (found,):
                if part.key is not None:
                    self._keep(str(part.key), message, received_ns)

    def clear(self) -> None:
        """Forget all: what comes next may have nothing to do with it."""
        self._kept.clear()
        self._size_bytes = 0

    def messages(self) -> list[tuple[bytes, int]]:
        """Return what is kept and when it came, the oldest first; none twice."""
        found: dict[int, tuple[bytes, int]] = {}
        for kept in self._kept.values():
            found.pop(id(kept[0]), None)
            found[id(kept[0])] = kept
        return list(found.values())

    @property
    def size_bytes(self) -> int:
        """How long the messages are together; one that is kept for two keys counts twice."""
        return self._size_bytes

    def __len__(self) -> int:
        """How many keys have one."""
        return len(self._kept)

    def _keep(self, key: str, message: bytes, received_ns: int) -> None:
        if len(key) > MOST_KEY_CHARACTERS:
            return
        before = self._kept.pop(key, None)
        self._size_bytes += len(message) - (len(before[0]) if before else 0)
        self._kept[key] = (message, received_ns)
        while len(self._kept) > self._most_keys or self._size_bytes > self._most_bytes:
            oldest = next(iter(self._kept))
            self._size_bytes -= len(self._kept.pop(oldest)[0])


def _decoder(member: str) -> msgspec.json.Decoder[Any]:
    """What reads this one member and skips all others."""
    keyed = msgspec.defstruct("Keyed", [("key", _Key, None)], rename={"key": member})
    return msgspec.json.Decoder(keyed | list[keyed])  # type: ignore[valid-type]
