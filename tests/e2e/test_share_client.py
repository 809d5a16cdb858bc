"""Programs share WebSockets: real brokers, real processes, a real WebSocket server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from feedmux import AsyncLocalClient, LocalClient
from feedmux.client import (
    BrokerGone,
    ForeignBroker,
    Kinds,
    LocalCallbacks,
    SocketClosed,
    SocketData,
    SocketLost,
    SocketOpened,
    SocketRestored,
)
from feedmux.client.inquiry import ask_broker
from feedmux.wire.local_records import Query
from support.local import Upstream, broker, broker_name, broker_pid, gone, is_listed, upstream
from support.running import environment
from support.waiting import until

READER = Path(__file__).parents[1] / "support" / "local_reader.py"
DEADLINE_S = 30.0

Event = TypeVar("Event")


@pytest.fixture
def name() -> Iterator[str]:
    with broker_name() as name:
        yield name


class Reader:
    """A process of tests/support/local_reader.py."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def line(self) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = await self.process.stdout.readline()
        assert line, "the reader ended"
        return json.loads(line)

    async def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            assert await self.process.wait() == 0


@asynccontextmanager
async def readers(
    number: int, name: str, url: str, messages: int, **more: Any
) -> AsyncIterator[list[Reader]]:
    """So many processes, started at once; they are gone with the block."""
    command = (sys.executable, str(READER), name, url, str(messages), json.dumps(more))
    path = os.pathsep.join(filter(None, sys.path))
    env = environment({"PYTHONPATH": path})
    started = [
        await asyncio.create_subprocess_exec(*command, env=env, stdin=PIPE, stdout=PIPE)
        for _ in range(number)
    ]
    try:
        yield [Reader(process) for process in started]
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def wait(client: AsyncLocalClient, kind: type[Event]) -> Event:
    """Take events until there is one of this kind."""
    async with asyncio.timeout(DEADLINE_S):
        while not isinstance(event := await client.receive(), kind):
            continue
        return event


async def data(client: AsyncLocalClient, number: int) -> list[SocketData]:
    """Take events until so many messages were among them."""
    return [await wait(client, SocketData) for _ in range(number)]


async def test_twenty_processes_that_begin_at_once_share_one_broker_and_one_connection(name: str) -> None:
    messages = [json.dumps({"number": number}) for number in range(500)]
    async with upstream() as venue, readers(20, name, venue.url, len(messages)) as twenty:
        first = [await reader.line() for reader in twenty]
        assert len({line["server"] for line in first}) == 1
        assert sum(line["is_new"] for line in first) == 1
        assert venue.opens == 1
        await venue.push(*messages)
        digests = [await reader.line() for reader in twenty]
        assert len({line["digest"] for line in digests}) == 1
        assert venue.opens == 1
        for reader in twenty:
            await reader.end()
        await until(lambda: not venue.connections, "the last one closes the connection")


async def test_a_broker_that_is_killed_under_load_is_replaced_and_everything_is_restored(name: str) -> None:
    async with (
        upstream() as venue,
        AsyncLocalClient(broker=name) as one,
        AsyncLocalClient(broker=name) as two,
    ):
        clients = (one, two)
        for client in clients:
            id, _ = await client.open_websocket(venue.url)
            await client.subscribe(id, "BTC", "sub BTC", Kinds.TRADES)
        await one.subscribe(1, "ETH", "sub ETH", Kinds.QUOTES)
        is_over = asyncio.Event()

        async def load() -> None:
            number = 0
            while not is_over.is_set():
                await venue.push(str(number))
                number += 1
                await asyncio.sleep(0.0005)

        loading = asyncio.create_task(load())
        try:
            await data(one, 50)
            dead = one.server_id
            os.kill(dead, signal.SIGKILL)
            for client in clients:
                events = await events_until(client, SocketRestored)
                check_the_story(events)
                assert [each.payload for each in await data(client, 50)]
        finally:
            is_over.set()
            await loading
        assert venue.opens == 2
        assert one.server_id == two.server_id != dead
        again = venue.heard[venue.heard.index("+", 1) :]
        assert sorted(map(str, again)) == ["+", "sub BTC", "sub ETH"]
        assert len(again) == 3, "nothing is subscribed to twice"


