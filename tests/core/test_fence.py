from __future__ import annotations

from feedmux.core.fence import Fence


def test_nothing_older_passes_after_something_newer() -> None:
    fence: Fence[str] = Fence()
    assert [fence.admits("a", epoch) for epoch in (5, 5, 4, 7, 5, 7, 8)] == [
        True, True, False, True, False, True, True,
    ]  # fmt: skip


def test_each_topic_has_its_own_epochs() -> None:
    fence: Fence[str] = Fence()
    assert fence.admits("a", 9)
    assert fence.admits("b", 1)
    assert len(fence) == 2


def test_what_is_forgotten_takes_no_memory() -> None:
    fence: Fence[str] = Fence()
    fence.admits("a", 9)
    fence.forget("a")
    fence.forget("a")
    assert len(fence) == 0
    assert fence.admits("a", 1)
