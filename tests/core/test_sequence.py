from __future__ import annotations

import pytest

from feedmux.core.sequence import Counter, Epochs
from feedmux.model.event import Position

MILLISECOND = 1_000_000


def test_an_epoch_is_the_unix_millisecond_in_which_it_began() -> None:
    assert Epochs().begin(1_700_000_000_123_999_999) == 1_700_000_000_123


@pytest.mark.parametrize(
    ("second_ns", "epoch"),
    [(9 * MILLISECOND, 9), (5 * MILLISECOND, 6), (0, 6), (5 * MILLISECOND + 1, 6)],
    ids=["later", "in the same millisecond", "when the clock was set back", "a nanosecond later"],
)
def test_an_epoch_is_above_the_one_before(second_ns: int, epoch: int) -> None:
    epochs = Epochs()
    assert epochs.begin(5 * MILLISECOND) == 5
    assert epochs.begin(second_ns) == epoch


def test_a_counter_stands_at_zero_and_numbers_values_from_one() -> None:
    counter = Counter(7)
    assert counter.position == Position(7, 0)
    assert [counter.advance(), counter.advance()] == [1, 2]
    assert counter.position == Position(7, 2)


def test_a_new_epoch_counts_from_one_again_and_is_above_all_before() -> None:
    counter = Counter(7)
    counter.advance()
    before = counter.position
    counter.restart(8)
    assert counter.position == Position(8, 0) > before
    assert counter.advance() == 1


@pytest.mark.parametrize("epoch", [6, 7])
def test_a_counter_takes_no_epoch_that_is_not_above_its_own(epoch: int) -> None:
    with pytest.raises(AssertionError, match="epochs only rise"):
        Counter(7).restart(epoch)
