"""Decide who writes: one node at a time holds a lease, and stops before another one may have it.

Theory of operation
===================

::

             start            granted
      idle ─────────▶ seeking ────────▶ held ⟲ granted (renewed)
                         ▲               │
                         └───────────────┘ refused, its time is over, or renounced

      close leads from every state to closed; a lease that was held is released.

A tenure whose time is over has *lapsed*. It goes on with its own token if nobody else had the lease
meanwhile, which Redis knows unless it was started again; until then nobody may write, but its epochs are
still nobody else's, so that what does not need the lease (the holder's own clients) can go on. It is over
for good when Redis names another holder.

Redis gives the lease for ``ttl_s`` (:mod:`feedmux.core.lease_record` says to whom and when). The holder
counts from the moment at which it *asked*, on its own clock, and only ``valid_s`` of it: less by how much
its clock may go slower than that of Redis, and by a margin in which it stops. So it has stopped before
Redis gives the lease to another, however long the answer was on its way, and although neither knows the
other's time.

What it does between two looks at the clock it cannot know: a process may be stopped for any time between
:meth:`Lease.may_write` and the sending. Against that readers drop what has an older epoch than
what they have; and a tenure's epochs are its own, because Redis gives every tenure a range of them.

An ask belongs to the connection over which it is sent. When that ends, :meth:`Lease.cut` forgets it,
and the driver lets nothing of it reach another connection: an ask that is delivered to a Redis that
was started meanwhile would speak of a time that is no more.

Invariants:

- :meth:`Lease.may_write` is true for at most one of all leases of a name, provided that clocks drift by no
  more than ``drift`` and nobody sets the clock of Redis forward.
- Once :meth:`Lease.may_write` was false, it is true again only after :data:`Change.LOST` and
  :data:`Change.GAINED`, even if a renewal is answered late: what was not written meanwhile is missing, and
  only who hears of it can say so.
- No epoch is begun by two tenures, provided that nobody sets the clock of Redis back by more than the margin
  while Redis loses its memory; and even then not, if the new holder has seen the older epoch.
- Two asks over one connection are at least ``look_s`` (seeking) or ``renew_s`` (held) apart.

The driver's clock goes on while the machine sleeps (``CLOCK_BOOTTIME``); Python's ``time.monotonic`` on
Linux does not.

Deliberately absent: the clock, the timer (:attr:`Lease.wake_at` says when to look), the connection, and
what is done with the lease: it is said when it is gained and lost.

Source: M. Kleppmann, "How to do distributed locking", 2016: why a lease needs a token that is checked where
the data arrive.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from feedmux.core.lease_record import MAX_EPOCH, Act, Answer, Ask
from feedmux.model.checks import require_number
from feedmux.model.errors import IllegalEvent, InvalidSetting

_MS: Final = 1000
_FOREVER: Final = float("inf")


class State(StrEnum):
    """Where a node is."""

    IDLE = "idle"
    SEEKING = "seeking"
    HELD = "held"
    CLOSED = "closed"


class Change(StrEnum):
    """What became of the lease."""

    NONE = "none"
    GAINED = "gained"
    """It is ours: write, with epochs from :meth:`Lease.begin`."""
    LOST = "lost"
    """It is not ours any more: stop writing."""
    TAKEN = "taken"
    """Another node has it: the tenure that had lapsed will not go on."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lease lasts; the same for all nodes. Seconds.

    Args:
        ttl_s: for how long Redis gives it. So long after the death of a holder another one follows.
        renew_s: how often it is renewed.
        look_s: how often who seeks it asks.
        margin_s: how long before its end the holder stops.
        drift: while the holder's clock counts one second, that of Redis counts at most ``1 + drift``.

    Raises:
        InvalidSetting: a value is outside its range, or leaves no time for two renewals.
    """

    ttl_s: float = 3.0
    renew_s: float = 1.0
    look_s: float = 0.5
    margin_s: float = 0.3
    drift: float = 0.01

    def __post_init__(self) -> None:
        for name in ("ttl_s", "renew_s", "look_s", "margin_s"):
            require_number(name, getattr(self, name), "seconds above 0", above=0)
        require_number("drift", self.drift, "a part from 0 to 1", least=0, most=1)
        if 2 * self.renew_s > self.valid_s:
            expected = f"at most half of {self.valid_s:g} s, which the other terms leave of ttl_s"
            raise InvalidSetting("renew_s", self.renew_s, expected)

    @property
    def valid_s(self) -> float:
        """How long the holder may write after it asked, by its own clock."""
        return self.ttl_s / (1 + self.drift) - self.margin_s

    @property
    def ttl_ms(self) -> int:
        """``ttl_s`` in milliseconds, at least as long."""
        return -int(-self.ttl_s * _MS // 1)


class Asked(msgspec.Struct, frozen=True):
    """An ask to be sent.

    Args:
        serial: names it in :meth:`Lease.answered`.
        ask: what is asked.
    """

    serial: int
    ask: Ask


class _Tenure:
    """What the holder knows of its time: from when to when, and which epochs are its own."""

    __slots__ = ("heard_at", "heard_ms", "token", "top", "valid_until")

    def __init__(self, token: int) -> None:
        self.token = token
        self.valid_until = 0.0
        self.top = 0
        self.heard_at = 0.0
        self.heard_ms = 0

    def prolong(self, answer: Answer, valid_until: float, now: float) -> None:
        """Redis granted it, or granted it again."""
        self.valid_until = max(self.valid_until, valid_until)
        self.top = max(self.top, answer.top)
        self.heard_at, self.heard_ms = now, answer.now_ms

    def redis_ms(self, now: float) -> int:
        """The time of Redis, as it would be if both clocks were alike; never later but for the drift."""
        return self.heard_ms + int((now - self.heard_at) * _MS)


class Lease:
    """One node's part. Tell it what happened and when; it says what to ask, and whether it may write.

    All times are seconds on the node's own clock, which never goes back.

    Args:
        holder: a name that no other process has or had.
        terms: the same for all nodes.
    """

    __slots__ = (
        "_asked",
        "_highest",
        "_holder",
        "_lapsed",
        "_next_at",
        "_serial",
        "_state",
        "_tenure",
        "_terms",
    )

    def __init__(self, holder: str, terms: Terms) -> None:
        self._holder = holder
        self._terms = terms
        self._state = State.IDLE
        self._tenure: _Tenure | None = None
        self._lapsed: _Tenure | None = None
        self._asked: dict[int, tuple[float, Ask]] = {}
        self._serial = 0
        self._highest = 0
        self._next_at = _FOREVER

    # What is known

    @property
    def state(self) -> State:
        """Where the node is."""
        return self._state

    @property
    def token(self) -> int:
        """The epoch with which the present tenure began, or the one that lapsed; 0 without one."""
        tenure = self._tenure or self._lapsed
        return tenure.token if tenure is not None else 0

    @property
    def ends_at(self) -> float:
        """When :meth:`may_write` ends, if it is not renewed; infinity: it is not ours."""
        return self._tenure.valid_until if self._tenure is not None else _FOREVER

    @property
    def wake_at(self) -> float:
        """When to call :meth:`check` and :meth:`ask`, if nothing happens before; infinity: not at all."""
        return min(self._next_at, self.ends_at)

    def may_write(self, now: float) -> bool:
        """Whether the lease is ours for certain. Look right before what depends on it."""
        return self._tenure is not None and now < self._tenure.valid_until

    def begin(self, now: float, above: int = 0) -> int | None:
        """Begin an epoch of our tenure.

        Args:
            now: the time.
            above: the epoch that the topic had before.

        Returns:
            Unix milliseconds by the clock of Redis, or a little more; of a tenure that has lapsed the first
            one above ``above``. None without a tenure, or when it has none left above ``above``.
        """
        tenure = self._tenure or self._lapsed
        if tenure is None:
            return None
        epoch = max(tenure.token, above + 1)
        if self.may_write(now):
            epoch = max(epoch, tenure.redis_ms(now))
        if epoch >= tenure.top:
            return None
        self.observe(epoch)
        return epoch

    # What happens

    def start(self, now: float) -> None:
        """Seek the lease.

        Raises:
            IllegalEvent: it was started or closed before.
        """
        if self._state is not State.IDLE:
            raise IllegalEvent("lease", self._state.value, "start")
        self._state, self._next_at = State.SEEKING, now

    def ask(self, now: float) -> Asked | None:
        """What to ask Redis now, over a connection that stands; None: nothing."""
        if now < self._next_at:
            return None
        if self._state is State.SEEKING:
            self._next_at = now + self._terms.look_s
            return self._note(Act.ACQUIRE, now)
        if not self.may_write(now):
            return None  # too late to renew: check() will say that it is lost
        self._next_at = now + self._terms.renew_s
        return self._note(Act.RENEW, now)

    def answered(self, serial: int, answer: Answer, now: float) -> Change:
        """Take an answer; one to an ask that was forgotten changes nothing."""
        asked_at, ask = self._asked.pop(serial, (0.0, None))
        if ask is None:
            return Change.NONE
        if ask.act is Act.ACQUIRE:
            return self._acquired(asked_at, answer, now)
        if not answer.granted or not self.may_write(now):
            return self._lose(now)
        assert self._tenure is not None, "asks of a tenure are forgotten with it"
        self._tenure.prolong(answer, asked_at + self._terms.valid_s, now)
        return Change.NONE

    def failed(self, serial: int) -> None:
        """Redis did not answer what was asked, but refused it; it is asked again in its time."""
        self._asked.pop(serial, None)

    def cut(self, now: float) -> None:
        """The connection ended, and with it what was asked; what is held is held until its time is over."""
        self._asked.clear()
        if self._state in (State.SEEKING, State.HELD):
            self._next_at = now

    def check(self, now: float) -> Change:
        """Look at the clock: whether the lease is lost because its time is over."""
        if self._tenure is not None and not self.may_write(now):
            return self._lose(now)
        return Change.NONE

    def observe(self, epoch: int) -> None:
        """An epoch of this lease was used, here or elsewhere: no later tenure begins at or below it."""
        if epoch < MAX_EPOCH:
            self._highest = max(self._highest, epoch)

    def renounce(self, now: float) -> None:
        """End the tenure, held or lapsed, without a word, and seek another one: that of a holder whose
        epochs are used up. It begins when Redis takes this one for over."""
        self._tenure = self._lapsed = None
        self._asked.clear()
        if self._state is State.HELD:
            self._state, self._next_at = State.SEEKING, now + self._terms.look_s

    def close(self, now: float) -> Ask | None:
        """Want it no more.

        Returns:
            What to tell Redis so that others need not wait; None: nothing. Nothing that was begun may be
            written after that was sent.
        """
        release = self._make(Act.RELEASE) if self.may_write(now) else None
        self._state, self._next_at = State.CLOSED, _FOREVER
        self._tenure = self._lapsed = None
        self._asked.clear()
        return release

    # Parts

    def _acquired(self, asked_at: float, answer: Answer, now: float) -> Change:
        valid_until = asked_at + self._terms.valid_s
        if not answer.granted:
            return self._found_held(answer)
        if self._tenure is not None or now >= valid_until:
            return Change.NONE
        self._tenure, self._lapsed = self._lapsed, None
        if self._tenure is None or self._tenure.token != answer.token:
            self._tenure = _Tenure(answer.token)
        self._tenure.prolong(answer, valid_until, now)
        self._state, self._next_at = State.HELD, asked_at + self._terms.renew_s
        self._asked.clear()
        return Change.GAINED

    def _found_held(self, answer: Answer) -> Change:
        """Nothing was granted; another's tenure that is later than ours ended ours."""
        if self._lapsed is None or answer.token <= self._lapsed.token:
            return Change.NONE
        self._lapsed = None
        return Change.TAKEN

    def _lose(self, now: float) -> Change:
        self._tenure, self._lapsed = None, self._tenure
        self._asked.clear()
        self._state, self._next_at = State.SEEKING, now
        return Change.LOST

    def _note(self, act: Act, now: float) -> Asked:
        self._serial += 1
        ask = self._make(act)
        self._asked[self._serial] = (now, ask)
        return Asked(self._serial, ask)

    def _make(self, act: Act) -> Ask:
        return Ask(act, self._holder, self.token, self._highest, self._terms.ttl_ms)

    def __repr__(self) -> str:
        return f"<Lease {self._state} token={self.token} asked={len(self._asked)}>"
