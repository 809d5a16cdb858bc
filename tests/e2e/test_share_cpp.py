"""The client in C++ against a real broker, beside clients that are not in C++, plain and under sanitizers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from feedmux.client.inquiry import ask_broker
from feedmux.wire.local_records import Query
from support.cpp import PLAIN, WAYS, Puppet, compiled, feedmux_program, output_of, program_of
from support.local import Upstream, broker_name, upstream
from support.running import DEADLINE_S
from support.share_client import ShareClient
from support.waiting import until

pytestmark = pytest.mark.e2e

SUBSCRIBED = '{"subscribe": "AAPL"}'


class Scene:
    """A WebSocket server, a broker that the first client starts, and any number of puppets."""

    def __init__(self, folder: Path, server: Upstream, name: str) -> None:
        self.server, self.name = server, name
        self.feedmux = feedmux_program(folder)

    @property
    def heard(self) -> list[str | bytes]:
        """What the server was sent."""
        return [message for message in self.server.heard if message != "+"]

    def puppet(self, way: str = "plain") -> AbstractAsyncContextManager[Puppet]:
        return Puppet.run(program_of("puppet", way), self.feedmux, self.name)

    def raw(self) -> ShareClient:
        return ShareClient.welcomed(self.name)

    async def got(self, *messages: str | bytes) -> None:
        """Wait until the server was sent exactly these."""
        await until(lambda: self.heard == list(messages), f"{messages}; there are {self.server.heard}")

    async def has(self, count: int) -> None:
        """Wait until the server has so many connections."""
        await until(lambda: len(self.server.connections) == count, f"{count} connections")


@pytest_asyncio.fixture(name="scene")
async def _scene(tmp_path: Path) -> AsyncIterator[Scene]:
    with broker_name() as name:
        async with upstream() as server:
            yield Scene(tmp_path, server, name)


@pytest.mark.parametrize("way", WAYS)
async def test_everything_that_a_client_can_ask(scene: Scene, way: str) -> None:
    server = scene.server
    async with scene.puppet(way) as puppet:
        (id_, is_new) = await puppet.do("open", server.url)
        assert is_new == "1"
        await puppet.hears("opened", id_)
        assert int((await puppet.do("server"))[0]) > 1
        assert await puppet.do("subscribe", id_, "AAPL", 1, SUBSCRIBED) == ("1", "0")
        assert await puppet.do("subscribe", id_, "AAPL", 1, "not sent") == ("1", "1")
        puppet.tell("send", id_, "hello")
        puppet.tell("send", id_, "binary", "binary")
        await scene.got(SUBSCRIBED, "hello", b"binary")
        await server.push("text")
        await server.push(b"bytes")
        await puppet.hears("data", id_, 0, "text")
        await puppet.hears("data", id_, 0, "bytes")
        assert await puppet.do("unsubscribe", id_, "AAPL", "bye") == ("1",)
        await scene.got(SUBSCRIBED, "hello", b"binary", "bye")
        assert await puppet.do("close", id_) == ("1",)
        await scene.has(0)
        assert await puppet.do("close", id_) == ("0",)
        await puppet.hears("error", id_)
        assert not puppet.said("closed")


@pytest.mark.parametrize("way", WAYS)
async def test_a_broker_that_is_killed_is_told_and_replaced(scene: Scene, way: str) -> None:
    server = scene.server
    async with scene.puppet(way) as puppet:
        id_, _ = await puppet.do("open", server.url)
        other, _ = await puppet.do("open", server.url, "other", "login")
        await puppet.hears("opened", id_)
        await puppet.hears("opened", other)
        await puppet.do("subscribe", id_, "AAPL", 1, "sub")
        await puppet.do("subscribe", other, "TSLA", 2, "sub other")
        for turn in range(2):
            await scene.has(2)
            server.heard.clear()
            pid = int((await puppet.do("server"))[0])
            os.kill(pid, signal.SIGKILL)
            await puppet.hears("disconnected")
            for number in (id_, other):
                await puppet.hears("closed", number)
                await puppet.hears("opened", number)
                error = await puppet.hears("error", number)
                assert re.match(r"nothing was received for \d+ ms: the broker has ended", error[2]), error
            await until(lambda: len(scene.heard) >= 3, "what was wanted is wanted again")
            assert scene.heard.index("login") < scene.heard.index("sub other")
            assert sorted(scene.heard) == ["login", "sub", "sub other"]
            assert (await puppet.do("server"))[0] != str(pid)
            await server.push(f"after {turn}")
            await puppet.hears("data", id_, 0, f"after {turn}")
            await puppet.hears("data", other, 0, f"after {turn}")
            server.heard.clear()
        said = [line[0] for line in puppet.lines]
        assert said.index("disconnected") < said.index("closed")


async def test_a_login_comes_before_the_subscriptions_that_follow_by_themselves(scene: Scene) -> None:
    server = scene.server
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", server.url)
        await puppet.hears("opened", id_)
        puppet.tell("send", id_, "login")
        await puppet.do("subscribe", id_, "AAPL", 1, "sub AAPL")
        await puppet.do("subscribe", id_, "TSLA", 1, "sub TSLA")
        await scene.got("login", "sub AAPL", "sub TSLA")
        server.heard.clear()
        os.kill(int((await puppet.do("server"))[0]), signal.SIGKILL)
        await puppet.hears("closed", id_)
        await puppet.hears("opened", id_)
        puppet.tell("send", id_, "login again")
        assert await puppet.do("subscribe", id_, "TSLA", 1, "sub TSLA again") == ("1", "0")
        await scene.got("login again", "sub TSLA again", "sub AAPL")


async def test_what_is_asked_while_there_is_no_broker_waits_for_the_next_one(scene: Scene) -> None:
    server = scene.server
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", server.url)
        os.kill(int((await puppet.do("server"))[0]), signal.SIGKILL)
        await puppet.hears("closed", id_)
        puppet.tell("send", id_, "too early")
        assert await puppet.do("subscribe", id_, "AAPL", 1, "sub") == ("1", "0")
        assert await puppet.do("unsubscribe", id_, "AAPL", "bye") == ("1",)
        await puppet.hears("error", id_, "not sent: it is not open, and will be opened again")
        assert scene.heard == ["sub", "bye"]


async def test_a_broker_that_is_told_to_end_is_replaced_too(scene: Scene) -> None:
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", scene.server.url)
        await puppet.hears("opened", id_)
        await asyncio.to_thread(ask_broker, scene.name, Query.STOP)
        await puppet.hears("closed", id_)
        await puppet.hears("disconnected")
        await puppet.hears("opened", id_)
        assert len(puppet.said("closed")) == 1
        await scene.has(1)


@pytest.mark.parametrize("way", WAYS)
async def test_calls_within_callbacks_are_answered(scene: Scene, way: str) -> None:
    async with scene.puppet(way) as puppet:
        await puppet.do("nest")
        puppet.tell("open async", scene.server.url)
        await puppet.hears("nested", 1, 0)
        assert (await puppet.hears("nested again"))[1] == "0"
        await puppet.hears("error", 0)
        assert scene.heard == ["within"]


async def test_what_a_callback_throws_goes_no_further(scene: Scene) -> None:
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", scene.server.url)
        await puppet.do("throw")
        for message in ("one", "two"):
            await scene.server.push(message)
            await puppet.hears("data", id_, 0, message)
            await puppet.hears("log", "error", "a callback threw: a defect of the user's")


async def test_it_shares_with_clients_that_are_not_in_cpp(scene: Scene) -> None:
    server = scene.server
    async with scene.puppet() as puppet, scene.puppet() as second:
        id_, _ = await puppet.do("open", server.url, "key")
        assert await second.do("open", server.url, "key") == (id_, "0")
        raw = await asyncio.to_thread(scene.raw)
        try:
            number, is_new, ring, _ = await asyncio.to_thread(raw.open, server.url, "key")
            assert (str(number), is_new) == (id_, 0)
            assert server.opens == 1
            await server.push("for all")
            assert (await asyncio.to_thread(ring.wait)).payload == b"for all"
            await puppet.hears("data", id_, 0, "for all")
            await second.hears("data", id_, 0, "for all")
            await puppet.do("close", 0)
            await second.do("close", id_)
            await server.push("for one")
            assert await asyncio.to_thread(ring.message) == b"for one"
            assert not puppet.said("data", id_, 0, "for one")
        finally:
            raw.close()


async def test_who_dies_wants_nothing_any_more(scene: Scene) -> None:
    server = scene.server
    async with scene.puppet() as puppet, scene.puppet() as second:
        id_, _ = await puppet.do("open", server.url)
        await second.do("open", server.url)
        await puppet.do("subscribe", id_, "AAPL", 3, "sub", "release")
        puppet.process.kill()
        await scene.got("sub", "release")


async def test_a_connection_that_is_cut_is_told(scene: Scene) -> None:
    server = scene.server
    async with scene.puppet() as puppet, scene.puppet() as second:
        id_, _ = await puppet.do("open", server.url)
        await second.do("open", server.url)
        await second.hears("opened", id_)
        await puppet.hears("opened", id_)
        server.cut()
        await puppet.hears("closed", id_)
        await second.hears("closed", id_)
        await puppet.hears("opened", id_)  # the one that has opened it logs in
        await second.hears("opened for other", id_)
        await server.push("again")
        await second.hears("data", id_, 0, "again")


async def test_who_is_too_slow_is_told_and_goes_on_behind_it(tmp_path: Path, scene: Scene) -> None:
    scene.feedmux = feedmux_program(tmp_path, "--ring-bytes", "65536")
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", scene.server.url)
        await puppet.do("slow", 500)
        for number in range(60):
            await scene.server.push(f"{number % 10}" * 5000)
        error = await puppet.hears("error", id_)
        assert re.match(r"data was missed: this client was too slow, and \d+ bytes", error[2])
        await puppet.do("slow", 0)
        async with asyncio.timeout(DEADLINE_S):
            while not puppet.said("data", id_, 0, "the last"):  # it may be in what was missed
                await scene.server.push("the last")
                await asyncio.sleep(0.05)
        sizes = {line[3] for line in puppet.said("data")} - {"the last"}
        assert all(re.fullmatch(r"5000 bytes of \d", size) for size in sizes), sizes


async def test_a_large_message_comes_in_parts(tmp_path: Path, scene: Scene) -> None:
    scene.feedmux = feedmux_program(tmp_path, "--ring-bytes", "262144")
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", scene.server.url)
        await scene.server.push("x" * 200_000)
        await puppet.hears("data", id_, 0)
        parts = puppet.said("data", id_)
        sizes = [int(line[3].split()[0]) for line in parts]
        assert len(parts) > 1
        assert sum(sizes) == 200_000
        assert [int(line[2]) for line in parts] == [sum(sizes[place + 1 :]) for place in range(len(sizes))]


async def test_the_last_messages_come_first(scene: Scene) -> None:
    server = scene.server
    async with scene.puppet() as puppet, scene.puppet() as second:
        id_, _ = await puppet.do("open", server.url, "", "login", "S")
        await server.push('{"S": "A", "p": 1}')
        await puppet.hears("data", id_)
        await second.do("open", server.url, "", "login", "S")
        await second.hears("data", id_, 0, '{"S": "A", "p": 1}')


async def test_what_cannot_be_done_is_said(scene: Scene) -> None:
    async with scene.puppet() as puppet:
        assert await puppet.do("open", "ws://127.0.0.1:9/") == ("0", "0")
        assert "CONNECT_FAILED" in (await puppet.hears("error", 0))[2]
        assert await puppet.do("open", "http://example.com/") == ("0", "0")
        assert "INVALID_SETTING" in (await puppet.hears("error", 0))[2]
        assert await puppet.do("open", "ws://" + "x" * 5000) == ("0", "0")
        assert "the bound is 4096" in (await puppet.hears("error", 0))[2]
        assert await puppet.do("subscribe", 99, "AAPL", 1, "sub") == ("0", "0")
        assert "no WebSocket of this number" in (await puppet.hears("error", 99))[2]
        puppet.tell("send", 99, "hello")
        await puppet.hears("error", 99)
        id_, _ = await puppet.do("open", scene.server.url)
        puppet.tell("send large", id_, (16 << 20) + 1)
        assert "16 MiB" in (await puppet.hears("error", id_))[2]
        await scene.server.push("it goes on")
        await puppet.hears("data", id_, 0, "it goes on")


async def test_a_program_that_cannot_be_the_broker_is_refused(tmp_path: Path) -> None:
    async with Puppet.run(program_of("puppet"), tmp_path / "none", "default") as puppet:
        assert "none is no program" in (await puppet.hears("refused"))[1]
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    async with Puppet.run(program_of("puppet"), broken, f"cpp-{uuid4().hex[:8]}") as puppet:
        assert await puppet.do("open", "ws://127.0.0.1:9/") == ("0", "0")
        assert "cannot be started" in (await puppet.hears("error", 0))[2]


async def test_the_brokers_log_is_told(scene: Scene) -> None:
    async with scene.puppet() as puppet:
        await puppet.do("level", 2)
        await puppet.do("open", scene.server.url)
        raw = await asyncio.to_thread(scene.raw)
        raw.close()
        assert "'test'" in (await puppet.hears("log", "info"))[2]


async def test_a_client_that_has_nothing_to_do_sleeps(scene: Scene) -> None:
    async with scene.puppet() as puppet:
        id_, _ = await puppet.do("open", scene.server.url)
        raw = await asyncio.to_thread(scene.raw)
        slept = puppet.naps()
        await asyncio.to_thread(raw.hears_beats, 5)
        assert 3 <= puppet.naps() - slept <= 50, "it polls"
        raw.close()
        await scene.server.push("awake")
        await puppet.hears("data", id_, 0, "awake")


@pytest.mark.parametrize("way", WAYS)
async def test_several_clients_live_in_one_process(scene: Scene, way: str) -> None:
    said = await output_of(program_of("several", way), scene.feedmux, scene.name, scene.server.url)
    assert said == ["new for 1", "heard by 4", "closed by 4"]
    assert scene.server.opens == 1


async def test_a_broker_is_nobodys_child_and_holds_nothing_of_its_client(scene: Scene) -> None:
    async with scene.puppet() as puppet:
        await puppet.do("open", scene.server.url)
        pid = int((await puppet.do("server"))[0])
        parent, session, links = origin_of(pid)
        assert parent != puppet.process.pid
        assert session not in {os.getsid(0), os.getsid(puppet.process.pid)}
        assert links == ["/", "/dev/null", "/dev/null", "/dev/null"]
        puppet.process.kill()
        await puppet.process.wait()
        assert origin_of(pid)[1] == session


def origin_of(pid: int) -> tuple[int, int, list[str]]:
    """The parent of a process, its session, and where its directory and its first descriptors lead."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    places = ("cwd", "fd/0", "fd/1", "fd/2")
    return int(fields[1]), int(fields[3]), [str((process / place).readlink()) for place in places]


