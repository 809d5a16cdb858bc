"""Each test has a scene: a server, and a broker beside it once it asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.share_scene import ShareScene, share_scene


@pytest.fixture(name="scene")
def _scene() -> Iterator[ShareScene]:
    with share_scene() as scene:
        yield scene
