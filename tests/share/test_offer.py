"""Local programs at a gateway: which of several is found, who is let in, and what may be asked for."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from feedmux.client.peer import Peer
from feedmux.share import door
from feedmux.share import offer as offers
from feedmux.share.offer import LocalOffer
from support.local_offer import ScriptedMeans, offered
from support.share_client import (
    ASK,
    BEAT,
    FAILED,
    IS_CLOSED,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Ring,
    ShareClient,
    blob,
    hello,
    record,
    text,
)  # fmt: skip
from support.waiting import until

TOPICS = "feedmux:topics"
T = TypeVar("T")


async def blocking(work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Do in a thread what waits for the offer, which lives in this one."""
    return await asyncio.to_thread(work, *arguments, **named)


@asynccontextmanager
async def client_of(offer: LocalOffer) -> AsyncIterator[ShareClient]:
    client = await blocking(ShareClient.welcomed, offer.config.name, "gateway")
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(name="means")
def _means() -> ScriptedMeans:
    return ScriptedMeans()


@pytest.fixture(name="offer")
async def _offer(means: ScriptedMeans) -> AsyncIterator[LocalOffer]:
    async with offered(means) as offer:
        yield offer


@pytest.fixture(name="client")
async def _client(offer: LocalOffer) -> AsyncIterator[ShareClient]:
    async with client_of(offer) as client:
        yield client


async def opened(client: ShareClient, *opening: bytes) -> tuple[int, Ring]:
    number, is_new, ring, last = await blocking(client.open, TOPICS, opening=opening)
    assert (is_new, last) == (1, [])
    return number, ring


# What may be asked for


async def test_requests_are_answered_in_the_ring(means: ScriptedMeans, client: ShareClient) -> None:
    number, ring = await opened(client, b"a", b"b")
    client.send(number, b"c")
    client.send(number + 1, b"d")
    assert [await blocking(ring.message) for _ in range(3)] == [b"re: a", b"re: b", b"re: c"]
    assert means.sessions[0].heard == [b"a", b"b", b"c"]


async def test_each_program_has_a_ring_of_its_own(means: ScriptedMeans, offer: LocalOffer) -> None:
    async with client_of(offer) as one, client_of(offer) as two:
        (number, first), (_, second) = await opened(one), await opened(two)
        one.send(number, b"mine")
        assert await blocking(first.message) == b"re: mine"
        means.publish(b"1", b"2")
        for ring in (first, second):
            assert [await blocking(ring.message) for _ in range(2)] == [b"1", b"2"]
        found = offer.statistics()
        assert (found["clients"], found["clients_lifetime"], found["entries"]) == (2, 2, 5)
    await until(lambda: offer.statistics()["clients"] == 0)
    assert [session.is_over for session in means.sessions] == [True, True]
    found = offer.statistics()
    assert (found["entries"], found["left_out"], found["refused"]) == (5, 0, 0)
    assert found["bytes"]


async def test_what_asks_for_a_symbol_is_a_request_like_any_other(
    means: ScriptedMeans, client: ShareClient
) -> None:
    number, ring = await opened(client)
    assert await blocking(client.subscribe, number, "BTC", b"want", b"release") == 0
    assert await blocking(client.unsubscribe, number, "BTC", b"stop") == 0
    assert means.sessions[0].heard == [b"want", b"stop"]
    for kind, rest in ((SUBSCRIBE, text("x") + blob(b"") + blob(b"")), (UNSUBSCRIBE, text("x") + blob(b""))):
        kinds = b"\1" if kind == SUBSCRIBE else b""
        client.say(record(kind, struct.pack("<IQ", 9, number + 1) + kinds + b"\0" + rest))
        assert (await blocking(client.failed))[:2] == (9, "UNKNOWN_ID")
    assert ring.message() == b"re: want"


async def test_it_may_be_left_and_opened_again(means: ScriptedMeans, client: ShareClient) -> None:
    number, _ = await opened(client)
    await blocking(client.leave, number)
    assert means.sessions[0].is_over
    again, ring = await opened(client, b"x")
    assert again != number
    assert await blocking(ring.message) == b"re: x"


async def test_what_it_does_not_have_is_refused(client: ShareClient) -> None:
    client.begin_open("wss://venue.example/stream")
    assert (await blocking(client.failed))[1:] == (
        "INVALID_SETTING", "a gateway has feedmux:topics to be opened, nothing else",
    )  # fmt: skip
    await opened(client)
    client.begin_open(TOPICS)
    assert (await blocking(client.failed))[1] == "CAPACITY"
    client.say(record(ASK, struct.pack("<IB", 3, 1)))
    assert await blocking(client.failed) == (
        3, "INVALID_SETTING", "a gateway is asked over HTTP: GET /stats",
    )  # fmt: skip


async def test_a_request_that_is_too_long_ends_the_connection(means: ScriptedMeans) -> None:
    async with offered(means, max_message_bytes=100) as offer, client_of(offer) as client:
        number, ring = await opened(client, b"x" * 100)
        assert await blocking(ring.message) == b"re: " + b"x" * 100
        client.send(number, b"x" * 101)
        assert await blocking(client.failed) == (0, "CAPACITY", "a request of 101 bytes; the bound is 100")
        assert means.sessions[0].is_over


async def test_a_session_that_closes_itself_ends_the_connection(
    means: ScriptedMeans, client: ShareClient
) -> None:
    _, ring = await opened(client, b"close", b"x")
    entry = await blocking(ring.wait)
    assert (entry.what, entry.flags, entry.code, entry.payload) == (IS_CLOSED, 0, 4001, b"Token expired")
    assert [said.kind for said in await blocking(client.wait_end)] in ([], [BEAT])
    assert (means.sessions[0].is_over, means.sessions[0].heard) == (True, [])


