"""Remember who wants which symbols of one WebSocket, and what was said for each.

Theory of operation
===================

A symbol has holders, a set and never a counter, and what was *sent on* for it: the messages of the first
subscription and of each one that brought kinds which nobody had asked for before.

===========================  ==================================================================
event                        what is sent on
===========================  ==================================================================
want, nobody wants it        the message, which is kept
want, with further kinds     the message, which is kept too
want, otherwise              nothing
drop, by the last holder     the message that comes with it; what was kept is forgotten
drop, otherwise              nothing
forget (a client died)       of each symbol whose last holder it was: the releases of what was kept
restore (opened again)       all that is kept, in the order in which it was sent on
===========================  ==================================================================

A restored connection has to carry what the lost one did: the first message alone would leave out the
kinds that a later one asked for.

Invariants: a symbol that nobody holds takes no memory; what is kept is bounded in number and bytes; who
wants something twice holds it once.

Deliberately absent: what the messages say, and whether they can be sent.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, NamedTuple, TypeVar

from feedmux.core.demand import Demand
from feedmux.model.errors import Overflow

MOST_SYMBOLS: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024

ClientT = TypeVar("ClientT", bound=Hashable)


class Said(NamedTuple):
    """A message for the WebSocket."""

    payload: bytes
    is_binary: bool = False

    def check(self) -> None:
        """Refuse text that is none: the other side would close the connection of all.

        Raises:
            UnicodeDecodeError: it is not UTF-8.
        """
        if not self.is_binary:
            self.payload.decode()


class _Kept(NamedTuple):
    """What was sent on for one symbol, and for which kinds."""

    kinds: int
    messages: tuple[Said, ...]
    releases: tuple[Said, ...]

    @property
    def size_bytes(self) -> int:
        return sum(len(said.payload) for said in (*self.messages, *self.releases))


_NOTHING: Final = _Kept(0, (), ())


class Wanted(Generic[ClientT]):
    """The symbols of one WebSocket; see *Theory of operation*.

    Args:
        most_symbols: so many may be wanted at once.
        most_bytes: so much may be kept of what was said for them.
    """

    __slots__ = ("_demand", "_kept", "_most_bytes", "_most_symbols", "_size_bytes")

    def __init__(self, most_symbols: int = MOST_SYMBOLS, most_bytes: int = MOST_BYTES) -> None:
        self._demand: Demand[str, ClientT] = Demand()
        self._kept: dict[str, _Kept] = {}
        self._most_symbols, self._most_bytes = most_symbols, most_bytes
        self._size_bytes = 0

    def is_news(self, symbol: str, kinds: int) -> bool:
        """Whether a subscription would be sent on."""
        kept = self._kept.get(symbol)
        return kept is None or bool(kinds & ~kept.kinds)

    def want(
        self, symbol: str, client: ClientT, kinds: int, message: Said, release: Said | None = None
    ) -> bool:
        """Note a subscription.

        Args:
            symbol: of what.
            client: by whom.
            kinds: bits, of what sort of data.
            message: asks for it.
            release: asks for no more of it; None: nothing does.

        Returns:
            Whether the message is to be sent on.

        Raises:
            Overflow: there would be too much; nothing is noted.
        """
        is_news = self.is_news(symbol, kinds)
        if is_news:
            self._keep(symbol, kinds, message, release)
        self._demand.add(symbol, client)
        return is_news

    def drop(self, symbol: str, client: ClientT) -> bool:
        """Note that a client wants a symbol no more; it need not have wanted it.

        Returns:
            Whether it was the last one, so that its message is to be sent on.
        """
        if not self._demand.remove(symbol, client):
            return False
        self._forget_symbol(symbol)
        return True

    def forget(self, client: ClientT) -> list[Said]:
        """Note that a client is gone; returns the releases that are to be sent."""
        return [
            release
            for symbol in self._demand.forget(client)
            for release in self._forget_symbol(symbol).releases
        ]

    def restore(self) -> list[Said]:
        """Return what has to be said on a connection that knows nothing."""
        return [message for kept in self._kept.values() for message in kept.messages]

    def symbols(self, client: ClientT) -> tuple[str, ...]:
        """What a client wants, in the order in which it asked."""
        return self._demand.topics(client)

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._size_bytes

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, symbol: str, kinds: int, message: Said, release: Said | None) -> None:
        before = self._kept.get(symbol, _NOTHING)
        releases = before.releases
        if release is not None and release not in releases:
            releases = (*releases, release)
        kept = _Kept(before.kinds | kinds, (*before.messages, message), releases)
        size_bytes = self._size_bytes - before.size_bytes + kept.size_bytes
        if before is _NOTHING and len(self._kept) >= self._most_symbols:
            raise Overflow("the list of symbols of this WebSocket", f"{self._most_symbols} symbols")
        if size_bytes > self._most_bytes:
            raise Overflow("what is kept of the subscriptions of this WebSocket", f"{self._most_bytes} bytes")
        self._kept[symbol] = kept
        self._size_bytes = size_bytes

    def _forget_symbol(self, symbol: str) -> _Kept:
        kept = self._kept.pop(symbol)
        self._size_bytes -= kept.size_bytes
        return kept
