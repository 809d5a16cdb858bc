"""Count what happens so that the counts of several parts, or processes, add up.

Theory of operation
-------------------
Statistics are mappings of plain values, so that they can be written as JSON and added elsewhere.
What their sum is, is told by a figure's value alone only for numbers and mappings; every other
figure is declared by whoever counts it, in a table of :class:`Rule`:

=============  ==============================================  =========================
rule           the sum of two                                  for example
=============  ==============================================  =========================
(none)         numbers add, mappings add key by key            messages, closes by code
``MOST``       the greater one; of two truths, either          seconds without a link
``LEAST``      the smaller one; of two truths, both            the age of the last value
``SAME``       they must be equal                              a venue's name
``JOIN``       the elements of both lists                      links
``HISTOGRAM``  :meth:`Histogram.plain` of both, added          latencies
=============  ==============================================  =========================

None means "not known" and yields to any value. A figure that only one of the two has is kept.

A :class:`Histogram` has fixed bounds, the same everywhere, so that adding is adding counts. They are
log-linear: from each power of two to the next there are 16 steps of equal width, and below 32 every
whole number has a step of its own. Every power of two begins a step, so "how many were below so much"
is exact there. Whatever the value, a percentile is off by less than a sixteenth of it.

Deliberately absent: time, decay, and a histogram's exact minimum and maximum, which would cost each
record a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, Self

from feedmux.model.errors import LocalError, MalformedMessage
from feedmux.model.ports import Statistics

_STEP_BITS: Final = 4
STEPS: Final = 1 << _STEP_BITS
"""Steps of each power of two; a percentile is off by less than one part in so many."""
_EXACT_BITS: Final = _STEP_BITS + 1
_TOP_BITS: Final = 40
CEILING: Final = 1 << _TOP_BITS
"""Values from it on are counted and not told apart; in nanoseconds it is 18 minutes."""
_SIZE: Final = (_TOP_BITS - _EXACT_BITS + 2) * STEPS + 1
"""All steps, and a last one for what is not told apart."""


class Rule(Enum):
    """What the sum of a figure is that does not simply add; see the head of this module."""

    MOST = "most"
    LEAST = "least"
    SAME = "same"
    JOIN = "join"
    HISTOGRAM = "histogram"


Rules = Mapping[str, "Rule | Rules"]
"""The rules of the figures that need one, by name; of a mapping's figures in a table of its own."""


class NoSum(LocalError):
    """Two figures that cannot be added: nobody declared how, or they differ and must not.

    Args:
        name: the figure.
        one: its value in one place.
        other: and in the other.
        expected: what would have been right.
    """

    code = "NO_SUM"

    def __init__(self, name: str, one: object, other: object, expected: str) -> None:
        super().__init__(name, one, other, expected)
        self.name, self.one, self.other, self.expected = name, one, other, expected

    def __str__(self) -> str:
        return f"{self.name}: {self.one!r} and {self.other!r} have no sum; expected {self.expected}"


