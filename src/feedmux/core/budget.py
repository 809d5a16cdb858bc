"""How often a peer may be asked, where messages cost differently and draw on several limits.

Theory of operation
-------------------
A :class:`Bucket` holds ``capacity`` tokens, is full at first, and fills with time up to its
capacity. A message costs tokens of one or more buckets: all of them are taken, or none.
:meth:`Budget.take` takes and says 0, or takes nothing and says how many seconds to wait; after
that wait, and not before, the same message can be taken, if nobody else took meanwhile.

=================  ========================  ================================================
the budget         take                      what happens
=================  ========================  ================================================
has enough         a message                 its tokens are taken: 0 seconds
lacks something    a message                 nothing is taken: the seconds until it is there
any                more than a capacity      :class:`~feedmux.model.errors.Unaffordable`
penalised          a message                 nothing is taken: at least what is left of it
=================  ========================  ================================================

Laws: in any span of ``t`` seconds no more than ``capacity + refill_per_s * t`` tokens leave a
bucket. A clock that goes back gives nothing twice: time stands still until it has caught up.

A shortage that a microsecond would fill counts as none. No clock keeps a shorter wait, and without
this the rounding of a float could ask for one for ever. The debt is kept, so it never adds up.

*Who waits.* A cheap message must not starve an expensive one, which would find its bucket empty
each time it looks. A :class:`Queue` lets nobody pass who draws on a bucket that someone before
him waits for; who draws on other buckets only is not held up. So messages of the same buckets
leave in the order in which they came, and an order waits for no subscription.

Deliberately absent: the clock and the timer. What venues allow stands in
:mod:`feedmux.core.allowance`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from math import inf
from operator import itemgetter
from typing import Final, Generic, TypeVar

import msgspec

from feedmux.model.checks import is_number, require_kind, require_number, require_text, require_whole, type_of
from feedmux.model.errors import InvalidMessage, InvalidSetting, Overflow, Unaffordable
from feedmux.model.ports import Statistics

_FINEST_S: Final = 1e-6


class Bucket(msgspec.Struct, frozen=True):
    """One limit of a peer.

    Args:
        capacity: tokens that it holds at most, above 0: the burst.
        refill_per_s: tokens that flow in each second, above 0.
        name: what costs call it.

    Raises:
        InvalidSetting: one of them is outside its range.
    """

    capacity: float
    refill_per_s: float
    name: str = "messages"

    def __post_init__(self) -> None:
        require_number("capacity", self.capacity, "tokens above 0", above=0)
        require_number("refill_per_s", self.refill_per_s, "tokens per second above 0", above=0)
        require_text("name", self.name)


def windowed(limit: float, seconds: float, name: str = "messages", *, burst: float | None = None) -> Bucket:
    """Make a bucket for a peer that counts by windows: so many in so many seconds.

    A bucket with this capacity *and* this rate would let nearly twice as many into one window: all
    that it holds, and what flows in meanwhile. Here both together stay within the limit, wherever
    the peer's window begins; the price is a lower steady rate.

    Args:
        limit: tokens per window, above 0.
        seconds: how long a window is, above 0.
        name: see :class:`Bucket`.
        burst: tokens at once, above 0 and below ``limit``; half of it when None.

    Raises:
        InvalidSetting: one of them is outside its range.
    """
    require_number("limit", limit, "tokens above 0", above=0)
    require_number("seconds", seconds, "a time above 0", above=0)
    capacity = limit / 2 if burst is None else burst
    if not (is_number(capacity) and 0 < capacity < limit):
        raise InvalidSetting("burst", burst, f"tokens above 0 and below {limit:g}")
    return Bucket(capacity, (limit - capacity) / seconds, name)


Cost = Callable[[str], Mapping[str, float]]
"""What a message of a method costs: tokens by the bucket's name. The same at each call."""


