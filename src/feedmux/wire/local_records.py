"""What programs of one machine say to the broker that shares their WebSockets: each record, and each entry.

:mod:`feedmux.wire.local` writes and reads them; docs/reference/local-protocol.md has them field by field.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import ClassVar, Final, NamedTuple, Self

import msgspec

from feedmux.model.errors import MalformedMessage

VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_TEXT_BYTES: Final = 4096
"""Of a name, an address, a key, a header, a symbol; a reason is cut to it."""
MAX_ITEMS: Final = 64
"""Of headers, sub-protocols, opening messages."""
ENTRY: Final = struct.Struct("<BBHIIIq")
"""The header of an entry in the ring: what, flags, code, remaining, client, 0, received_ns."""


class Message(NamedTuple):
    """One message for a WebSocket."""

    payload: bytes
    is_binary: bool = False


class What(IntEnum):
    """What an entry in the ring is."""

    TEXT = 1
    BINARY = 2
    OPENED = 3
    """The WebSocket is open; ``client`` is who has to log in, 0: nobody."""
    CLOSED = 4
    """It is not; the payload says why. With :data:`AGAIN` it is opened again."""
    ERROR = 5
    """Something went wrong; the payload says what."""


AGAIN: Final = 1
"""A flag of :attr:`What.CLOSED`."""


_WHATS: Final = {int(what): what for what in What}


class Kinds(IntFlag):
    """What is subscribed to of a symbol."""

    NONE = 0
    QUOTES = 1
    TRADES = 2


class Query(IntEnum):
    """What may be asked."""

    STATUS = 1
    STOP = 2


class Record(msgspec.Struct, frozen=True):
    """One record. ``number`` is its type; ``layout`` has a letter for each field:

    ``B``, ``H``, ``I``, ``Q``: a number of 1, 2, 4, 8 bytes; ``s``: u16 length and UTF-8; ``b``: u32 length
    and bytes; ``S``, ``P``, ``M``: u16 count of texts, of pairs of texts, of messages (u8 whether binary,
    then ``b``).
    """

    number: ClassVar[int]
    layout: ClassVar[str]


class Hello(Record, frozen=True):
    """The first record of a client; before its fields stand the magic and the version."""

    number, layout = 1, "Is"

    pid: int
    name: str


class Beat(Record, frozen=True):
    """Either end is still there."""

    number, layout = 2, ""


class Open(Record, frozen=True):
    """Open a WebSocket, or share one that has the same address, key, headers and sub-protocols.

    Args:
        request: answered by :class:`Opened` or :class:`Failed`.
        url: its address.
        key: what it is shared by besides; never sent anywhere.
        headers: of the upgrade.
        subprotocols: likewise.
        opening: sent first, each time it is opened.
        last_by: the member of JSON messages by whose value the last ones are kept; empty: none are.
    """

    number, layout = 3, "IssPSMs"

    request: int
    url: str
    key: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    opening: tuple[Message, ...] = ()
    last_by: str = ""


class Close(Record, frozen=True):
    """Leave a WebSocket; 0: all of them. Answered by :class:`Done`."""

    number, layout = 4, "IQ"

    request: int
    id: int


class Send(Record, frozen=True):
    """Send a message as it is."""

    number, layout = 5, "QBb"

    id: int
    is_binary: int
    payload: bytes


class Subscribe(Record, frozen=True):
    """Want a symbol; the message is sent if nobody wanted it. Answered by :class:`Done`: 1 if somebody did.

    Args:
        request: which.
        id: of the WebSocket.
        kinds: :class:`Kinds` of the symbol.
        is_binary: of both messages.
        symbol: its name.
        message: asks for it.
        release: asks for no more of it, when its last client has died; empty: nothing is sent then.
    """

    number, layout = 6, "IQBBsbb"

    request: int
    id: int
    kinds: int
    is_binary: int
    symbol: str
    message: bytes
    release: bytes = b""


class Unsubscribe(Record, frozen=True):
    """Want a symbol no more; the message is sent if nobody else does. Answered by :class:`Done`."""

    number, layout = 7, "IQBsb"

    request: int
    id: int
    is_binary: int
    symbol: str
    message: bytes


class LogLevel(Record, frozen=True):
    """What of the log is wanted: from 0 trace, 1 debug, 2 info, 3 warning, 4 error, 5 critical on; 6 none."""

    number, layout = 8, "B"

    level: int


class Ask(Record, frozen=True):
    """Ask a :class:`Query`; answered by :class:`Answer`."""

    number, layout = 9, "IB"

    request: int
    query: int


class Welcome(Record, frozen=True):
    """The first record of a broker; before its fields stand the magic and the version.

    Args:
        pid: its process.
        client: the number of the client that it speaks to, from 1; nobody else has it.
        beat_ms: how often both beat.
        dead_ms: after so long without a record of the broker it is dead.
    """

    number, layout = 33, "IIII"

    pid: int
    client: int
    beat_ms: int
    dead_ms: int


class Opened(Record, frozen=True):
    """The client shares this WebSocket; with three descriptors if it did not before: ring, seat, bell.

    Args:
        request: which.
        id: of the WebSocket.
        is_new: whether it was opened for this client, who has to log in.
        start: the position in the ring from which on it is read.
        last: so many :class:`Last` follow at once.
    """

    number, layout = 34, "IQBQI"

    request: int
    id: int
    is_new: int
    start: int
    last: int


class Last(Record, frozen=True):
    """An entry from before :attr:`Opened.start`, header included: the last one of its key."""

    number, layout = 35, "Qb"

    id: int
    entry: bytes


class Failed(Record, frozen=True):
    """What was asked is not done; ``request`` 0: nothing of what was said is, and the connection ends."""

    number, layout = 36, "Iss"

    request: int
    code: str
    reason: str


class Done(Record, frozen=True):
    """It is done."""

    number, layout = 37, "IB"

    request: int
    value: int


class Log(Record, frozen=True):
    """A line of the broker's log; see :class:`LogLevel`."""

    number, layout = 38, "Bs"

    level: int
    text: str


