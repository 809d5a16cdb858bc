"""Keep the other side subscribed to exactly what is wanted.

Theory of operation
===================
Two sets: what is *wanted*, and what the connection *holds*, that is, what the other side confirmed
on it. :meth:`Wishes.reconcile` gives back what is held and not wanted, asks for what is wanted and
not held, and goes on until the two are the same. So it does not matter when a wish changes, nor
whether a connection is new: a new one just holds nothing.

==========================================  ================================================
the adapter's answer                        what follows
==========================================  ================================================
subscribed                                  held; whoever asked is told
names the channel as refused                wanted no longer; whoever asked is told why
refuses the whole request                   asked again in halves, until one alone is refused
too long a request to be sent               asked for in halves
nothing, or the connection ended            still wanted; whoever asked is told "pending"
==========================================  ================================================

Invariants: one reconciliation at a time; what is refused is asked for once; nobody who asks waits
longer than the adapter does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from feedmux.client.events import Subscribed
from feedmux.model.adapter import Adapter, Dialogue
from feedmux.model.checks import require_kind
from feedmux.model.errors import AuthenticationFailed, LocalError, Overflow, Refused

CONFIRMED: Final = ""
"""How a wish ends that came true; any other text is the reason why not."""


class Wishes:
    """The subscriptions of one link.

    Args:
        adapter: how to ask for them.
        dialogue: with whom.
        changed: is told which channels are held from now on, and which no longer; what is only
            renewed counts as held.
        hide: takes what is secret out of a reason of the other side.
    """

    def __init__(
        self,
        adapter: Adapter,
        dialogue: Dialogue,
        changed: Callable[[Sequence[str], Sequence[str]], None],
        hide: Callable[[str], str] = str,
    ) -> None:
        self._adapter, self._dialogue, self._changed, self._hide = adapter, dialogue, changed, hide
        self._wanted: dict[str, None] = {}
        self._held: dict[str, None] = {}
        self._stale: dict[str, None] = {}
        self._askers: dict[str, list[asyncio.Future[str | None]]] = {}
        self._is_running = False
        self.refused: dict[str, str] = {}
        """What the other side refused during the latest reconciliation, and why."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """What is wanted, in the order of the wishes."""
        return tuple(self._wanted)

    @property
    def held(self) -> tuple[str, ...]:
        """What the other side confirmed on this connection."""
        return tuple(self._held)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to do."""
        return self._wanted.keys() == self._held.keys() and not self._stale

    def want(self, channels: Iterable[str]) -> list[str]:
        """Want these too; returns which of them are not held yet."""
        asked = list(dict.fromkeys(channels))
        self._wanted |= dict.fromkeys(asked)
        return [channel for channel in asked if channel not in self._held]

    def drop(self, channels: Iterable[str]) -> None:
        """Want these no longer. Whoever still waits for one is told that it is pending no more."""
        for channel in channels:
            self._wanted.pop(channel, None)
            self._tell(channel, "it was given back meanwhile")

    def renew(self, channels: Iterable[str]) -> None:
        """Give these back and ask for them again, at the next reconciliation."""
        self._stale |= dict.fromkeys(channel for channel in channels if channel in self._held)

    def forget_connection(self) -> None:
        """The connection ended: nothing is held, and whoever waits is told "pending"."""
        self._changed((), tuple(self._held))
        self._held.clear()
        self._stale.clear()
        self._postpone()

    async def fate(self, channels: Sequence[str]) -> Subscribed:
        """Wait until it is known what became of ``channels``; another task reconciles meanwhile."""
        asked = [channel for channel in channels if channel not in self._held]
        askers = {channel: self._asker(channel) for channel in asked}
        if askers:
            await asyncio.wait(askers.values())
        fates = {channel: asker.result() for channel, asker in askers.items()}
        return Subscribed(
            confirmed=tuple(c for c in channels if fates.get(c, CONFIRMED) == CONFIRMED),
            refused={c: fate for c, fate in fates.items() if fate},
            pending=tuple(c for c, fate in fates.items() if fate is None),
        )

    async def reconcile(self) -> None:
        """Make the other side's subscriptions those that are wanted; at once when they are.

        Raises:
            FeedmuxError: it is not known what the other side has. Replace the connection.
        """
        if self._is_running:
            return
        self._is_running = True
        self.refused = {}
        try:
            while not self.is_whole:
                await self._step()
        finally:
            self._is_running = False
            self._postpone()

    async def _step(self) -> None:
        """One request."""
        extra = [c for c in self._held if c not in self._wanted or c in self._stale]
        if extra:
            await self._adapter.unsubscribe(self._dialogue, extra)
            for channel in extra:
                self._held.pop(channel, None)
                self._stale.pop(channel, None)
            self._changed((), [channel for channel in extra if channel not in self._wanted])
            return
        missing = [channel for channel in self._wanted if channel not in self._held]
        refused = await self._subscribe(missing)
        require_kind("result of subscribe()", refused, Mapping, "what was refused, and why")
        there = [channel for channel in missing if channel not in refused]
        self._held |= dict.fromkeys(there)
        self._changed(there, ())
        for channel in there:
            self._tell(channel, CONFIRMED)
        for channel, said in refused.items():
            reason = self._hide(str(said))
            self._wanted.pop(channel, None)
            self.refused[channel] = reason
            self._tell(channel, reason or "no reason was given")

    async def _subscribe(self, channels: Sequence[str]) -> Mapping[str, str]:
        """Ask for ``channels``; find the guilty ones where all are refused together.

        Raises:
            Overflow: too much waits to be sent even for one.
            FeedmuxError: see :meth:`feedmux.model.adapter.Adapter.subscribe`.
        """
        try:
            return await self._adapter.subscribe(self._dialogue, channels)
        except AuthenticationFailed:
            raise
        except Overflow:
            if len(channels) == 1:
                raise
        except (Refused, LocalError) as error:
            if len(channels) == 1:
                return {channels[0]: error.reason if isinstance(error, Refused) else str(error)}
        half = len(channels) // 2
        return {**await self._subscribe(channels[:half]), **await self._subscribe(channels[half:])}

    def _asker(self, channel: str) -> asyncio.Future[str | None]:
        asker: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._askers.setdefault(channel, []).append(asker)
        return asker

    def _tell(self, channel: str, fate: str | None) -> None:
        for asker in self._askers.pop(channel, ()):
            if not asker.done():
                asker.set_result(fate)

    def _postpone(self) -> None:
        for channel in list(self._askers):
            self._tell(channel, None)
