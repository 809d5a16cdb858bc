"""Who may enter, and how often at once."""

from __future__ import annotations

from feedmux.sim.alpaca_gate import Gate
from feedmux.sim.alpaca_options import Account

ACCOUNTS = (Account("me", "hunter2"), Account("you", "pässword"))


def test_only_the_secret_of_a_key_proves_it() -> None:
    gate = Gate(ACCOUNTS, 1, 0)
    assert gate.knows("me", "hunter2")
    assert gate.knows("you", "pässword")
    for key, secret in (("me", "hunter"), ("me", ""), ("you", "hunter2"), ("", ""), ("him", "hunter2")):
        assert not gate.knows(key, secret)


def test_a_key_has_one_place_at_each_feed() -> None:
    gate = Gate(ACCOUNTS, 1, 0)
    assert gate.enter(1, "iex", "me", 0)
    assert not gate.enter(2, "iex", "me", 0)
    assert gate.enter(3, "sip", "me", 0)
    assert gate.enter(4, "iex", "you", 0)


def test_a_place_is_free_when_its_connection_is_gone_and_not_before() -> None:
    gate = Gate(ACCOUNTS, 1, 0)
    gate.enter(1, "iex", "me", 0)
    gate.leave(2, 0)  # that one had none
    assert not gate.enter(3, "iex", "me", 0)
    gate.leave(1, 0)
    assert gate.enter(3, "iex", "me", 0)


def test_a_place_lingers_as_long_as_it_should() -> None:
    gate = Gate(ACCOUNTS, 1, 2.5)
    gate.enter(1, "iex", "me", 0)
    gate.leave(1, 10)
    assert not gate.enter(2, "iex", "me", 12.4)
    assert gate.enter(2, "iex", "me", 12.5)


def test_another_limit_counts_for_those_who_come() -> None:
    gate = Gate(ACCOUNTS, 1, 0)
    gate.enter(1, "iex", "me", 0)
    gate.limit = 2
    assert gate.enter(2, "iex", "me", 0)
    gate.limit = 0
    assert not gate.enter(3, "sip", "me", 0)
    assert gate.taken("iex", "me") == 2
