"""Marks by place: what a file is called says how its tests are run.

Thousands of tests are held while some run: what is not run is not read, and the rest is set aside.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

STORIES = Path(__file__).parent / "e2e"


@cache
def mark_of(path: Path) -> str:
    """The mark of every test in a file; empty: none."""
    if STORIES in path.parents:
        return "e2e"
    return "law" if path.stem.endswith("_laws") else ""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read a file whose mark is not wanted; None: no opinion."""
    mark = mark_of(collection_path)
    unwanted = str(config.option.markexpr).split(" and ")
    return True if mark and f"not {mark}" in unwanted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := mark_of(item.path):
            item.add_marker(mark)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect circles neither among the thousands of tests while they are gathered, nor ever after."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