@pytest.mark.parametrize("way", WAYS)
async def test_a_program_that_was_written_for_the_one_before_runs(scene: Scene, way: str) -> None:
    settings = {"FEEDMUX_SHARE_NAME": scene.name}
    said = await output_of(program_of("drop_in", way), scene.feedmux, scene.server.url, settings=settings)
    answers = ["subscribed yes no", "server yes", "unsubscribed yes", "left yes", "left all yes"]
    assert sorted(said) == sorted(["opened", "data go", *answers])
    assert scene.heard == [SUBSCRIBED, "echo go", "bye"]


async def test_the_example_of_the_one_before_runs_with_its_paths_changed(
    tmp_path: Path, scene: Scene
) -> None:
    place = os.environ.get("FEEDMUX_SEED_README")
    if place is None:
        pytest.skip("FEEDMUX_SEED_README names no file that has the example")
    program = compiled(example_in(Path(place), tmp_path, scene), *PLAIN)
    settings = {"FEEDMUX_SHARE_NAME": scene.name}
    async with Puppet.run(program, settings=settings) as puppet:
        await puppet.hears("Connected: 1")
        await scene.got('{"action":"subscribe","bars":["AAPL"]}')
        await scene.server.push("a bar")
        await puppet.hears("Received: a bar")
        puppet.process.kill()


def example_in(readme: Path, folder: Path, scene: Scene) -> Path:
    """The two pieces of code as one program, with another path of the program and another address."""
    pieces = re.findall(r"^#include <websocket_proxy/.*?^}", readme.read_text(), re.MULTILINE | re.DOTALL)
    assert len(pieces) == 2, "the example is written in another way now"
    code = pieces[0] + ";\n" + pieces[1]
    for old, new in (("./bin/websocket_proxy.exe", scene.feedmux), ('wss://[^"]*', scene.server.url)):
        code, count = re.subn(old, str(new), code)
        assert count == 1
    made = folder / "example.cpp"
    made.write_text(code + "\n")
    return made
