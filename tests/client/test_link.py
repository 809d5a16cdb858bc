"""What a link does for its user, against a real server."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from feedmux.client.events import Dropped, Interrupted, Restored, Subscribed
from feedmux.client.link import Link, LinkConfig, connect
from feedmux.client.plain import JsonRpcAdapter, PlainAdapter
from feedmux.client.pool import Pool
from feedmux.client.recorder import Recorder
from feedmux.client.registry import Registry
from feedmux.client.settings import WhenFull
from feedmux.model.adapter import Dialogue
from feedmux.model.errors import (
    AuthenticationFailed,
    CallFailed,
    InvalidSetting,
    Overflow,
)
from feedmux.model.link_errors import (
    Cause,
    ConnectFailed,
    GaveUp,
    LinkLost,
    RequestLost,
    RequestTimeout,
)
from support.loops import on_both_loops
from support.peers import QUICK, open_descriptors
from support.rpc_server import SILENCE, Fault, RpcServer, rpc_server
from support.waiting import until


def quick(**changes: object) -> LinkConfig:
    return msgspec.structs.replace(QUICK, **changes)


async def soon(link: Link) -> object:
    """The next message or notice."""
    async with asyncio.timeout(5):
        return await anext(link)


def subscription(channel: str, data: object) -> object:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


# Connecting


@on_both_loops
async def test_five_lines_are_enough() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        assert await link.subscribe(["trades.BTC"]) == Subscribed(confirmed=("trades.BTC",))
        await server.publish("trades.BTC", [1])
        async for message in link:
            assert message == subscription("trades.BTC", [1])
            break


@on_both_loops
async def test_it_may_be_awaited_instead_and_says_where_it_is() -> None:
    async with rpc_server() as server:
        link = connect(server.url)
        assert str(link.state) == "idle"
        assert await link is link
        assert str(link.state) == "live"
        await link.close()
        assert str(link.state) == "closed"
        assert [message async for message in link] == []
        await link.wait_closed()


async def test_a_first_attempt_that_fails_is_told() -> None:
    with pytest.raises(ConnectFailed, match=r"connection refused; is the server running") as caught:
        await connect("ws://127.0.0.1:9/")
    assert caught.value.cause is Cause.NETWORK


async def test_who_is_patient_gets_a_later_attempt() -> None:
    async with rpc_server() as server:
        tries = []

        def refuse_two(params: object) -> object:
            tries.append(params)
            return "no" if len(tries) > 2 else SILENCE

        server.methods["hello"] = refuse_two
        link = Link(server.url, adapter=Greeting(), config=quick(request_timeout_s=0.05))
        link.start()
        await link.wait_live(within_s=5)
        assert len(tries) == 3
        await link.close()


class Greeting(JsonRpcAdapter):
    """Wants an answer before it is satisfied."""

    async def prepare(self, dialogue: Dialogue, /) -> None:
        await dialogue.request("hello", {})


@pytest.mark.parametrize(
    "change",
    [{"adapter": "secret"}, {"headers": (("X-Api-Key", "k1234"),)}, {"url": "ws://user:word@192.0.2.1/"},
     {"url": "ws://192.0.2.1/?token=abcdef"}],
)  # fmt: skip
def test_credentials_never_cross_a_network_unencrypted(change: dict[str, object]) -> None:
    adapter = Secretive(lambda: None) if "adapter" in change else None
    config = LinkConfig(headers=change.get("headers", ()))  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match=r"expected wss://: credentials would cross") as caught:
        connect(str(change.get("url", "ws://192.0.2.1/")), adapter=adapter, config=config)
    assert "word" not in str(caught.value)
    assert "abcdef" not in str(caught.value)


def test_an_unencrypted_network_is_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        connect("ws://192.0.2.1/")
        connect("ws://localhost/")
        connect("ws://[::1]/")
    assert [record.message for record in caplog.records] == [
        "ws://192.0.2.1/ is not encrypted: others on the way can read and change what comes"
    ]


# Messages


@on_both_loops
async def test_messages_keep_their_kind() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        for message in ('{"a": 1}', "no JSON", b"\x00\xff", "[1, 2]"):
            await server.tell(message)
        assert [await soon(link) for _ in range(4)] == [{"a": 1}, "no JSON", b"\x00\xff", [1, 2]]


async def test_a_message_with_an_id_that_answers_nothing_is_data() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        await server.tell({"id": 1, "price": "8.5"})
        assert await soon(link) == {"id": 1, "price": "8.5"}


async def test_text_that_is_not_utf8_ends_the_connection_with_1007() -> None:
    async with rpc_server() as server, connect(server.url, config=QUICK) as link:
        connection = server.open[0]
        connection.protocol.send_text(b"\xff\xfe")
        connection.transport.write(b"".join(connection.protocol.data_to_send()))
        assert "not UTF-8" in str(await soon(link))
        await until(lambda: connection.close_code == 1007)


async def test_a_listener_takes_messages_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    got: list[object] = []

    def listen(message: object) -> None:
        got.append(message)
        raise ValueError(message)

    async with rpc_server() as server, connect(server.url, listener=listen) as link:
        await server.tell("1")
        await server.tell("2")
        await until(lambda: got == [1, 2])
        assert link.statistics()["listener_errors"] == 2
    assert "listener" in caplog.text or "listen" in caplog.text


async def test_a_reader_that_is_slow_makes_the_server_wait() -> None:
    async with rpc_server() as server, connect(server.url, config=quick(max_waiting=10)) as link:
        sending = asyncio.ensure_future(send_many(server, 3000))
        await until(lambda: link.statistics()["waiting"], "something waits")
        numbers: list[object] = []
        while len(numbers) < 3000:
            message = await soon(link)
            numbers.append(message["n"])  # type: ignore[index]
        await sending
        assert numbers == list(range(3000))
        assert link.statistics()["dropped"] == 0


async def send_many(server: RpcServer, count: int) -> None:
    for number in range(count):
        await server.tell({"n": number, "pad": "x" * 1000})


async def test_a_reader_that_is_slow_may_lose_and_is_told_how_many() -> None:
    config = quick(max_waiting=10, when_full=WhenFull.DROP)
    async with rpc_server() as server, connect(server.url, config=config) as link:
        await send_many(server, 50)
        assert await link.request("echo", [1]) == [1]  # everything before was taken in
        assert await soon(link) == Dropped(40)
        assert [(await soon(link))["n"] for _ in range(10)] == list(range(40, 50))  # type: ignore[index]
        assert link.statistics()["dropped"] == 40


async def test_a_reader_that_is_slow_may_end_the_link() -> None:
    config = quick(max_waiting=10, when_full=WhenFull.CLOSE)
    async with rpc_server() as server, connect(server.url, config=config) as link:
        await send_many(server, 11)
        with pytest.raises(Overflow, match="10 messages"):
            await link.wait_closed()
        assert len([await soon(link) for _ in range(10)]) == 10
        with pytest.raises(Overflow):
            await soon(link)


# Requests


@on_both_loops
async def test_answers_find_their_requests_in_any_order() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        answers = [asyncio.ensure_future(link.request("echo", [n])) for n in range(100)]
        assert await asyncio.gather(*answers) == [[n] for n in range(100)]


async def test_an_error_has_its_code_message_and_data() -> None:
    async with rpc_server() as server, connect(server.url) as link:

        def fail(params: object) -> object:
            raise Fault(10009, "not_enough_funds", {"missing": 3})

        server.methods["buy"] = fail
        with pytest.raises(CallFailed, match=r"buy was refused: not_enough_funds \(10009\)") as caught:
            await link.request("buy", {})
        assert (caught.value.number, caught.value.data) == (10009, {"missing": 3})


async def test_a_request_has_its_own_patience() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        server.methods["sleep"] = lambda params: SILENCE
        with pytest.raises(
            RequestTimeout, match=r"sleep: no answer within 0.05 s; it may have been executed"
        ):
            await link.request("sleep", timeout_s=0.05)
        assert await link.request("echo", [1]) == [1]


async def test_a_request_under_way_fails_at_once_when_the_connection_ends() -> None:
    async with rpc_server() as server, connect(server.url, config=QUICK) as link:
        server.methods["order"] = lambda params: SILENCE
        asking = asyncio.ensure_future(link.request("order", {}))
        await until(lambda: server.asked("order"))
        await server.cut()
        with pytest.raises(RequestLost, match="it may have been executed") as caught:
            await asking
        assert caught.value.maybe_executed
        with pytest.raises(RequestLost, match="it was not sent"):
            await link.request("order", {})


async def test_a_repeatable_request_is_sent_again_and_an_other_one_is_not() -> None:
    async with rpc_server() as server, connect(server.url, config=QUICK) as link:
        answers = [SILENCE, "here"]
        server.methods["read"] = lambda params: answers.pop(0)
        asking = asyncio.ensure_future(link.request("read", {}, repeatable=True))
        await until(lambda: server.asked("read"))
        await server.cut()
        assert await asking == "here"
        assert len(server.asked("read")) == 2


async def test_a_repeatable_request_waits_for_the_link() -> None:
    async with rpc_server() as server:
        link = Link(server.url, config=QUICK)
        asking = asyncio.ensure_future(link.request("echo", [5], repeatable=True))
        await asyncio.sleep(0)
        link.start()
        assert await asking == [5]
        await link.close()


async def test_what_nobody_answers_fails_when_the_link_is_closed() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        server.methods["sleep"] = lambda params: SILENCE
        asking = [asyncio.ensure_future(link.request("sleep", repeatable=again)) for again in (False, True)]
        await until(lambda: len(server.asked("sleep")) == 2)
        await link.close()
        for task in asking:
            with pytest.raises(RequestLost):
                await task


async def test_a_cancelled_request_leaves_nothing() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        server.methods["sleep"] = lambda params: SILENCE
        asking = asyncio.ensure_future(link.request("sleep"))
        await until(lambda: server.asked("sleep"))
        asking.cancel()
        await asyncio.wait({asking})
        assert link.statistics()["requests"]["in_flight"] == 0  # type: ignore[index]


async def test_requests_in_flight_are_bounded() -> None:
    async with rpc_server() as server, connect(server.url, config=quick(max_in_flight=2)) as link:
        server.methods["sleep"] = lambda params: SILENCE
        asking = [asyncio.ensure_future(link.request("sleep")) for _ in range(2)]
        await until(lambda: len(server.asked("sleep")) == 2)
        with pytest.raises(Overflow, match="2 requests"):
            await link.request("sleep")
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)


async def test_an_answer_that_nobody_waits_for_is_counted_and_is_no_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with rpc_server() as server, connect(server.url) as link:
        await server.tell({"jsonrpc": "2.0", "id": 999, "result": 1})
        await server.tell("after")
        assert await soon(link) == "after"
        assert link.statistics()["requests"]["unknown"] == 1  # type: ignore[index]
    assert "an answer that nobody waits for (unknown): id 999" in caplog.text


async def test_a_server_that_answers_nothing_can_be_asked_nothing() -> None:
    async with rpc_server() as server, connect(server.url, adapter=PlainAdapter()) as link:
        with pytest.raises(InvalidSetting, match="one whose server answers requests"):
            await link.request("echo")
        assert (await link.subscribe("x")).refused


# Subscriptions


async def test_what_the_server_leaves_out_was_refused() -> None:
    async with rpc_server() as server, connect(server.url) as link:
        server.unknown = {"b"}
        outcome = await link.subscribe(["a", "b", "c"])
        assert outcome.confirmed == ("a", "c")
        assert list(outcome.refused) == ["b"]
        assert link.channels == ("a", "c")


async def test_a_batch_that_is_refused_as_a_whole_is_asked_in_parts() -> None:
    async with rpc_server() as server, connect(server.url) as link:

        def subscribe(params: Mapping[str, Sequence[str]]) -> object:
            if any(channel.endswith(".raw") for channel in params["channels"]):
                raise Fault(13778, "raw_subscriptions_not_available_for_unauthorized")
            return params["channels"]

        server.methods["public/subscribe"] = subscribe
        outcome = await link.subscribe(["a", "b", "c.raw", "d"])
        assert outcome.confirmed == ("a", "b", "d")
        assert outcome.refused == {"c.raw": "raw_subscriptions_not_available_for_unauthorized"}


async def test_what_is_wanted_before_the_link_is_live_is_pending_and_then_there() -> None:
    async with rpc_server() as server:
        link = Link(server.url, config=QUICK)
        assert (await link.subscribe(["a", "b"])).pending == ("a", "b")
        await link
        assert server.wanted == ["a", "b"]
        await link.unsubscribe("a")
        await until(lambda: server.wanted == ["b"])
        assert await link.subscribe("b") == Subscribed(confirmed=("b",))
        await link.close()


async def test_channels_are_texts() -> None:
    link = connect("ws://127.0.0.1:9/")
    for change in (link.subscribe, link.unsubscribe):
        with pytest.raises(InvalidSetting, match="texts of 1 to 10000 characters"):
            await change(["a", ""])
    assert link.channels == ()


# Restoring


@on_both_loops
async def test_after_a_cut_everything_is_restored_and_both_ends_of_the_hole_are_told() -> None:
    async with rpc_server() as server, connect(server.url, config=QUICK) as link:
        await link.subscribe(["a", "b"])
        await server.publish("a", 1)
        await until(lambda: link.statistics()["waiting"] == 1)
        await server.cut()
        await link.wait_live(5)
        await server.publish("a", 2)
        got = [await soon(link) for _ in range(4)]
        assert got[0] == subscription("a", 1)
        assert got[1] == Interrupted("the connection broke without a CLOSE")
        assert isinstance(got[2], Restored)
        assert (got[2].channels, got[2].refused) == (("a", "b"), {})
        assert got[3] == subscription("a", 2)
        assert sorted(server.wanted) == ["a", "b"]


async def test_what_is_refused_on_the_way_back_leaves_the_set_and_is_told() -> None:
    async with rpc_server() as server, connect(server.url, config=QUICK) as link:
        await link.subscribe(["a", "b"])
        server.unknown = {"a"}
        await server.cut()
        assert isinstance(await soon(link), Interrupted)
        restored = await soon(link)
        assert isinstance(restored, Restored)
        assert (restored.channels, list(restored.refused)) == (("b",), ["a"])
        assert link.channels == ("b",)


class Secretive(JsonRpcAdapter):
    """Says who it is, and sets something, before it subscribes."""

    has_credentials = True

    def __init__(self, problem: object) -> None:
        super().__init__()
        self.problem = problem
        self.valid_s: float | None = None

    async def authenticate(self, dialogue: Dialogue, /) -> float | None:
        try:
            await dialogue.request("public/auth", {"client_secret": "hush"})
        except CallFailed as error:
            if error.number == 13004:
                raise AuthenticationFailed("the server", error.message) from error
            raise
        return self.valid_s

    async def prepare(self, dialogue: Dialogue, /) -> None:
        await dialogue.request("public/set_heartbeat", {"interval": 10})


@on_both_loops
async def test_the_order_of_a_restore_is_the_same_on_every_connection() -> None:
    async with rpc_server() as server:
        server.methods |= {"public/auth": lambda _: "ok", "public/set_heartbeat": lambda _: "ok"}
        async with connect(server.url, adapter=Secretive(None), config=QUICK) as link:
            await link.subscribe("a")
            await server.cut()
            await link.wait_live(5)
        order = ["public/auth", "public/set_heartbeat", "public/subscribe"]
        assert [method for number, method, _ in server.requests if number == 0] == order
        assert [method for number, method, _ in server.requests if number == 1] == order


async def test_credentials_that_are_not_taken_end_the_link() -> None:
    async with rpc_server() as server:

        def refuse(params: object) -> object:
            raise Fault(13004, "invalid_credentials")

        server.methods["public/auth"] = refuse
        with pytest.raises(
            AuthenticationFailed, match="does not accept the credentials: invalid_credentials"
        ):
            await connect(server.url, adapter=Secretive(None), config=QUICK)
        assert len(server.held) == 1, "it did not try again"


async def test_authentication_is_renewed_before_it_ends() -> None:
    async with rpc_server() as server:
        server.methods |= {"public/auth": lambda _: "ok", "public/set_heartbeat": lambda _: "ok"}
        adapter = Secretive(None)
        adapter.valid_s = 0.02
        async with connect(server.url, adapter=adapter, config=QUICK):
            await until(lambda: len(server.asked("public/auth")) >= 4)
            assert len(server.held) == 1, "on the same connection"


async def test_a_restore_that_does_not_work_is_tried_on_another_connection() -> None:
    async with rpc_server() as server:
        answers: list[object] = [SILENCE, "ok"]
        server.methods["hello"] = lambda _: answers.pop(0)
        link = Link(server.url, adapter=Greeting(), config=quick(request_timeout_s=0.05))
        link.start()
        await link.wait_live(5)
        assert len(server.held) == 2
        await link.close()


class Broken(JsonRpcAdapter):
    """Fails as programs do."""

    async def prepare(self, dialogue: Dialogue, /) -> None:
        raise RuntimeError("a mistake")


async def test_an_adapter_that_fails_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with rpc_server() as server:
        with pytest.raises(LinkLost, match="it could not be restored: its adapter raised RuntimeError"):
            await connect(server.url, adapter=Broken(), config=QUICK)
    assert "a mistake" in caplog.text


# Silence


async def test_a_silent_channel_is_subscribed_to_again_and_then_the_connection_is_replaced() -> None:
    config = quick(channel_silence_s=0.1, ping_timeout_s=0.2)
    async with rpc_server() as server, connect(server.url, config=config) as link:
        await link.subscribe("a")
        assert isinstance(await soon(link), Interrupted)
        assert link.statistics()["connection"]["opens"] == 1  # type: ignore[index]
        first = [(method, params["channels"]) for number, method, params in server.requests if number == 0]
        assert first[:3] == [
            ("public/subscribe", ["a"]),
            ("public/unsubscribe", ["a"]),
            ("public/subscribe", ["a"]),
        ]


async def test_a_channel_that_speaks_is_left_alone() -> None:
    config = quick(channel_silence_s=0.3, silence_s=0.3, ping_timeout_s=0.2)
    async with rpc_server() as server, connect(server.url, config=config) as link:
        await link.subscribe("a")
        for number in range(20):
            await server.publish("a", number)
            assert await soon(link) == subscription("a", number)
            await link.request("echo", [1])
        assert len(server.asked("public/subscribe")) == 1


async def test_a_silent_connection_is_replaced() -> None:
    config = quick(silence_s=0.1, ping_timeout_s=0.1)
    async with rpc_server() as server, connect(server.url, config=config) as link:
        notice = await soon(link)
        assert notice == Interrupted("the connection is silent, and nothing helped")
        assert server.held


# Giving up


async def test_a_bound_of_attempts_ends_the_link() -> None:
    link = Link("ws://127.0.0.1:9/", config=quick(max_attempts=3))
    with pytest.raises(GaveUp, match="gave up after 3 attempts in a row"):
        await link.run()
    with pytest.raises(GaveUp):
        await link.wait_closed()
    with pytest.raises(GaveUp):
        await anext(link)


async def test_several_urls_are_tried_in_turn() -> None:
    async with rpc_server() as server:
        link = Link(["ws://127.0.0.1:9/", server.url], config=QUICK)
        link.start()
        await link.wait_live(5)
        assert server.url in repr(link)
        await link.close()


# Leaving nothing behind


async def test_a_hundred_reconnects_leave_nothing_behind_and_the_wanted_set_whole() -> None:
    async with rpc_server() as server, connect(server.url, config=QUICK) as link:
        await link.subscribe(["a", "b"])
        descriptors, tasks = open_descriptors(), len(asyncio.all_tasks())
        for number in range(100):
            await server.cut()
            while not isinstance(await soon(link), Restored):
                continue
            assert sorted(server.wanted) == ["a", "b"], number
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert open_descriptors() <= descriptors
        gc.collect()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


# Being watched


async def test_what_happens_inside_is_told_and_recorded(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "link.jsonl"
    async with rpc_server() as server, Recorder(path, secrets={"hush-hush"}) as recorder:
        link = Link(server.url, config=quick(ping_interval_s=0.05))
        link.telemetry.attach(lambda event: told.append(".".join(event.name[1:])))
        link.record(recorder)
        async with link:
            await link.subscribe("a")
            await link.request("echo", ["hush-hush"])
            await until(lambda: "heartbeat.pong" in told)
            await server.cut()
            await link.wait_live(5)
            await link.unsubscribe("a")
    assert set(told) >= {
        "connection.upgrade", "subscription_manager.add", "subscription_manager.remove",
        "subscription_manager.restore", "request_correlator.track", "request_correlator.resolve",
        "heartbeat.pong",
    }  # fmt: skip
    text = path.read_text()
    assert "hush-hush" not in text
    kinds = [(entry["dir"], entry["type"]) for entry in map(json.loads, text.splitlines())]
    assert {("out", "text"), ("in", "text"), ("in", "close")} <= set(kinds)


async def test_a_pool_asks_links_and_a_registry_knows_them() -> None:
    async with rpc_server() as one, rpc_server() as two:
        registry = Registry[Link]()
        async with connect(one.url, config=QUICK) as first, connect(two.url, config=QUICK) as second:
            for name, link in (("first", first), ("second", second)):
                registry.add(name, link)
            pool = Pool(registry.members)
            assert [await pool.request("echo", [n]) for n in range(4)] == [[n] for n in range(4)]
            assert (len(one.asked("echo")), len(two.asked("echo"))) == (2, 2)
            await first.close()
            assert await pool.request("echo", [5]) == [5]
        await until(lambda: len(registry) == 0, "ended links are forgotten")
