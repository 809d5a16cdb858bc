from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from feedmux.app.memory import calm_collector


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    if frozen:
        gc.freeze()


def test_a_heap_that_grows_by_a_quarter_again_and_again_is_not_collected_whole() -> None:
    calm_collector()
    before = gc.get_stats()[2]["collections"]
    kept = [[number] for number in range(600_000)]
    assert gc.get_stats()[2]["collections"] == before
    assert gc.get_stats()[0]["collections"] > 0, "young circles are still found"
    assert len(kept) == 600_000