class Histogram:
    """How often values of each size came; whole numbers, for durations nanoseconds."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * _SIZE
        self._sum = 0

    def record(self, value: int) -> None:
        """Count a value; one below 0 counts as 0. Allocates nothing."""
        if value < 32:  # 1 << _EXACT_BITS, spelt out like the others below: this runs often
            self._counts[max(0, value)] += 1
            self._sum += max(0, value)
            return
        self._sum += value
        shift = value.bit_length() - 5
        try:
            self._counts[(shift << 4) + (value >> shift)] += 1
        except IndexError:
            self._counts[-1] += 1

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self._counts)

    @property
    def sum(self) -> int:
        """The values, added."""
        return self._sum

    def percentile(self, percent: float) -> int | None:
        """Return what so many percent of the values do not exceed, as the greatest value of its step.

        Args:
            percent: above 0, at most 100.

        Returns:
            Never less than the true value (the nearest rank's), and more by less than a sixteenth
            of it; at most :data:`CEILING`; None when nothing was recorded.
        """
        count = self.count
        rank = max(1, -int(-percent * count // 100))
        seen = 0
        for index, here in enumerate(self._counts):
            seen += here
            if here and seen >= rank:
                return greatest(index)
        return None

    def below(self, *limits: int) -> Iterator[int]:
        """Yield for each limit how many values are below it; exact where a step begins.

        Args:
            limits: rising, from 0 to :data:`CEILING`.
        """
        seen, index = 0, 0
        for limit in limits:
            end = _index(limit)
            seen += sum(self._counts[index:end])
            index = end
            yield seen

    def add(self, other: Histogram) -> None:
        """Count in what ``other`` counted; it is not changed."""
        self._sum += other._sum
        self._counts = [one + two for one, two in zip(self._counts, other._counts, strict=True)]

    def plain(self) -> list[int]:
        """Return the sum of the values, then step and count of each step that has any."""
        steps = ((index, count) for index, count in enumerate(self._counts) if count)
        return [self._sum, *(number for step in steps for number in step)]

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """Read what :meth:`plain` wrote.

        Raises:
            MalformedMessage: it did not write that.
        """
        if not (isinstance(plain, list) and len(plain) % 2 and all(_is_whole(n) for n in plain)):
            raise MalformedMessage("histogram", "it is no list of an odd number of whole numbers from 0")
        found = cls()
        found._sum = plain[0]
        for index, count in zip(plain[1::2], plain[2::2], strict=True):
            if index >= _SIZE:
                raise MalformedMessage("histogram", f"it has a step {index}; the last one is {_SIZE - 1}")
            found._counts[index] += count
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.plain() == other.plain()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = " ".join(f"p{p:g}={self.percentile(p)}" for p in (50, 99, 100))
        return f"<Histogram count={self.count} {shown}>"


def greatest(index: int) -> int:
    """Return the greatest value of a step; of the last one :data:`CEILING`, which has none."""
    shift = max(0, (index >> _STEP_BITS) - 1)
    return min(CEILING, ((index - (shift << _STEP_BITS) + 1) << shift) - 1)


def add_up(one: Statistics, other: Statistics, rules: Rules | None = None) -> dict[str, Any]:
    """Return the sum of two statistics of the same kind; both are left as they are.

    Whatever the order of the additions, the sum is the same, except that of :attr:`Rule.JOIN`, whose
    elements follow it.

    Args:
        one: statistics.
        other: more of them.
        rules: of the figures that are neither numbers nor mappings of such, or do not simply add.

    Raises:
        NoSum: a figure has no rule and needs one, or its values do not fit its rule.
        MalformedMessage: a figure should be a histogram and is none.
    """
    table = rules or {}
    total = dict(one)
    for name, value in other.items():
        known = total.get(name)
        total[name] = value if known is None else _sum_of(name, known, value, table.get(name))
    return total


def _sum_of(name: str, one: Any, other: Any, rule: Rule | Rules | None) -> Any:
    if other is None:
        return one
    if isinstance(one, Mapping) and isinstance(other, Mapping) and not isinstance(rule, Rule):
        return add_up(one, other, rule)
    if rule is None and _adds(one) and _adds(other):
        return one + other
    if isinstance(rule, Rule):
        return _by_rule(name, one, other, rule)
    raise NoSum(name, one, other, "numbers, mappings, or a rule that says how")


def _by_rule(name: str, one: Any, other: Any, rule: Rule) -> Any:
    if rule is Rule.HISTOGRAM:
        total = Histogram.from_plain(one)
        total.add(Histogram.from_plain(other))
        return total.plain()
    if rule is Rule.JOIN:
        if not (isinstance(one, list) and isinstance(other, list)):
            raise NoSum(name, one, other, "two lists")
        return [*one, *other]
    if rule is Rule.SAME:
        if one != other:
            raise NoSum(name, one, other, "the same value twice")
        return one
    if not (isinstance(one, int | float) and isinstance(other, int | float)):
        raise NoSum(name, one, other, "two numbers, or two truths")
    return max(one, other) if rule is Rule.MOST else min(one, other)


def _index(value: int) -> int:
    """The step of a value from 0 to :data:`CEILING`."""
    shift = max(0, value.bit_length() - _EXACT_BITS)
    return (shift << _STEP_BITS) + (value >> shift)


def _adds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