async def test_without_memory_it_says_so(
    means: ScriptedMeans, client: ShareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", _no_memory)
    client.begin_open(TOPICS)
    assert (await blocking(client.failed))[1] == "NO_MEMORY"
    monkeypatch.undo()
    await opened(client)


def _no_memory(*_: object) -> None:
    raise OSError(28, "No space left on device")


# Who is let in


async def test_there_are_only_so_many(means: ScriptedMeans) -> None:
    async with offered(means, most_readers=1) as offer:
        async with client_of(offer) as first:
            second = ShareClient(offer.config.name, "gateway")
            assert await blocking(second.failed) == (0, "CAPACITY", "there are 1 local programs already")
            second.close()
            await opened(first)
        await until(lambda: offer.statistics()["clients"] == 0)
        async with client_of(offer) as third:
            await opened(third)
        assert offer.statistics()["clients_lifetime"] == 2


async def test_who_is_silent_is_gone(means: ScriptedMeans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedmux.share.visitor.HELLO_WITHIN_S", 0.05)
    async with offered(means, reader_dead_s=0.3) as offer:
        stranger = ShareClient(offer.config.name, "gateway")
        assert (await blocking(stranger.failed))[1] == "MALFORMED_MESSAGE"
        stranger.close()
        async with client_of(offer) as client:
            await opened(client)
            assert {said.kind for said in await blocking(client.wait_end)} == {BEAT}
            assert means.sessions[0].is_over


async def test_who_lies_about_its_process_is_sent_away(offer: LocalOffer) -> None:
    liar = ShareClient(offer.config.name, "gateway")
    liar.say(hello(pid=1))
    assert (await blocking(liar.failed))[1] == "IDENTITY"
    liar.close()


async def test_other_users_are_counted(offer: LocalOffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "peer_of", lambda _: Peer(77, 65534))
    stranger = ShareClient(offer.config.name, "gateway")
    assert await blocking(stranger.wait_end) == []
    stranger.close()
    assert offer.statistics()["refused"] == 1
    await offer.stop()
    assert offer.statistics()["refused"] == 1


# Which of several is found


async def test_another_one_follows_when_the_first_ends(
    means: ScriptedMeans, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedmux.share.offer")
    async with (
        offered(means) as first,
        client_of(first) as client,
        offered(means, first.config.name) as second,
    ):
        _, ring = await opened(client)
        assert is_offered(first) and not is_offered(second)
        await until(lambda: caplog.messages)
        for _ in range(3):
            second._try_place()
        await first.drain(0)
        assert not is_offered(first)
        await until(lambda: is_offered(second))
        entry = ring.wait()
        assert (entry.what, entry.code, entry.payload) == (IS_CLOSED, 1001, b"the gateway is going away")
        async with client_of(second) as other:
            await opened(other)
    said = f"another gateway, process {os.getpid()}, is the one that local programs find as"
    assert [line for line in caplog.messages if line.startswith(said)] == caplog.messages
    assert len(caplog.messages) == 1, "it is said once, not with every beat"


def is_offered(offer: LocalOffer) -> bool:
    return bool(offer.statistics()["is_offered"])


async def test_workers_of_one_gateway_say_nothing_of_each_other(
    means: ScriptedMeans, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "feedmux.share.offer")
    looked: list[int] = []
    parent_of = offers._parent_of

    def look(pid: int) -> int:
        looked.append(pid)
        return parent_of(pid)

    monkeypatch.setattr(offers, "_parent_of", look)
    async with offered(means) as first, offered(means, first.config.name, parent=os.getppid()):
        await until(lambda: looked)
    assert caplog.messages == []


async def test_a_place_that_another_user_holds_is_named_once(
    means: ScriptedMeans, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with offered(means) as first:
        monkeypatch.setattr(offers, "holder_of", lambda _: Peer(77, 65534))
        async with offered(means, first.config.name) as second:
            await until(lambda: caplog.records)
            for _ in range(3):
                second._try_place()
            await first.stop()
            await until(lambda: is_offered(second))
    (line,) = caplog.messages
    assert line.startswith(f"the place of the gateway '{first.config.name}' is held by the user 65534;")


async def test_that_the_system_lends_no_socket_is_no_failure(
    means: ScriptedMeans, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(offers, "take_place", refuse)
    async with offered(means) as offer:
        await until(lambda: caplog.records)
        for _ in range(3):
            offer._try_place()
        monkeypatch.undo()
        await until(lambda: is_offered(offer))
    assert caplog.messages == ["its topics cannot be offered to local programs: Too many open files"]


async def test_a_process_that_is_gone_is_nobodys_child() -> None:
    assert offers._parent_of(os.getpid()) == os.getppid()
    assert offers._parent_of(2**30) == 0


async def test_who_is_about_to_end_is_found_no_more(offer: LocalOffer, client: ShareClient) -> None:
    await opened(client)
    draining = asyncio.create_task(offer.drain(3600))
    await until(lambda: not is_offered(offer))
    offer._tick()
    assert not is_offered(offer)
    client.beat()
    assert (await blocking(client.hear)) is not None, "who is there stays until the grace is over"
    draining.cancel()


async def test_the_last_words_are_read_and_that_is_the_end(
    client: ShareClient, offer: LocalOffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedmux.share.company._FAREWELL_S", 3600)
    _, ring = await opened(client)
    async with asyncio.timeout(10):
        await offer.stop()
    assert ring.wait().what == IS_CLOSED
    assert FAILED not in {said.kind for said in await blocking(client.wait_end)}
    assert offer.statistics()["clients"] == 0
