"""Ways in which a venue's frames go wrong, made on purpose."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from feedmux.model.errors import InvalidSetting


class Garbage(StrEnum):
    """What a spoilt frame is."""

    NON_JSON = "non-json"
    """A proxy's error page instead of a message."""
    TRUNCATED = "truncated"
    """The first half of a message."""
    WRONG_TYPED = "wrong-typed"
    """A message whose values have other types than promised."""
    DUPLICATED = "duplicated"
    """A message twice."""
    REORDERED = "reordered"
    """A message after the next one of its topic."""


_ERROR_PAGE = b"<html><head><title>502 Bad Gateway</title></head></html>"


def garbage(name: str) -> Garbage:
    """The kind of that name.

    Raises:
        InvalidSetting: there is none.
    """
    try:
        return Garbage(name)
    except ValueError:
        raise InvalidSetting("kind", name, "one of " + ", ".join(Garbage)) from None


def wrong_typed(payload: bytes) -> bytes:
    """``payload`` with its numbers as texts and every text of ``data`` as something else."""
    message = msgspec.json.decode(payload)
    for key in ("cs", "ts"):
        if key in message:
            message[key] = str(message[key])
    data = message.get("params", message)["data"]  # Deribit has it one level down
    for item in data if isinstance(data, list) else [data]:
        for place, key in enumerate(item):
            item[key] = (None, 17, {"value": item[key]}, [item[key]])[place % 4]
    return msgspec.json.encode(message)


def spoilt(kind: Garbage, payload: bytes, before: bytes) -> bytes:
    """One frame of garbage made of a topic's last frames.

    Args:
        kind: which garbage.
        payload: the topic's last frame.
        before: the frame before it; that is what arrives reordered.
    """
    if kind is Garbage.NON_JSON:
        return _ERROR_PAGE
    if kind is Garbage.TRUNCATED:
        return payload[: len(payload) // 2]
    if kind is Garbage.WRONG_TYPED:
        return wrong_typed(payload)
    return before if kind is Garbage.REORDERED else payload


class Spoiler:
    """Spoil every n-th frame of a market, one kind after the other.

    A non-JSON, truncated or wrong-typed frame stands in the place of the real one, which is
    lost. A reordered one is held until the next frame of its topic has gone.

    Args:
        every: spoil one frame in so many; 0 spoils none.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._seen = 0
        self._held: dict[str, bytes] = {}
        self.spoilt = 0

    def treat(self, topic: str, payloads: list[bytes]) -> list[bytes]:
        """The frames that go out instead of ``payloads``, the next frames of ``topic``."""
        if not self._every:
            return payloads
        return [frame for payload in payloads for frame in self._treat(topic, payload)]

    def _treat(self, topic: str, payload: bytes) -> list[bytes]:
        self._seen += 1
        held = self._held.pop(topic, None)
        if held is not None:
            return [payload, held]
        if self._seen % self._every:
            return [payload]
        kind = list(Garbage)[self.spoilt % len(Garbage)]
        self.spoilt += 1
        if kind is Garbage.REORDERED:
            self._held[topic] = payload
            return []
        frame = spoilt(kind, payload, payload)
        return [frame, frame] if kind is Garbage.DUPLICATED else [frame]
