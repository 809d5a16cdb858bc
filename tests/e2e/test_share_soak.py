"""Clients come and go at a broker, in peace and by force, again and again; `make soak` has more rounds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.share_scene import BrokerProcess, ShareScene, share_scene, wait_until

pytestmark = pytest.mark.e2e

ROUNDS: Final = int(os.environ.get("FEEDMUX_SHARE_ROUNDS", "100"))
WARM_UP: Final = 50
MOST_GROWTH_KB: Final = 2_048
"""An allocator keeps some of what it had; a client that is kept costs more than this over the rounds."""


@pytest.fixture(name="scene")
def _scene() -> Iterator[ShareScene]:
    with share_scene() as scene:
        yield scene


def descriptors(broker: BrokerProcess) -> int:
    return len(list(Path(f"/proc/{broker.process.pid}/fd").iterdir()))


def come_and_go(scene: ShareScene, number: int) -> None:
    """Two clients share a WebSocket and want a symbol; one leaves as it should, the other one just dies."""
    first, second = scene.client(), scene.client()
    id_, is_new, ring, _ = first.open(scene.url, last_by="n")
    assert is_new == 1
    assert second.open(scene.url)[1] == 0
    for client in (first, second):
        client.subscribe(id_, "BTC", b"want BTC", b"release BTC")
    scene.upstream.say(json.dumps({"n": number, "filler": "x" * 10_000}))
    assert json.loads(ring.message())["n"] == number
    first.unsubscribe(id_, "BTC", b"drop BTC")
    first.leave()
    first.close()
    second.close()
    wait_until(lambda: scene.upstream.open == 0, "the WebSocket is closed")


def test_who_came_and_went_costs_nothing(scene: ShareScene) -> None:
    broker = scene.spawn("--linger", "3600")
    for number in range(WARM_UP):
        come_and_go(scene, number)
    held, memory = descriptors(broker), broker.status("VmRSS")
    for number in range(ROUNDS):
        come_and_go(scene, number)
    wait_until(lambda: descriptors(broker) == held, "as many descriptors as before")
    status = json.loads(scene.client().ask(1))
    assert (status["websockets"], len(status["clients"])) == ([], 1)
    assert broker.status("VmRSS") - memory < MOST_GROWTH_KB
    assert len(scene.upstream.messages()) == (WARM_UP + ROUNDS) * 2
