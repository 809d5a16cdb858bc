"""The broker is found by its name and user; who starts it is decided without a word."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedmux.client import local_finder
from feedmux.client.local_finder import check_name, find_broker, find_gateway
from feedmux.client.peer import Peer
from feedmux.model.errors import InvalidSetting
from feedmux.model.share_errors import ForeignGateway, NoBroker, NoGateway
from feedmux.wire.local_address import NAME_VARIABLE, gateway_address
from support.local import broker_name, is_listed
from support.local_broker import scripted_broker
from support.waiting import until


@pytest.fixture
def name() -> Iterator[str]:
    with broker_name() as name:
        yield name


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names for which a broker would have been started."""
    names: list[str] = []
    monkeypatch.setattr(local_finder, "start_broker", names.append)
    return names


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a/b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidSetting, match=r"broker: .* does not work; expected 1 to 64 letters"):
        check_name(name)


def test_who_names_none_means_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME_VARIABLE, raising=False)
    assert check_name("") == "default"
    monkeypatch.setenv(NAME_VARIABLE, "")
    assert check_name("") == "default"
    monkeypatch.setenv(NAME_VARIABLE, "tests")
    assert (check_name(""), check_name("own")) == ("tests", "own")
    monkeypatch.setenv(NAME_VARIABLE, "a b")
    with pytest.raises(InvalidSetting, match="FEEDMUX_SHARE_NAME: 'a b' does not work"):
        check_name("")


def test_a_name_is_a_text() -> None:
    with pytest.raises(InvalidSetting, match="a value of type int"):
        check_name(1)


async def test_a_broker_that_is_there_is_found_and_none_is_started(name: str, started: list[str]) -> None:
    async with scripted_broker(name) as broker:
        sock = await find_broker(name)
        with sock:
            await broker.accept()
            assert not sock.getblocking()
    assert started == []
    assert not is_listed(name), "nothing is held once it is found"


async def test_who_only_looks_starts_none(name: str, started: list[str]) -> None:
    with pytest.raises(NoBroker, match="nobody listens there"):
        await find_broker(name, may_start=False)
    assert started == []


async def test_of_many_one_starts_a_broker(name: str, started: list[str]) -> None:
    looking = [asyncio.create_task(find_broker(name)) for _ in range(20)]
    await until(lambda: started)
    async with scripted_broker(name):
        for sock in await asyncio.gather(*looking):
            sock.close()
    assert started == [name]


async def test_if_the_one_who_starts_it_takes_too_long_another_one_does(
    name: str, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_finder, "_PATIENCE_S", 0.01)
    with socket.socket(socket.AF_UNIX) as claim:
        claim.bind(f"\0feedmux-start-{os.getuid()}-{name}")
        with pytest.raises(NoBroker, match=f"none came up within 0.1 s; run `feedmux share --name {name}`"):
            await find_broker(name, within_s=0.1)
    assert started


async def test_that_the_system_starts_none_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_finder, "_DETACHED", "exit 3")
    with pytest.raises(NoBroker, match=r"it cannot be started: .* exit status 3"):
        await find_broker(name)


def test_the_broker_finds_the_package_that_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the directory: the broker's is the root."""
    monkeypatch.setenv("PYTHONPATH", "some/where")
    places = local_finder._environment()["PYTHONPATH"].split(":")
    assert places[0] == str(Path("some/where").absolute())
    assert Path(local_finder.__file__).parents[2] in map(Path, [*places, *sys.path])
    assert str(Path(local_finder.__file__).parents[2]) in places


# A gateway


async def test_a_gateway_that_is_there_is_found(name: str) -> None:
    async with scripted_broker(name, gateway_address) as gateway:
        with await find_gateway(name) as sock:
            await gateway.accept()
            assert not sock.getblocking()


async def test_a_gateway_is_never_started(name: str, started: list[str]) -> None:
    async with scripted_broker(name):  # a broker of that name is none
        with pytest.raises(NoGateway, match="start one with `feedmux serve`"):
            await find_gateway(name)
    assert started == []


async def test_a_gateway_that_has_no_time_is_not_taken_for_none(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(gateway_address(os.getuid(), name))
        busy.listen(0)
        first.connect(gateway_address(os.getuid(), name))
        with pytest.raises(NoGateway, match="cannot be reached: Resource temporarily unavailable"):
            await find_gateway(name)


async def test_a_gateway_of_another_user_is_none_of_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_finder, "peer_of", lambda _: Peer(1, 65534))
    async with scripted_broker(name, gateway_address):
        with pytest.raises(ForeignGateway, match="held by the user 65534; choose another LOCAL_NAME"):
            await find_gateway(name)
