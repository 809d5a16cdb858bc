"""A node of a cluster: its leases, the feeds that it shares, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_compat import MakeFeed, RedisCompat
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_partitions import leases_of, partition
from feedmux.bus.redis_presence import RedisPresence, key_of
from feedmux.bus.redis_source import RedisSource
from feedmux.core.lease import Terms
from feedmux.core.presence import Presence
from feedmux.model.ports import Clock, Publisher, Statistics
from feedmux.wire.mudrex import MudrexFormat
from feedmux.wire.place import Place


class RedisNode:
    """A node of a cluster: its leases, and the feeds that it shares. Its :meth:`run` ends after theirs.

    Args:
        redis: where Redis is.
        prefix: of all keys and channels.
        name: of this node; no other one has it.
        terms: of the leases.
        clock: time.
        compat: the name of the market that is also published in the Mudrex proxy's words; empty: none.
    """

    def __init__(
        self, redis: RedisConfig, *, prefix: str, name: str, terms: Terms, clock: Clock, compat: str = ""
    ) -> None:
        self._redis, self._prefix, self._name, self._clock = redis, prefix, name, clock
        self._compat = compat
        self._life, self._terms = clock.time_ns(), terms
        self._process = f"{name}/{self._life}"
        own_key = key_of(prefix, name)
        self._leases = leases_of(redis, holder=self._process, terms=terms, own_key=own_key)
        self._sources: dict[str, RedisSource] = {}
        self._facts: Callable[[], Mapping[str, Any]] = dict
        self._presence = RedisPresence(
            self._leases, prefix=prefix, name=name, life=self._life, present=self._present
        )
        self._leases.last_words = self._presence.leave
        self.close = self._leases.close

    async def run(self) -> None:
        """Seek leases, and say that we are there, until all feeds have ended; the owner awaits it."""
        saying = asyncio.ensure_future(self._presence.run())
        try:
            await self._leases.run()
        finally:
            saying.cancel()
            with suppress(asyncio.CancelledError):
                await saying

    def introduce(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Let others know more of us: what :mod:`feedmux.core.presence` has of ``address``, ``version``
        and ``clients``, asked for each time."""
        self._facts = facts

    def statistics(self) -> Statistics:
        """How Redis is reached and what it refuses; ``takeover_s`` is how long a takeover may take."""
        figures: Mapping[str, Any] = self._leases.statistics()
        link = figures["link"]
        refused = [*(lease["trouble"] for lease in figures["leases"]), self._presence.trouble]
        return {
            "name": self._name,
            "connected": link["connected"],
            "down_for": figures["down_for"],
            "trouble": next(filter(None, refused), "") if link["connected"] else link["trouble"],
            "has_rival": self._presence.has_rival,
            "takeover_s": 2 * self._terms.ttl_s,
            "link": link,
        }

    def _present(self) -> Presence:
        said = {"address": "", "version": "", "clients": 0, **self._facts()}
        return Presence(
            name=self._name,
            life=self._life,
            has_rival=self._presence.has_rival,
            markets={name: source.share() for name, source in self._sources.items()},
            **said,
        )

    def source(
        self,
        place: Place,
        make_feed: MakeFeed,
        publisher: Publisher,
        at_rest: Mapping[str, Any] | None = None,
    ) -> RedisSource:
        """Share a market's feed, which all nodes know by the market's name.

        Args:
            place: the market.
            make_feed: see :class:`RedisSource`.
            publisher: see there.
            at_rest: what the feed says of itself where it does not run.
        """
        redis, prefix = partition(self._redis, f"{self._prefix}:{place.name}")
        if place.name == self._compat:
            layout = MudrexFormat(place)
            make_feed = partial(RedisCompat, make_feed=make_feed, redis=redis, layout=layout)
        source = self._sources[place.name] = RedisSource(
            publisher,
            make_feed,
            redis=redis,
            bus=RedisBusConfig(prefix=prefix),
            leases=self._leases,
            holder=self._process,
            life=self._life,
            clock=self._clock,
        )
        source.at_rest = at_rest or {}
        return source