async def events_until(client: AsyncLocalClient, kind: type) -> list[object]:
    events: list[object] = []
    async with asyncio.timeout(DEADLINE_S):
        while not events or not isinstance(events[-1], kind):
            events.append(await client.receive())
    return events


def check_the_story(events: list[object]) -> None:
    """Nothing is missing that is not said: numbers follow each other but where the broker was gone."""
    numbers: list[int] = []
    told = []
    for event in events:
        if isinstance(event, SocketData):
            assert not numbers or int(event.payload) == numbers[-1] + 1
            numbers.append(int(event.payload))
        else:
            told.append(type(event))
            numbers.clear()
    kinds = [BrokerGone, SocketClosed, SocketOpened, SocketRestored]
    assert [kind for kind in told if kind in kinds][-4:] == kinds
    restored = events[-1]
    assert isinstance(restored, SocketRestored)
    assert restored.id == 1
    assert 0 < restored.blind_s < DEADLINE_S


async def test_a_broker_that_hangs_is_left_and_found_again_when_it_goes_on(name: str) -> None:
    async with (
        broker(name, "--beat", "0.1", "--dead", "1") as process,
        upstream() as venue,
        AsyncLocalClient(broker=name) as client,
    ):
        id, _ = await client.open_websocket(venue.url)
        process.send_signal(signal.SIGSTOP)
        gone = await wait(client, BrokerGone)
        assert gone.reason == "nothing came from it for 1 s"
        process.send_signal(signal.SIGCONT)
        assert (await wait(client, SocketRestored)).blind_s > 1
        await client.send(id, "echo again")
        assert [each.payload for each in await data(client, 1)] == [b"again"]


async def test_a_broker_that_is_told_to_stop_is_replaced_too(name: str) -> None:
    async with upstream() as venue, AsyncLocalClient(broker=name) as client:
        id, _ = await client.open_websocket(venue.url)
        stopped = client.server_id
        os.kill(stopped, signal.SIGTERM)
        assert (await wait(client, SocketRestored)).id == id
        await client.send(id, "echo again")
        assert [each.payload for each in await data(client, 1)] == [b"again"]
        assert client.server_id != stopped


async def test_what_is_asked_while_no_broker_is_there_is_asked_of_the_next_one(name: str) -> None:
    async with upstream() as venue, AsyncLocalClient(broker=name) as client:
        id, _ = await client.open_websocket(venue.url)
        os.kill(client.server_id, signal.SIGKILL)
        await wait(client, BrokerGone)
        assert client.server_id == 0
        other, existed = await asyncio.gather(
            client.open_websocket(venue.url, "another key"), client.subscribe(id, "BTC", "sub")
        )
        assert other == (2, True)
        assert existed is False
        await venue.hears("sub")


async def test_a_client_that_is_killed_leaves_its_symbols(name: str) -> None:
    async with (
        upstream() as venue,
        AsyncLocalClient("pytest", broker=name) as client,
        readers(1, name, venue.url, 1, subscribe=["BTC", "sub BTC", "unsub BTC"]) as (reader,),
    ):
        await reader.line()
        await client.open_websocket(venue.url)
        assert await client.subscribe(1, "BTC", "sub BTC", release="unsub BTC")
        reader.process.kill()
        await until(lambda: clients_of(name) == ["pytest"], "the broker notices")
        await client.unsubscribe(1, "BTC", "unsub BTC by hand")
        await venue.hears("sub BTC", "unsub BTC by hand")
        assert "unsub BTC" not in venue.heard, "somebody wanted it"


def clients_of(name: str) -> list[str]:
    """Who shares a WebSocket, by their names."""
    status = json.loads(ask_broker(name, Query.STATUS))
    sharing = [client["name"] for client in status["clients"] if client["websockets"]]
    return sorted(sharing)


async def test_the_symbols_of_the_last_who_is_killed_are_released(name: str) -> None:
    async with (
        upstream() as venue,
        AsyncLocalClient(broker=name) as client,
        readers(1, name, venue.url, 1, subscribe=["BTC", "sub BTC", "unsub BTC"]) as (reader,),
    ):
        await reader.line()
        await client.open_websocket(venue.url)
        reader.process.kill()
        await venue.hears("sub BTC", "unsub BTC")


