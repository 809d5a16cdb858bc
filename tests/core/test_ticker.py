from __future__ import annotations

from collections.abc import Mapping

import pytest

from feedmux.core.ticker import MAX_FIELDS, TickerMerge, Unmerged

Part = tuple[bool, int, dict[str, str]]
Result = Mapping[str, str] | Unmerged

SNAPSHOT: Part = (True, 10, {"last": "5", "mark": "6", "phase": ""})


@pytest.mark.parametrize(
    ("parts", "result"),
    [
        pytest.param([SNAPSHOT], {"last": "5", "mark": "6"}, id="a snapshot without empty texts"),
        pytest.param([(False, 11, {"last": "5"})], Unmerged.WAITING, id="a delta alone publishes nothing"),
        pytest.param(
            [SNAPSHOT, (False, 12, {"last": "7"})],
            {"last": "7", "mark": "6"},
            id="a delta changes a field",
        ),
        pytest.param(
            [SNAPSHOT, (False, 11, {"mark": ""})], {"last": "5"}, id="an empty text makes a field absent"
        ),
        pytest.param(
            [SNAPSHOT, (False, 11, {"mark": ""}), (False, 12, {"mark": "8"})],
            {"last": "5", "mark": "8"},
            id="an absent field may come back",
        ),
        pytest.param([SNAPSHOT, (False, 9, {"last": "7"})], Unmerged.DESYNC, id="a fallen order is a desync"),
        pytest.param(
            [SNAPSHOT, (False, 9, {}), (False, 13, {"last": "7"})],
            Unmerged.WAITING,
            id="after a desync only a snapshot helps",
        ),
        pytest.param(
            [SNAPSHOT, (False, 9, {}), (True, 3, {"last": "1"})],
            {"last": "1"},
            id="a snapshot heals a desync",
        ),
        pytest.param(
            [SNAPSHOT, (True, 2, {"last": "1"}), (False, 3, {"mark": "2"})],
            {"last": "1", "mark": "2"},
            id="a snapshot replaces whatever its order and begins a new count",
        ),
        pytest.param(
            [SNAPSHOT, (False, 11, {"last": "7"}), (False, 11, {"last": "7"})],
            {"last": "7", "mark": "6"},
            id="a duplicate is harmless",
        ),
        pytest.param(
            [(True, 0, {"last": "1"}), (False, 0, {"last": "2"})], {"last": "2"}, id="orders from 0"
        ),
    ],
)
def test_parts_give(parts: list[Part], result: Result) -> None:
    merge = TickerMerge()
    outcomes = [merge.apply(snapshot, order, fields) for snapshot, order, fields in parts]
    assert outcomes[-1] == result


def test_the_state_is_what_was_published_last_and_nothing_after_a_desync() -> None:
    merge = TickerMerge()
    assert merge.state == {}
    assert merge.apply(*SNAPSHOT) == merge.state == {"last": "5", "mark": "6"}
    assert merge.apply(False, 1, {}) is Unmerged.DESYNC
    assert merge.state == {}


def test_a_cleared_merge_waits_for_a_snapshot() -> None:
    merge = TickerMerge()
    merge.apply(*SNAPSHOT)
    merge.clear()
    assert merge.state == {}
    assert merge.apply(False, 99, {"last": "7"}) is Unmerged.WAITING


def test_what_was_given_is_neither_kept_nor_changed() -> None:
    merge, given = TickerMerge(), {"last": "5", "mark": "6"}
    merge.apply(True, 1, given)
    merge.apply(False, 2, {"last": "7"})
    assert given == {"last": "5", "mark": "6"}


def test_a_state_without_end_is_a_desync() -> None:
    merge = TickerMerge()
    assert merge.apply(True, 1, {f"f{n}": "1" for n in range(MAX_FIELDS)}) == merge.state
    assert len(merge.state) == MAX_FIELDS
    assert merge.apply(False, 2, {"one more": "1"}) is Unmerged.DESYNC
    assert merge.state == {}
