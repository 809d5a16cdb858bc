"""Say in which slot of a Redis Cluster a name is, and read who has which slot.

Source: redis.io, "Redis cluster specification", Key distribution model and Hash tags; "CLUSTER SLOTS" (7.0).
"""

from __future__ import annotations

from binascii import crc_hqx
from itertools import count
from typing import Final, NamedTuple

from feedmux.model.errors import MalformedMessage

SLOTS: Final = 16_384
_RANGE_FIELDS: Final = 3  # first, last, the master

Place = tuple[str, int]
"""Host and port."""


class SlotRange(NamedTuple):
    """Slots that one node has.

    Args:
        first: of them.
        last: of them; it is one of them.
        master: who has them.
        replicas: who copies that node.
    """

    first: int
    last: int
    master: Place
    replicas: tuple[Place, ...]


def slot_of(name: bytes) -> int:
    """Return the slot of a key or channel: that of its hash tag, where it has one."""
    begin = name.find(b"{")
    end = name.find(b"}", begin + 1)
    tag = name[begin + 1 : end] if begin >= 0 and end > begin + 1 else name
    return crc_hqx(tag, 0) % SLOTS


def name_in(slot: int) -> str:
    """Return a name that is in this slot. It takes some hundredths of a second."""
    return next(name for name in map(str, count()) if slot_of(name.encode()) == slot)


def read_slots(reply: object, asked: Place) -> list[SlotRange]:
    """Read what a node answers to ``CLUSTER SLOTS``.

    Args:
        reply: the answer.
        asked: who was asked; a node that does not know its own name leaves it out.

    Raises:
        MalformedMessage: this is no such answer.
    """
    if not isinstance(reply, list):
        raise _malformed(reply)
    return [_range(entry, asked) for entry in reply]


def _range(entry: object, asked: Place) -> SlotRange:
    if not isinstance(entry, list) or len(entry) < _RANGE_FIELDS:
        raise _malformed(entry)
    first, last, *nodes = entry
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last < SLOTS):
        raise _malformed(entry)
    master, *replicas = (_place(node, asked) for node in nodes)
    return SlotRange(first, last, master, tuple(replicas))


def _place(node: object, asked: Place) -> Place:
    match node:
        case [(bytes() | None) as host, int(port), *_] if port > 0:
            known = (host or b"").decode(errors="replace")
            return (asked[0] if known in ("", "?") else known, port)
    raise _malformed(node)


def _malformed(found: object) -> MalformedMessage:
    return MalformedMessage(
        "slots", f"Redis answered {type(found).__name__}; expected ranges and their nodes"
    )
