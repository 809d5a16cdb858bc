"""Marks by place: what a file is called says how its tests are run."""

from __future__ import annotations

from pathlib import Path

import pytest

STORIES = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if STORIES in item.path.parents:
            item.add_marker(pytest.mark.e2e)
        elif item.path.stem.endswith("_laws"):
            item.add_marker(pytest.mark.law)
