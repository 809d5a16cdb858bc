"""Children of a gateway that die, go wrong or cannot begin: how soon it is over, and whom it concerns.

Figures of time are printed, and bounded generously; ``python -m bench p13`` measures them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from feedmux.core.ring import HEADER_BYTES
from support.family import LIVELY, QUICK, TICKER, TRADES, children, crowd, served_by
from support.processes import Client, Gateway, Stage
from support.running import Running
from support.streams import judge
from support.waiting import until

SOON_S = 5.0
"""Five times what a new client may wait, and what it may take a feed to be live again."""
COMING = 16


async def served(stage: Stage, gateway: Gateway) -> Client:
    """A client that has a value."""
    client = await stage.client(gateway)
    answer = await client.subscribe("ticker:BTCUSDT")
    assert answer["success"], answer
    await client.data(TICKER)
    return client


async def miss_nothing(clients: list[Client]) -> None:
    """Each of them gets what comes now, of one epoch, and never heard of any trouble."""
    await asyncio.gather(*(client.data(TRADES, seen=client.seen, count=20) for client in clients))
    for client in clients:
        assert len(judge(client.messages, TICKER)) == len(judge(client.messages, TRADES)) == 1
        assert not [message for message in client.messages if message.get("type") in {"status", "gap"}]


async def test_who_comes_when_a_worker_was_killed_is_served_soon(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    await crowd(stage, gateway, 4)
    children(gateway)["worker 1"].kill()
    began = time.monotonic()
    newcomers = await asyncio.gather(*(served(stage, gateway) for _ in range(COMING)))
    took = time.monotonic() - began
    sys.stdout.write(f"{COMING} newcomers were served {took:.3f} s after a worker was killed\n")
    assert took < SOON_S
    assert "worker 1" in served_by(gateway, newcomers), "nobody had to wait for the successor"


async def test_when_the_feed_was_killed_everybody_is_live_in_a_new_epoch_soon(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway, 4)
    clients = [client for some in by_worker.values() for client in some]
    seen = {client: client.seen for client in clients}
    children(gateway)["the feed process"].kill()
    began = time.monotonic()

    async def live(client: Client) -> tuple[int, int]:
        before = await client.status("reconnecting", TICKER, seen=seen[client])
        after = await client.status("live", TICKER, seen=seen[client])
        return before["epoch"], after["epoch"]

    epochs = await asyncio.gather(*map(live, clients))
    took = time.monotonic() - began
    sys.stdout.write(f"{len(clients)} clients were live {took:.3f} s after the feed was killed\n")
    assert took < SOON_S
    assert all(after > before for before, after in epochs), epochs


WRONG = {
    "garbage": b"\xff\x00 what",
    "half a message": b'{"type":"Part","figures":{"server":{"cli',
    "what only a feed says": b'{"type":"Ring"}',
    "figures that have no sum": (
        b'{"type":"Part","figures":{"server":{"clients":{"a":1}},"hub":{},"latency":{},"states":{}}}'
    ),
    "a descriptor that nobody wants": b'{"type":"Ready"}',
    "no figures": b'{"type":"Part","figures":{"server":{"loop_lag":"late"}}}',
}


@pytest.mark.parametrize("packet", WRONG.values(), ids=WRONG.keys())
async def test_a_worker_that_says_what_makes_no_sense_is_replaced_and_concerns_nobody_else(
    stage: Stage, packet: bytes
) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway)
    wrong, descriptors = children(gateway)["worker 1"], gateway.running.descriptors()
    with wrong.control() as control:
        lent = [control.fileno()] if b"Ready" in packet else []
        socket.send_fds(control, [packet], lent)
        await gateway.running.line("worker 1 serves again")
    assert not wrong.is_there
    await until(lambda: gateway.running.descriptors() == descriptors, "what came with it was closed")
    for client in by_worker["worker 1"]:
        await client.end()
    await miss_nothing(by_worker["worker 2"])
    assert set(await crowd(stage, gateway, 4)) == {"worker 1", "worker 2"}
    await gateway.shows(lambda body: body["connections"]["active_connections"] > 0, "it still counts")


async def test_a_feed_that_says_what_makes_no_sense_is_replaced_and_every_client_stays(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway, 4)
    clients = [client for some in by_worker.values() for client in some]
    wrong = children(gateway)["the feed process"]
    with wrong.control() as control:
        control.send(b'{"type":"Ring"}')  # without the descriptor of one
        for client in clients:
            await client.status("reconnecting", TICKER)
            await client.status("live", TICKER)
    await until(lambda: not wrong.is_there, "it is gone")
    assert set(served_by(gateway, clients)) == {"worker 1", "worker 2"}


LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
runpy.run_module("feedmux", run_name="__main__", alter_sys=True)
"""


def marked(mark: str) -> list[str]:
    """The processes that have this word in their environment, as they were started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


async def test_memory_that_cannot_be_had_ends_the_gateway_in_a_sentence_and_nothing_is_left(
    stage: Stage,
) -> None:
    limit, mark = 1 << 29, f"STORY=memory-{os.getpid()}"
    name, _, value = mark.partition("=")
    program = await Running.start(
        "serve",
        env={"WORKERS": "2", "PORT": "0", "SHM_RING_BYTES": str(limit), "LOG_JSON": "true", name: value},
        program=("-c", LIMITED.format(limit=limit)),
    )
    stage.owns(program)
    assert await program.end() == 2
    *lines, last = program.output
    assert last == (
        "feedmux: the feed process ended with 1 before it was ready; its last line in the log says why"
    )
    (said,) = [line for line in map(json.loads, lines) if line["level"] == "ERROR"]
    assert said["message"].startswith(f"{limit + HEADER_BYTES} bytes of shared memory cannot be had: [Errno ")
    assert "Listening" not in program.text
    assert "Traceback" not in program.text
    assert not marked(mark)
