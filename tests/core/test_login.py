from __future__ import annotations

import pytest

from feedmux.core.login import NOBODY, PATIENCE_S, Login


@pytest.fixture
def login() -> Login:
    return Login(has_opening=False)


def test_opening_messages_spare_everybody_the_login() -> None:
    login = Login(has_opening=True)
    login.opened_for(1)
    assert login.named == NOBODY
    assert login.opened_again([1, 2], 0.0) == NOBODY
    assert login.until is None


def test_the_first_to_share_it_logs_in_again_and_what_is_wanted_follows_its_subscription(
    login: Login,
) -> None:
    assert login.opened_again([3, 1], 10.0) == 3
    assert login.until == 10.0 + PATIENCE_S
    login.spoke(3)
    assert not login.subscribed(1)
    assert login.subscribed(3)
    assert login.until is None
    assert not login.subscribed(3)


def test_what_is_wanted_follows_without_a_login_in_the_end(login: Login) -> None:
    login.opened_again([1], 10.0)
    assert not login.is_due(10.0 + PATIENCE_S - 0.1)
    assert login.is_due(10.0 + PATIENCE_S)
    assert not login.is_due(10.0 + PATIENCE_S)
    assert not login.subscribed(1)


def test_who_leaves_before_it_said_anything_is_replaced(login: Login) -> None:
    login.opened_again([1, 2, 3], 10.0)
    assert login.left(2, [1, 3], 11.0) == NOBODY
    assert login.left(1, [3], 12.0) == 3
    assert login.until == 12.0 + PATIENCE_S
    assert login.left(3, [], 13.0) == NOBODY


def test_who_leaves_after_it_said_something_is_not(login: Login) -> None:
    login.opened_again([1, 2], 10.0)
    login.spoke(1)
    assert login.left(1, [2], 11.0) == NOBODY
    assert login.until == 10.0 + PATIENCE_S
    assert login.is_due(10.0 + PATIENCE_S)


def test_for_whom_it_was_opened_is_replaced_too_but_nothing_waits(login: Login) -> None:
    login.opened_for(1)
    assert login.until is None
    assert login.left(1, [2], 1.0) == 2
    assert login.until is None
    login.spoke(2)
    assert login.left(2, [3], 1.0) == NOBODY


def test_a_lost_connection_names_nobody(login: Login) -> None:
    login.opened_again([1], 10.0)
    login.lost()
    assert (login.named, login.until) == (NOBODY, None)
    assert login.left(1, [2], 11.0) == NOBODY
