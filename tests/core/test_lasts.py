from __future__ import annotations

import pytest

from feedmux.core.lasts import MOST_KEY_CHARACTERS, MOST_MESSAGE_BYTES, Lasts


def noted(lasts: Lasts, *messages: bytes) -> list[bytes]:
    for place, message in enumerate(messages):
        lasts.note(message, place)
    return [message for message, _ in lasts.messages()]


def test_the_last_message_of_each_key_is_kept_the_oldest_first() -> None:
    lasts = Lasts("s")
    first, second, third = b'{"s":"BTC","p":1}', b'{"s":"ETH","p":2}', b'{"p":3,"s":"BTC"}'
    assert noted(lasts, first, second, third) == [second, third]
    assert lasts.messages() == [(second, 1), (third, 2)]
    assert lasts.size_bytes == len(second) + len(third)


def test_a_list_is_kept_for_all_keys_in_it_and_told_once() -> None:
    both = b'[{"S":"A"},{"S":"B"},{"T":"none"}]'
    lasts = Lasts("S")
    assert noted(lasts, both) == [both]
    assert len(lasts) == 2
    assert noted(lasts, b'[{"S":"A"}]') == [both, b'[{"S":"A"}]']


def test_a_number_is_a_key() -> None:
    assert noted(Lasts("id"), b'{"id":1}', b'{"id":2}', b'{"id":1,"x":0}') == [b'{"id":2}', b'{"id":1,"x":0}']


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no json",
        b"\xff",
        b"5",
        b"[" * 10_000,
        b'{"other":"BTC"}',
        b'{"s":null}',
        b'{"s":{"x":1}}',
        b'{"s":"' + b"k" * (MOST_KEY_CHARACTERS + 1) + b'"}',
        b'{"s":"BTC","x":"' + b"x" * MOST_MESSAGE_BYTES + b'"}',
    ],
    ids=lambda message: repr(message[:20]),
)
def test_what_has_no_such_key_is_passed_over(message: bytes) -> None:
    assert noted(Lasts("s"), message) == []


def test_without_a_member_nothing_is_kept() -> None:
    assert noted(Lasts(""), b'{"s":"BTC"}', b'{"":"BTC"}') == []


def test_the_key_that_was_silent_for_the_longest_goes_first() -> None:
    messages = [b'{"s":"%d"}' % key for key in (1, 2, 1, 3)]
    assert noted(Lasts("s", most_keys=2), *messages) == messages[2:]
    assert noted(Lasts("s", most_bytes=2 * len(messages[0])), *messages) == messages[2:]


def test_it_can_forget() -> None:
    lasts = Lasts("s")
    noted(lasts, b'{"s":"BTC"}')
    lasts.clear()
    assert (lasts.messages(), lasts.size_bytes, len(lasts)) == ([], 0, 0)