async def test_when_the_one_who_logged_in_dies_another_one_is_told_to(name: str) -> None:
    async with (
        upstream() as venue,
        readers(1, name, venue.url, 1, login="login of the first") as (reader,),
        AsyncLocalClient(broker=name) as client,
    ):
        assert (await reader.line())["is_new"]
        id, is_new = await client.open_websocket(venue.url)
        assert not is_new
        await client.subscribe(id, "BTC", "sub BTC")
        await venue.hears("login of the first", "sub BTC")
        reader.process.kill()
        await reader.process.wait()
        venue.cut()
        await wait(client, SocketClosed)
        while not (await wait(client, SocketOpened)).is_new:
            continue
        await client.send(id, "login of the second")
        await client.subscribe(id, "ETH", "sub ETH")
        await venue.hears("+", "+", "login of the second", "sub BTC")
        await venue.hears("+", "+", "login of the second", "sub ETH")


async def test_opening_messages_come_first_after_every_reconnect(name: str) -> None:
    async with upstream() as venue, AsyncLocalClient(broker=name) as client:
        id, is_new = await client.open_websocket(venue.url, opening=["login", b"\0binary"])
        assert is_new
        await client.subscribe(id, "BTC", "sub BTC")
        venue.cut()
        closed = await wait(client, SocketClosed)
        assert closed.again
        assert not (await wait(client, SocketOpened)).is_new
        expected = ["+", "login", b"\0binary", "sub BTC"]
        await until(lambda: venue.heard == expected * 2, f"{venue.heard}")
        os.kill(client.server_id, signal.SIGKILL)
        await wait(client, SocketRestored)
        await until(lambda: venue.heard == expected * 3, f"{venue.heard}")


async def test_texts_and_binary_messages_pass_as_they_are(name: str) -> None:
    async with upstream() as venue, AsyncLocalClient(broker=name) as client:
        id, _ = await client.open_websocket(venue.url)
        await client.send(id, "echo grüße")
        await client.send(id, b"echo \xff\x00")
        await client.send(id, "echo ")
        got = await data(client, 3)
        assert [(each.payload, each.is_binary) for each in got] == [
            ("grüße".encode(), False),
            (b"\xff\x00", True),
            (b"", False),
        ]
        assert all(each.received_ns > 0 and each.remaining == 0 for each in got)


async def test_large_messages_come_whole_or_in_parts(name: str) -> None:
    large = "".join(map(str, range(800_000)))
    async with (
        upstream() as venue,
        AsyncLocalClient(broker=name) as whole,
        AsyncLocalClient(broker=name, is_whole=False) as parts,
    ):
        for client in (whole, parts):
            await client.open_websocket(venue.url)
        await venue.push(large, "small")
        assert [each.payload.decode() for each in await data(whole, 2)] == [large, "small"]
        got = [await wait(parts, SocketData)]
        while got[-1].remaining:
            got.append(await wait(parts, SocketData))
        assert b"".join(each.payload for each in got).decode() == large
        assert len(got) > 1
        sizes = [len(each.payload) for each in got]
        assert [each.remaining for each in got] == [sum(sizes[i + 1 :]) for i in range(len(sizes))]
        assert (await wait(parts, SocketData)).payload == b"small"


async def test_a_client_that_does_not_read_is_told_what_it_missed_and_nobody_waits_for_it(name: str) -> None:
    async with (
        broker(name, "--ring-bytes", "65536"),
        upstream() as venue,
        AsyncLocalClient(broker=name, max_waiting=4) as slow,
        AsyncLocalClient(broker=name) as quick,
    ):
        for client in (slow, quick):
            await client.open_websocket(venue.url)
        for number in range(300):
            await venue.push(f"{number:01000}")
            assert int((await data(quick, 1))[0].payload) == number
        events = await events_until(slow, SocketLost)
        seen = [int(event.payload) for event in events if isinstance(event, SocketData)]
        assert seen == list(range(len(seen)))
        assert len(seen) < 300
        lost = events[-1]
        assert isinstance(lost, SocketLost)
        assert lost.size_bytes >= 1000
        await venue.push("7777")
        assert int((await data(slow, 1))[0].payload) == 7777


