"""Say each beat that a node is there, in Redis, and find out whether another process has its name.

Two processes of one name do no harm to each other: whatever they say on a bus they say with the time of
their start besides. But people cannot tell them apart, and each overwrites what the other says of
itself. So both say it in their log and their health, for as long as it is so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from feedmux.bus.redis_config import RedisRefused
from feedmux.core import presence
from feedmux.core.presence import Presence
from feedmux.model.errors import FeedmuxError, MalformedMessage

LOG: Final = logging.getLogger(__name__)
RIVAL: Final = "cluster.name_taken name=%s"
ALONE: Final = "cluster.name_free name=%s"
REFUSED: Final = "cluster.presence_refused error=%s"
BEAT_S: Final = 1.0
_SOON_S: Final = 0.1
LIFE_MS: Final = 4000
"""So long after its last word a node is forgotten."""
_MOST_MISSES: Final = 3
_LAST_WORDS_S: Final = 0.5


class Caller(Protocol):
    """A connection to Redis."""

    async def call(self, *command: str | bytes) -> object:
        """Ask something; see :meth:`feedmux.bus.redis.RedisLink.call`."""


def key_of(prefix: str, name: str) -> str:
    """Under which key a node says that it is there."""
    return f"{prefix}:node:{name}"


class RedisPresence:
    """What a node says of itself.

    Args:
        caller: where Redis is asked.
        prefix: of all keys.
        name: of the node.
        life: when this process of it started, Unix nanoseconds.
        present: makes what is to be said, of this name and life.
    """

    def __init__(
        self, caller: Caller, *, prefix: str, name: str, life: int, present: Callable[[], Presence]
    ) -> None:
        self._caller, self._key, self._present = caller, key_of(prefix, name), present
        self._name, self._life = name, life
        self._is_said = False
        self._is_over = False
        self._misses = _MOST_MISSES
        self.trouble = ""
        """Why it could not be said last, until it could."""

    @property
    def has_rival(self) -> bool:
        """Whether another process writes under our key."""
        return self._misses < _MOST_MISSES

    async def run(self) -> None:
        """Say it each beat, until :meth:`leave`; the owner cancels it."""
        while not self._is_over:
            wait_s = BEAT_S
            try:
                await self._say()
                self.trouble = ""
            except RedisRefused as error:
                self._complain(error)
            except FeedmuxError:
                self._is_said = False  # there is no connection: what is found later may be of another time
                wait_s = _SOON_S
            await asyncio.sleep(wait_s)

    async def leave(self) -> None:
        """Take back what was said, unless another process has said it; a Redis that is away forgets it."""
        self._is_over = True
        with suppress(FeedmuxError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                if self._is_said and not await self._is_anothers():
                    await self._caller.call("DEL", self._key)

    async def _say(self) -> None:
        is_anothers = await self._is_anothers()
        if self._is_over:
            return
        self._note(is_met=self._is_said and is_anothers)
        await self._caller.call("SET", self._key, self._present().encode(), "PX", str(LIFE_MS))
        self._is_said = True

    async def _is_anothers(self) -> bool:
        found = await self._caller.call("GET", self._key)
        if not isinstance(found, bytes):
            return False
        try:
            return presence.read(found).life != self._life
        except MalformedMessage:
            return False  # whoever wrote it, it is no process of our name

    def _note(self, *, is_met: bool) -> None:
        """A process that was met is forgotten when it was not for a few beats."""
        had = self.has_rival
        self._misses = 0 if is_met else min(self._misses + 1, _MOST_MISSES)
        if is_met and not had:
            LOG.warning(RIVAL, self._name)
        elif had and not self.has_rival:
            LOG.info(ALONE, self._name)

    def _complain(self, error: RedisRefused) -> None:
        if str(error) != self.trouble:
            self.trouble = str(error)
            LOG.warning(REFUSED, error)
