from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.increments import ObjectLimits, Stored, sequence_of
from feedmux.model.event import EventKind
from support.examples import EXAMPLES
from support.objects import Copy, part

LIMITS = st.builds(
    ObjectLimits, increments=st.integers(0, 6), bytes=st.sampled_from([2_000, 10_000, 1_000_000])
)


@st.composite
def levels(draw: st.DrawFn, side: str) -> list[Any]:
    """A price and an amount, as texts or numbers of any spelling; asks are above 50, bids below."""
    hundredths = draw(st.integers(5_100, 5_130) if side == "asks" else st.integers(4_870, 4_900))
    price = f"{hundredths / 100:.{draw(st.integers(2, 5))}f}"
    amount = draw(st.sampled_from(["0", "0.0", "0.00", "1", "2.50", "1e3", "0.00000000000000000001"]))
    return [text if draw(st.booleans()) else Number(text) for text in (price, amount)]


class Number(str):
    """A number by its digits."""

    __slots__ = ()


def written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one) for one in value) + "]"
    return value if isinstance(value, Number) else json.dumps(value)


OTHERS = st.dictionaries(
    st.sampled_from(["at", "by", "ü"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
)


@st.composite
def snapshots(draw: st.DrawFn) -> dict[str, Any]:
    sides = {side: draw(st.lists(levels(side), max_size=5)) for side in ("asks", "bids")}
    return {**sides, **draw(OTHERS)}


@st.composite
def increments(draw: st.DrawFn) -> dict[str, Any]:
    told = draw(st.sets(st.sampled_from(["asks", "bids"])))
    is_flat = draw(st.booleans())
    return {
        **{side: draw(levels(side) if is_flat else st.lists(levels(side), max_size=3)) for side in told},
        **draw(OTHERS),
    }


UPDATES = st.tuples(st.just(EventKind.UPDATE), increments())
STORY = st.lists(
    st.one_of(UPDATES, UPDATES, UPDATES, st.tuples(st.just(EventKind.SNAPSHOT), snapshots())), max_size=40
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["asks", "bids", "sequence", "x"]), inner)
    ),
    max_leaves=8,
)


@given(limits=LIMITS, first=snapshots(), story=STORY)
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_parts_make_the_book_that_all_that_came_makes(
    limits: ObjectLimits, first: dict[str, Any], story: list[tuple[EventKind, dict[str, Any]]]
) -> None:
    stored, whole = Stored(limits), Copy()
    for seq, (kind, body) in enumerate([(EventKind.SNAPSHOT, first), *story], start=1):
        payload = written({**body, "sequence": seq}).encode()
        if kind is EventKind.SNAPSHOT:
            whole.snapshot(payload)
            stored.start(part(seq, payload, EventKind.SNAPSHOT))
        else:
            whole.increment(payload)
            assert stored.add(part(seq, payload))
        parts = stored.parts()
        assert Copy().follow(parts) == whole
        assert parts[-1].position == (1, seq)
        assert len(parts) <= 1 + limits.increments
        assert stored.size_bytes == sum(len(one.payload) for one in parts) <= limits.bytes


@given(
    limits=LIMITS,
    bodies=st.lists(
        st.one_of(st.binary(max_size=20), st.builds(lambda o: json.dumps(o).encode(), JSON)), min_size=1
    ),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_the_bodies_are_it_is_whole_or_empty_and_bounded(
    limits: ObjectLimits, bodies: list[bytes]
) -> None:
    stored = Stored(limits)
    stored.start(part(1, bodies[0], EventKind.SNAPSHOT))
    for seq, body in enumerate(bodies[1:], start=2):
        sequence_of(body)
        was_empty = stored.is_empty
        kept = stored.add(part(seq, body))
        assert stored.is_empty is not kept
        assert not (was_empty and kept)
        parts = stored.parts()
        assert [one.seq for one in parts] == list(range(parts[0].seq, seq + 1)) if parts else stored.is_empty
        assert stored.size_bytes == sum(len(one.payload) for one in parts) <= limits.bytes
        assert len(parts) <= 1 + limits.increments