class Budget:
    """All that limits the messages to one peer.

    Args:
        buckets: the limits, of different names.
        cost: see :data:`Cost`.

    Raises:
        InvalidSetting: two buckets have the same name, or something is no bucket or no function.
    """

    __slots__ = ("_buckets", "_cost", "_counts", "_filled", "_left", "_shut_until", "_tokens")

    def __init__(self, buckets: Iterable[Bucket], cost: Cost) -> None:
        require_kind("buckets", buckets, Iterable, "the limits, each a Bucket")
        if not callable(cost):
            raise InvalidSetting("cost", type_of(cost), "a function of the method")
        self._buckets: dict[str, Bucket] = {}
        for bucket in buckets:
            require_kind("buckets", bucket, Bucket, "the limits, each a Bucket")
            if bucket.name in self._buckets:
                raise InvalidSetting("buckets", bucket.name, "a name for each bucket")
            self._buckets[bucket.name] = bucket
        self._cost = cost
        self._tokens = {name: bucket.capacity for name, bucket in self._buckets.items()}
        self._left = dict(self._tokens)
        self._filled = -inf  # the latest time that was seen
        self._shut_until = -inf
        self._counts = {"taken": 0, "refused": 0, "penalties": 0}

    def price(self, method: str) -> Mapping[str, float]:
        """What a message costs.

        Raises:
            InvalidMessage: the method is no text.
            Unaffordable: it costs more than a bucket ever holds.
            InvalidSetting: the cost names no bucket of this budget, or no number of tokens.
        """
        if not isinstance(method, str):
            raise InvalidMessage("method", f"a value of type {type(method).__name__}", "a text")
        price = self._cost(method)
        if not isinstance(price, Mapping):
            raise InvalidSetting(f"cost of {method!r}", type_of(price), "tokens by the name of their bucket")
        for name, tokens in price.items():
            bucket = self._buckets.get(name)
            if bucket is None:
                raise InvalidSetting(f"cost of {method!r}", name, f"one of {', '.join(self._buckets)}")
            if not (is_number(tokens) and tokens >= 0):
                raise InvalidSetting(f"cost of {method!r}", tokens, "tokens, 0 or more")
            if tokens > bucket.capacity:
                raise Unaffordable(method, name, tokens, bucket.capacity)
        return price

    def take(self, now: float, method: str) -> float:
        """Take what a message costs, if it is there.

        Whoever takes here overtakes those who wait in a :class:`Queue`.

        Args:
            now: the time on the caller's monotonic clock.
            method: what is to be sent.

        Returns:
            0 when it was taken and the message may go; else the seconds until it can be.

        Raises:
            InvalidMessage, InvalidSetting, Unaffordable: see :meth:`price`.
        """
        price = self.price(method)
        wait_s = self._wait_s(now, price)
        if wait_s:
            self._counts["refused"] += 1
            return wait_s
        for name, tokens in price.items():
            self._tokens[name] = self._left[name] = self._tokens[name] - tokens
        self._counts["taken"] += 1
        return 0.0

    def wait_s(self, now: float, method: str) -> float:
        """The seconds until a message can be taken; 0 when it can be now. Takes nothing.

        Raises:
            InvalidMessage, InvalidSetting, Unaffordable: see :meth:`price`.
        """
        return self._wait_s(now, self.price(method))

    def penalise(self, now: float, seconds: float) -> None:
        """The peer said that it was too much: nothing goes for so long. The longest one counts.

        Raises:
            InvalidSetting: ``seconds`` is no number of seconds, 0 or more.
        """
        require_number("seconds", seconds, "a time, 0 or more", least=0)
        self._shut_until = max(self._shut_until, now + seconds)
        self._counts["penalties"] += 1

    def utilisation(self, now: float) -> dict[str, float]:
        """How much of each bucket is used up, from 0, full, to 1, empty."""
        self._fill(now)
        return {
            name: min(1.0, max(0.0, 1.0 - self._tokens[name] / bucket.capacity))
            for name, bucket in self._buckets.items()
        }

    def left(self) -> dict[str, float]:
        """What the latest message that drew on a bucket left in it, by bucket; at first all of it."""
        return dict(self._left)

    def refill_per_s(self, bucket: str) -> float:
        """How many tokens flow into a bucket in each second."""
        return self._buckets[bucket].refill_per_s

    def statistics(self) -> Statistics:
        """Messages that were taken, those that were told to wait, and penalties."""
        return dict(self._counts)

    def _fill(self, now: float) -> None:
        passed_s = now - self._filled
        if passed_s > 0:
            for name, bucket in self._buckets.items():
                flowed = passed_s * bucket.refill_per_s
                self._tokens[name] = min(bucket.capacity, self._tokens[name] + flowed)
            self._filled = now

    def _wait_s(self, now: float, price: Mapping[str, float]) -> float:
        self._fill(now)
        wait_s = self._shut_until - now
        behind_s = self._filled - now  # above 0 only while the clock is behind itself
        for name, tokens in price.items():
            shortage_s = (tokens - self._tokens[name]) / self._buckets[name].refill_per_s
            if shortage_s > _FINEST_S:
                wait_s = max(wait_s, shortage_s + behind_s)
        return wait_s if wait_s > _FINEST_S else 0.0


