"""Ask Redis for leases, in time: what drives :mod:`feedmux.core.lease`.

All leases of a node share one connection. Whoever wants one is told when it is gained and lost, on the
event loop, and may ask at any time whether it is still held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.core.lease import Asked, Change, Lease, Terms
from feedmux.core.lease_epochs import LeaseEpochs
from feedmux.core.lease_record import SCRIPT, Answer, Ask
from feedmux.model.errors import FeedmuxError, MalformedMessage
from feedmux.model.ports import Statistics
from feedmux.model.topic import Topic

LOG: Final = logging.getLogger(__name__)
CHANGED: Final = "cluster.lease_%s lease=%s token=%d"
FAILED: Final = "cluster.lease_failed lease=%s error=%s"

_LEAST_WAIT_S: Final = 0.001


async def _nothing() -> None:
    """Say nothing."""


def boottime() -> float:
    """Seconds on a clock that goes on while the machine sleeps, where it has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def node_of(holder: str) -> str:
    """The name of the node that a holder is a process of; empty: of nobody."""
    return holder.rpartition("/")[0] or holder


class Candidate(Protocol):
    """Who wants a lease; may not block and may not raise."""

    def gained(self, token: int) -> None:
        """It is ours from now on; with the token of before, a tenure that had lapsed goes on."""

    def seen(self) -> int:
        """The highest epoch, or life of a writer, that it knows of: the next tenure begins above; 0: none."""

    def lost(self) -> None:
        """It is not ours for certain any more. The tenure may go on later."""

    def taken(self) -> None:
        """Another node has it; the tenure that had lapsed is over."""


class RedisLease:
    """One lease of a node. Made by :meth:`RedisLeases.add`."""

    def __init__(
        self,
        key: str,
        lease: Lease,
        candidate: Candidate,
        clock: Callable[[], float],
        leave: Callable[[], None],
    ) -> None:
        self.key, self.lease, self._candidate, self._clock = key, lease, candidate, clock
        self._leave = leave
        self._epochs = LeaseEpochs(lease)
        self._life = 0
        self.holder = ""
        """Who has it, as Redis said last; empty: nobody, or it is not known."""
        self.trouble = ""
        """Why Redis could not be asked last, until it could."""
        self._held_at = clock()

    def leave(self) -> None:
        """Want it no more; when all leases of the node were left, what is held is given back."""
        self._leave()

    def may_write(self) -> bool:
        """Whether it is ours now."""
        return self.lease.may_write(self._clock())

    def begin(self, topic: Topic) -> int | None:
        """Begin an epoch of a topic; see :meth:`feedmux.core.lease_epochs.LeaseEpochs.begin`."""
        return self._epochs.begin(topic, self._clock())

    def new_life(self) -> int | None:
        """The life of another writer of our tenure, above those of all before; None: see :meth:`begin`.

        Each time the lease is gained it is another writer, also if the tenure goes on: what was not said
        meanwhile is missing, and by a later life readers know it.
        """
        life = self.lease.begin(self._clock(), self._life)
        self._life = self._life if life is None else life
        return life

    def renounce(self) -> None:
        """End a tenure that has no epochs left; see :meth:`feedmux.core.lease.Lease.renounce`."""
        self.lease.renounce(self._clock())

    @property
    def beyond(self) -> int:
        """Above all epochs that were begun."""
        return self._epochs.beyond

    def statistics(self) -> Statistics:
        """How it stands; ``free_for`` is for how many seconds Redis has not named a holder."""
        return {
            "lease": self.key,
            "held": self.may_write(),
            "token": self.lease.token,
            "holder": node_of(self.holder),
            "free_for": 0.0 if self.holder else self._clock() - self._held_at,
            "trouble": self.trouble,
        }

    def look(self, now: float) -> None:
        """See whether it was lost, and what others have said meanwhile."""
        self.tell(self.lease.check(now))
        self.lease.observe(self._candidate.seen())

    def heard(self, answer: Answer) -> None:
        """Redis could be asked."""
        is_held = answer.granted or answer.until_ms > answer.now_ms
        self.trouble, self.holder = "", answer.holder if is_held else ""
        if self.holder:
            self._held_at = self._clock()

    def tell(self, change: Change) -> None:
        """Let the candidate know."""
        if change is Change.NONE:
            return
        LOG.info(CHANGED, change.value, self.key, self.lease.token)
        if change is Change.GAINED:
            self._candidate.gained(self.lease.token)
        elif change is Change.LOST:
            self._candidate.lost()
        else:
            self._candidate.taken()

    def failed(self, error: FeedmuxError) -> None:
        """It could not be asked for; said once."""
        if str(error) != self.trouble:
            self.trouble = str(error)
            LOG.warning(FAILED, self.key, error)


