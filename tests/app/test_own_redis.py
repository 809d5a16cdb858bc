from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from feedmux.app import own_redis
from feedmux.app.own_redis import NoRedisServer, OwnRedis, RedisDied, program


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place of programs."""
    monkeypatch.setattr(own_redis, "_ELSEWHERE", (str(tmp_path),))
    monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path


@pytest.fixture
def install(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script in the place of Redis, whose folders are then here, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def put(script: str) -> Path:
        path = place / "redis-server"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


def content(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_a_machine_without_it_is_told_how_to_get_it(place: Path) -> None:
    with pytest.raises(NoRedisServer) as caught:
        OwnRedis()
    sentence = f"redis-server is neither in PATH nor in {place}; install it (Debian and Ubuntu: sudo apt-get"
    assert str(caught.value).startswith(sentence)


def test_it_is_found_where_administrators_have_it(install: Callable[[str], Path]) -> None:
    path = install("")
    assert program() == str(path)


async def test_one_that_does_not_start_says_why_and_leaves_nothing(
    install: Callable[[str], Path], tmp_path: Path
) -> None:
    path = install("echo one; echo two; echo three; echo Cannot; exit 1")
    with pytest.raises(RedisDied, match=r"did not start; its last words: two; three; Cannot$"):
        async with OwnRedis():
            pass
    assert content(tmp_path) == [path]


async def test_one_that_says_nothing_is_not_waited_for_without_end(
    install: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_redis, "_START_S", 0.2)
    path = install("exec sleep 60")
    with pytest.raises(RedisDied, match="its last words: none"):
        async with OwnRedis():
            pass
    assert content(tmp_path) == [path]
