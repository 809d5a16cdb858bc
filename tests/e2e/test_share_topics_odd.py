"""Local programs at a gateway that may not read what they want, or say what makes no sense."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
from typing import Any

import pytest

from feedmux.client import BrokerRefused, ForeignGateway, NoGateway, Restored
from feedmux.model.errors import Refused
from support.child import Child
from support.share_client import FAILED, Said, ShareClient, hello, place
from support.topics_scene import TICKER, is_of, next_of, scene_of
from support.waiting import eventually

NOBODY = 65534
NEEDS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
NOT_STARTED = r"start one with `feedmux serve` \(with LOCAL=off it offers none\)"

pytestmark = pytest.mark.e2e

# Who may


async def test_what_is_not_public_or_misspelt_is_refused_with_the_reason() -> None:
    async with scene_of("--refuse", "tickers.NOSUCH") as scene:
        await scene.gateway(RABBITMQ_HOST="127.0.0.1", RABBITMQ_PORT="9")
        private = "stream:order is not public, and local programs read public streams alone"
        with pytest.raises(Refused, match=private):
            await scene.topics("stream:order")
        with pytest.raises(Refused, match="Invalid stream type: tickr"):
            await scene.topics("tickr:BTCUSDT")
        topics = await scene.topics("ticker:BTCUSDT", "stream:order", "ticker:NOSUCH")
        restored = await topics.receive()
        assert isinstance(restored, Restored)
        assert (restored.after_s, restored.channels) == (0.0, ("ticker:BTCUSDT",))
        assert restored.refused["stream:order"] == private
        assert set(restored.refused) == {"stream:order", "ticker:NOSUCH"}
        assert (await next_of(topics, is_of(TICKER)))["type"] == "snapshot"


async def test_without_a_gateway_it_is_said_how_to_start_one() -> None:
    async with scene_of() as scene:
        with pytest.raises(NoGateway, match=NOT_STARTED):
            await scene.topics("ticker:BTCUSDT")
        gateway = await scene.gateway(LOCAL="off")
        with pytest.raises(NoGateway, match=NOT_STARTED):
            await scene.topics("ticker:BTCUSDT")
        assert (await gateway.stats())["local"] is None


async def test_there_are_only_so_many() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway(LOCAL_MAX_CLIENTS=1)
        first = await scene.topics("ticker:BTCUSDT")
        with pytest.raises(BrokerRefused, match="there are 1 local programs already"):
            await scene.topics("ticker:BTCUSDT")
        await next_of(first, is_of(TICKER))
        await first.close()
        await gateway.shows(lambda body: body["local"]["clients"] == 0, "nobody reads")
        await scene.topics("ticker:BTCUSDT")


@NEEDS_ROOT
async def test_another_user_is_sent_away_without_a_word() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway()
        ours = os.getuid()

        def intrude() -> str:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(place(scene.name, ours, "gateway"))
                try:
                    sock.sendall(hello())
                    return repr(sock.recv(100))
                except (ConnectionResetError, BrokenPipeError):
                    return "b''"

        with Child(intrude, NOBODY) as intruder:
            assert intruder.line == "b''"
        await gateway.shows(lambda body: body["local"]["refused"] == 1, "one was refused")
        await next_of(await scene.topics("ticker:BTCUSDT"), is_of(TICKER))


@NEEDS_ROOT
async def test_a_place_that_another_user_holds_is_named_by_both_sides() -> None:
    async with scene_of() as scene:
        sock, ours = socket.socket(socket.AF_UNIX), os.getuid()

        def squat() -> str:
            sock.bind(place(scene.name, ours, "gateway"))
            sock.listen()
            return "there"

        with Child(squat, NOBODY) as squatter:
            sock.close()
            assert squatter.line == "there"
            expected = f"the place of the gateway '{scene.name}' is held by the user {NOBODY}"
            with pytest.raises(ForeignGateway, match=expected):
                await scene.topics("ticker:BTCUSDT")
            gateway = await scene.gateway()
            await gateway.running.line(expected)
        await eventually(gateway.stats, lambda body: body["local"]["is_offered"], "the place is free")
        await next_of(await scene.topics("ticker:BTCUSDT"), is_of(TICKER))


# Bad input


async def test_garbage_ends_the_connection_it_came_on_and_no_other() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway()
        topics = await scene.topics("ticker:BTCUSDT")
        noise = os.urandom(5000)
        for garbage in (noise, bytes(5000), b"\xff" * 5000, hello() + noise, b"\r\n\r\n"):
            said = await asyncio.to_thread(answers_to, garbage, scene.name)
            assert {one.fields[0] for one in said if one.kind == FAILED} <= {0}
        await next_of(topics, is_of(TICKER))
        await gateway.shows(lambda body: body["local"]["clients"] == 1, "the strangers are gone")


def answers_to(garbage: bytes, name: str) -> list[Said]:
    """What the gateway says to it until it hangs up."""
    stranger = ShareClient(name, "gateway")
    try:
        stranger.say(garbage)
        stranger.sock.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        return stranger.wait_end()
    finally:
        stranger.close()


async def test_a_ring_is_read_as_its_document_says() -> None:
    """A program of another language gets there with the document alone."""
    async with scene_of() as scene:
        await scene.gateway()

        def read() -> list[Any]:
            client = ShareClient.welcomed(scene.name, "gateway")
            try:
                request = json.dumps({"op": "subscribe", "args": ["ticker:BTCUSDT"]}).encode()
                id_, is_new, ring, _ = client.open("feedmux:topics", opening=[request])
                assert is_new == 1
                found = [json.loads(ring.message()) for _ in range(3)]
                client.send(id_, b'{"op": "ping"}')
                while found[-1].get("op") != "pong":
                    found.append(json.loads(ring.message()))
                client.leave(id_)
                return found
            finally:
                client.close()

        answer, snapshot, update, *_ = await asyncio.to_thread(read)
        assert (answer["op"], answer["args"]) == ("subscribe", ["ticker:BTCUSDT"])
        assert (snapshot["type"], update["type"]) == ("snapshot", "update")
        await scene.venue.carries()


async def test_without_memory_for_a_ring_it_says_so_and_goes_on() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway()
        client = await scene.set_up.client(gateway)
        await client.subscribe("ticker:BTCUSDT")
        pid = gateway.running.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        with pytest.raises(BrokerRefused, match="bytes of shared memory cannot be had") as caught:
            await scene.topics("ticker:BTCUSDT")
        assert caught.value.code == "NO_MEMORY"
        await client.data(TICKER, seen=client.seen)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        await next_of(await scene.topics("ticker:BTCUSDT"), is_of(TICKER))