class RedisLeases:
    """All leases of a node, over one connection.

    Args:
        redis: where Redis is.
        holder: a name that no other process has or had.
        terms: the same for all nodes.
        clock: seconds that go on while the machine sleeps.
    """

    def __init__(
        self, redis: RedisConfig, *, holder: str, terms: Terms, clock: Callable[[], float] = boottime
    ) -> None:
        self._holder, self._terms, self._clock = holder, terms, clock
        self._link = RedisLink(redis, self)
        self._leases: list[RedisLease] = []
        self._changed = asyncio.Event()
        self._left = 0
        self._down_since: float | None = clock()
        self.last_words: Callable[[], Awaitable[None]] = _nothing
        """Said when all leases were given back, over the same connection."""

    def add(self, key: str, candidate: Candidate) -> RedisLease:
        """Seek the lease that is kept under this key, from :meth:`run` on."""
        lease = RedisLease(key, Lease(self._holder, self._terms), candidate, self._clock, self._leave)
        self._leases.append(lease)
        return lease

    async def run(self) -> None:
        """Seek and renew until all leases were left, then give back what is held; the owner awaits it.

        What is still said with a lease when it is left has to be said before.
        """
        for lease in self._leases:
            lease.lease.start(self._clock())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            try:
                while self._left < len(self._leases):
                    self._changed.clear()
                    self._look(tasks)
                    await self._sleep()
            finally:
                await self._give_back()
                await self.last_words()
                self._link.close()

    def close(self) -> None:
        """Nothing: see :meth:`run`."""

    def statistics(self) -> Statistics:
        """How the leases stand, and the connection."""
        down_for = 0.0 if self._down_since is None else self._clock() - self._down_since
        leases = [lease.statistics() for lease in self._leases]
        return {"leases": leases, "down_for": down_for, "link": self._link.statistics()}

    async def call(self, *command: str | bytes) -> Any:
        """Ask Redis something else; see :meth:`feedmux.bus.redis.RedisLink.call`."""
        return await self._link.call(*command)

    # What the link tells

    def opened(self) -> None:
        """Now it can be asked."""
        self._down_since = None
        self._changed.set()

    def disconnected(self, error: FeedmuxError) -> None:
        """What was asked is not known to have been heard."""
        self._down_since = self._clock()
        for lease in self._leases:
            lease.lease.cut(self._down_since)
        self._changed.set()

    def message(self, channel: bytes, body: bytes) -> None:
        """Nothing is subscribed to."""

    def mark(self, channel: bytes, count: int) -> bytes | None:
        """Nothing is published."""

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """Nothing is published or subscribed to."""

    # Time

    def _leave(self) -> None:
        self._left += 1
        self._changed.set()

    def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Do what is due."""
        now = self._clock()
        for lease in self._leases:
            lease.look(now)
            if self._link.is_open and (asked := lease.lease.ask(now)) is not None:
                tasks.create_task(self._ask(lease, asked))

    async def _sleep(self) -> None:
        """Until something is due, or happens."""
        wake_at = min((self._wake_at(lease.lease) for lease in self._leases), default=float("inf"))
        wait_s = max(wake_at - self._clock(), _LEAST_WAIT_S)
        try:
            await asyncio.wait_for(self._changed.wait(), None if wait_s == float("inf") else wait_s)
        except TimeoutError:
            return

    def _wake_at(self, lease: Lease) -> float:
        """Without a connection nothing can be asked; only what is held can end."""
        return lease.wake_at if self._link.is_open else lease.ends_at

    async def _ask(self, lease: RedisLease, asked: Asked) -> None:
        try:
            reply = await self._call(lease.key, asked.ask)
        except (RedisRefused, MalformedMessage) as error:
            lease.lease.failed(asked.serial)
            lease.failed(error)
            return
        except FeedmuxError:
            return  # the connection ended: disconnected() says so
        lease.heard(reply)
        lease.tell(lease.lease.answered(asked.serial, reply, self._clock()))
        self._changed.set()

    async def _call(self, key: str, ask: Ask) -> Answer:
        return Answer.read(await self._link.call("EVAL", SCRIPT, "1", key, *ask.arguments()))

    async def _give_back(self) -> None:
        """Let others have what is held, at once; a Redis that is away learns it by time."""
        deadline = asyncio.get_running_loop().time() + self._terms.margin_s
        releases = [(lease, lease.lease.close(self._clock())) for lease in self._leases]
        for lease, release in releases:
            if release is None:
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    await self._call(lease.key, release)
            except (FeedmuxError, TimeoutError) as error:
                LOG.info(FAILED, lease.key, error)