class Answer(Record, frozen=True):
    """The answer to a :class:`Query`, as JSON."""

    number, layout = 39, "Ib"

    request: int
    body: bytes


CLIENT: Final = (Hello, Beat, Open, Close, Send, Subscribe, Unsubscribe, LogLevel, Ask)
"""What a client says; the first one first."""
BROKER: Final = (Welcome, Beat, Opened, Last, Failed, Done, Log, Answer)
"""What a broker says; the first one first."""


class Entry(NamedTuple):
    """What stands in the ring.

    Args:
        what: :class:`What` it is.
        payload: of a message or a part of one; the words of an error or an end.
        remaining: so many bytes of the message are in the entries that follow.
        received_ns: when the broker read it, Unix nanoseconds.
        client: the number of the one whom it concerns; 0: all.
        code: with which a WebSocket was closed; 0: none was said.
        flags: e.g. :data:`AGAIN`.
    """

    what: What
    payload: bytes
    remaining: int = 0
    received_ns: int = 0
    client: int = 0
    code: int = 0
    flags: int = 0

    def encode(self) -> bytes:
        """Write it down."""
        head = ENTRY.pack(self.what, self.flags, self.code, self.remaining, self.client, 0, self.received_ns)
        return head + self.payload

    @classmethod
    def decode(cls, entry: bytes) -> Self:
        """Read it.

        Raises:
            MalformedMessage: it is none.
        """
        if len(entry) < ENTRY.size:
            raise MalformedMessage("entry", f"{len(entry)} bytes are shorter than its header")
        number, flags, code, remaining, client, _, received_ns = ENTRY.unpack_from(entry)
        what = _WHATS.get(number)
        if what is None:
            raise MalformedMessage("entry", f"{number} is nothing that an entry may be")
        return cls(what, entry[ENTRY.size :], remaining, received_ns, client, code, flags)
