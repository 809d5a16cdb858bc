from __future__ import annotations

import pytest

from feedmux.bus.redis_mirror import RedisMirror, Words

RENEW = ("EXPIRE", "key", "10")
A1, A2, B1 = ("a", "1"), ("a", "2"), ("b", "1")


@pytest.fixture
def mirror() -> RedisMirror:
    return RedisMirror("key", put="HSET", remove="HDEL", ttl_s=10)


@pytest.mark.parametrize(
    ("before", "entries", "commands"),
    [
        ({}, {}, []),
        ({}, {"a": None}, []),
        ({}, {"a": A1}, [("HSET", "key", "a", "1"), RENEW]),
        ({"a": A1}, {}, [RENEW]),
        ({"a": A1}, {"a": A1}, [RENEW]),
        ({"a": A1}, {"a": A2, "b": B1}, [RENEW, ("HSET", "key", "a", "2", "b", "1")]),
        ({"a": A1}, {"a": None}, [RENEW, ("HDEL", "key", "a")]),
        ({"a": A1}, {"a": None, "b": B1}, [RENEW, ("HSET", "key", "b", "1"), ("HDEL", "key", "a")]),
    ],
)
def test_only_what_changed_is_written_and_a_key_is_never_empty_between(
    mirror: RedisMirror, before: dict[str, Words], entries: dict[str, Words | None], commands: list[Words]
) -> None:
    mirror.anew(before)
    assert mirror.turned(entries) == commands
    assert mirror.turned(entries) == ([RENEW] if len(mirror) else []), "nothing is written twice"


def test_a_key_that_was_emptied_is_given_a_time_to_live_again(mirror: RedisMirror) -> None:
    mirror.anew({"a": A1})
    mirror.turned({"a": None})
    assert mirror.turned({"a": A1})[-1] == RENEW


def test_all_of_it_is_written_in_one_step(mirror: RedisMirror) -> None:
    ((name, _, *words),) = mirror.anew({"a": A1, "b": B1})
    assert (name, words) == ("EVAL", ["1", "key", "10", "HSET", "2", "a", "1", "b", "1"])
    assert len(mirror) == 2
    assert mirror.anew({}) == mirror.clear() == [("DEL", "key")]
    assert len(mirror) == 0