async def test_who_comes_late_gets_the_last_message_of_each_key(name: str) -> None:
    async with upstream() as venue, AsyncLocalClient(broker=name) as first:
        await first.open_websocket(venue.url, last_by="S")
        old, new, other = ('{"S":"BTC","p":1}', '{"S":"BTC","p":2}', '{"S":"ETH","p":3}')
        await venue.push(old, new, other)
        await data(first, 3)
        async with AsyncLocalClient(broker=name) as late:
            await late.open_websocket(venue.url)
            got = await data(late, 2)
            assert sorted(each.payload.decode() for each in got) == [new, other]
            assert all(each.is_last for each in got)
            await venue.push("next")
            assert not (await data(late, 1))[0].is_last


async def test_nothing_is_left(name: str) -> None:
    """No process, descriptor, thread or address, whether clients end well or are killed."""
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    async with broker(name, "--linger", "0.2") as process, upstream() as venue:
        async with AsyncLocalClient(broker=name) as client, readers(2, name, venue.url, 1) as two:
            for reader in two:
                await reader.line()
            await client.open_websocket(venue.url)
            await client.open_websocket(venue.url, "another key")
            for reader in two:
                reader.process.kill()
                await reader.process.wait()
        await asyncio.to_thread(share_and_leave, name, venue.url)
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == 0
        await until(lambda: not venue.connections)
    assert not is_listed(name)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert set(threading.enumerate()) <= threads
    await until(lambda: open_descriptors() <= descriptors, f"{descriptors} {open_descriptors()}")


def share_and_leave(name: str, url: str) -> None:
    with LocalClient(LocalCallbacks(data=print), broker=name) as client:
        client.open_websocket(url)


def open_descriptors() -> Counter[str]:
    """How many of each kind this process has open, asyncio's own included."""
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[str(entry.readlink()).split(":")[0]] += 1
        except FileNotFoundError:
            continue  # the listing itself
    return found


async def test_a_broker_that_a_client_started_outlives_it_and_is_nobodys_child(name: str) -> None:
    async with AsyncLocalClient(broker=name) as client:
        pid = client.server_id
    assert broker_pid(name) == pid
    check_is_detached(Path(f"/proc/{pid}"))
    os.kill(pid, signal.SIGKILL)
    await gone(pid)


def check_is_detached(process: Path) -> None:
    stat = (process / "stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) != os.getpid()
    assert int(stat[3]) != os.getsid(0)
    assert {str((process / "fd" / str(number)).readlink()) for number in range(3)} == {"/dev/null"}
    assert str((process / "cwd").readlink()) == "/"


SQUATTER = """
import os, socket, sys
os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.bind("\\0" + sys.argv[1])
sock.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
async def test_another_users_broker_is_not_trusted(name: str) -> None:
    address = f"feedmux-share-{os.getuid()}-{name}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SQUATTER, address, stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        with pytest.raises(ForeignBroker, match="65534"):
            await AsyncLocalClient(broker=name).start()
    finally:
        process.kill()
        await process.communicate()


async def test_callbacks_are_called_on_a_thread_of_their_own_and_may_call_back(name: str) -> None:
    told: list[object] = []
    names: set[str] = set()

    def share(venue: Upstream) -> None:
        def opened(event: SocketOpened) -> None:
            names.add(threading.current_thread().name)
            told.append(event)
            client.send(event.id, "echo from a callback")

        with LocalClient(LocalCallbacks(opened=opened, data=told.append), broker=name) as client:
            request = client.open_websocket_async(venue.url)
            is_there.wait(DEADLINE_S)
            assert told[0] == SocketOpened(1, True, request)

    is_there = threading.Event()
    async with upstream() as venue:
        sharing = asyncio.create_task(asyncio.to_thread(share, venue))
        await until(lambda: len(told) == 2, "an answer")
        is_there.set()
        await sharing
    assert isinstance(told[1], SocketData)
    assert told[1].payload == b"from a callback"
    assert names == {"feedmux-local-callbacks"}