def single(rate_per_s: float, burst: float) -> Budget:
    """Make a budget of one bucket, of which every message costs one token.

    Args:
        rate_per_s: messages per second, above 0.
        burst: messages at once, at least 1.

    Raises:
        InvalidSetting: one of them is outside its range.
    """
    require_number("burst", burst, "at least one message", least=1)
    price = {"messages": 1.0}
    return Budget([Bucket(burst, rate_per_s)], lambda _: price)


Item = TypeVar("Item", bound=Hashable)


class Queue(Generic[Item]):
    """Messages that wait for a budget; see the head of this module for who goes first.

    Args:
        budget: what they wait for.
        limit: how many may wait, at least 1.

    Raises:
        InvalidSetting: the limit is below 1.
    """

    __slots__ = ("_arrivals", "_budget", "_lanes", "_limit", "_places")

    def __init__(self, budget: Budget, limit: int) -> None:
        require_whole("limit", limit, "at least one message", least=1)
        self._budget = budget
        self._limit = limit
        self._arrivals = 0
        self._places: dict[Item, frozenset[str]] = {}
        # Those who draw on the same buckets wait in one lane: only the first of each can be next.
        self._lanes: dict[frozenset[str], dict[Item, tuple[int, str]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, item: object) -> bool:
        return item in self._places

    def push(self, method: str, item: Item) -> None:
        """Queue a message; one that waits already keeps its place.

        Args:
            method: what it costs as.
            item: what :meth:`pop` will return.

        Raises:
            Overflow: ``limit`` messages wait.
            InvalidMessage, InvalidSetting, Unaffordable: see :meth:`Budget.price`.
        """
        if item in self._places:
            return
        if len(self._places) >= self._limit:
            raise Overflow("the queue for the budget", f"{self._limit} messages")
        buckets = frozenset(self._budget.price(method))
        self._places[item] = buckets
        self._arrivals += 1
        self._lanes.setdefault(buckets, {})[item] = (self._arrivals, method)

    def pop(self, now: float) -> Item | None:
        """Take the next message that may go now, and what it costs; None when none may."""
        for method, item in self._first_in_line():
            if not self._budget.take(now, method):
                self.discard(item)
                return item
        return None

    def wait_s(self, now: float) -> float | None:
        """The seconds until :meth:`pop` has something; None when nobody waits."""
        waits_s = (self._budget.wait_s(now, method) for method, _ in self._first_in_line())
        return min(waits_s, default=None)

    def discard(self, item: Item) -> bool:
        """The message need not go any more; False when it does not wait."""
        buckets = self._places.pop(item, None)
        if buckets is None:
            return False
        lane = self._lanes[buckets]
        del lane[item]
        if not lane:
            del self._lanes[buckets]
        return True

    def _first_in_line(self) -> list[tuple[str, Item]]:
        """Those before whom nobody waits for a bucket of theirs; the longest wait comes first."""
        heads = []
        for buckets, lane in self._lanes.items():
            item, (arrival, method) = next(iter(lane.items()))
            heads.append((arrival, method, item, buckets))
        heads.sort(key=itemgetter(0))
        waited_for: set[str] = set()
        first: list[tuple[str, Item]] = []
        for _, method, item, buckets in heads:
            if waited_for.isdisjoint(buckets):
                first.append((method, item))
            waited_for |= buckets
        return first
