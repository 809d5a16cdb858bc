"""No credential shows in a log, a repr, an event, a recording or an error, whatever the server makes of it.

The servers here repeat what they were told wherever a server can say something: in the answer to the
upgrade, in errors of every form, in answers to nobody, in messages that are none, in the reason to close.
"""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from feedmux.client.deribit import Credentials, Deribit
from feedmux.client.link import Link
from feedmux.client.plain import JsonRpcAdapter
from feedmux.client.recorder import Recorder
from feedmux.client.state import LinkState
from feedmux.client.telemetry_events import ConnectionUpgrade
from feedmux.model.adapter import Adapter, Dialogue
from feedmux.model.errors import AuthenticationFailed, CallFailed, MalformedMessage
from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import Account, DeribitOptions
from support.ear import Ear
from support.loops import on_both_loops
from support.parrot import (
    ACCESS,
    BASIC,
    BEARER,
    CLIENT_ID,
    CLIENT_SECRET,
    CONFIG,
    COOKIE,
    HEADER,
    KEY,
    MARK,
    PIN,
    PROTOCOL,
    QUERY,
    RUDE,
    SECRET,
    Heard,
    Rude,
    parrot,
    url_to,
)
from support.peers import TEXT, frame, raw_server, read_frame, read_request, upgrade
from support.rpc_server import Fault, RpcServer, rpc_server
from support.tap import Tap
from support.waiting import until

pytestmark = pytest.mark.e2e
# Ways to say who one is


class ByName(JsonRpcAdapter):
    """Sends its secrets under names that nobody knows, and makes what it likes of the answer."""

    name, has_credentials = "a platform", True

    async def authenticate(self, dialogue: Dialogue, /) -> float | None:
        try:
            result = await self.tell(dialogue)
        except CallFailed as error:
            raise AuthenticationFailed(self.name, error.message) from error
        if isinstance(result, str):
            raise AuthenticationFailed(self.name, f"it said {result!r}")
        if not isinstance(result, dict):
            raise MalformedMessage("answer", f"it said {result!r}")
        return float(result["valid_s"])

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        answer = await dialogue.request("public/subscribe", {"channels": channels})
        return dict.fromkeys(channels, f"it said {answer}")

    async def tell(self, dialogue: Dialogue) -> object:
        return await dialogue.request("login", {"who": KEY, "proof": {"of": [SECRET]}, "algo": "BASIC"})


class ByPlace(ByName):
    """Sends them in a list."""

    async def tell(self, dialogue: Dialogue) -> object:
        return await dialogue.request("auth", [KEY, 1_700_000_000, SECRET])


class ByText(ByName):
    """Sends them as a text of its own, and asks what became of it."""

    async def tell(self, dialogue: Dialogue) -> object:
        await dialogue.send(f"LOGIN {KEY} {SECRET}")
        return await dialogue.request("status", {"pin": PIN})


ADAPTERS: dict[str, Callable[[], Adapter]] = {"by name": ByName, "by place": ByPlace, "by text": ByText}


@pytest.mark.parametrize("rude", RUDE.values(), ids=RUDE)
@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
async def test_whatever_a_server_makes_of_credentials_they_show_nowhere(
    adapter: Callable[[], Adapter], rude: Rude, tmp_path: Path
) -> None:
    heard: list[Heard] = []
    made = adapter()
    with Ear() as ear:
        async with parrot(rude, heard) as port, Recorder(tmp_path / "file") as recorder:
            link = Link(url_to(port), adapter=made, config=CONFIG)
            link.telemetry.attach(ear.event)
            link.record(recorder)
            await fail(link, ear, made, recorder)
        ear.said.append((tmp_path / "file").read_text())
    assert MARK in heard[0].head
    assert MARK in heard[0].text
    assert ear.leaks(heard[0].secrets) == []


async def fail(link: Link, ear: Ear, *things: object) -> None:
    """Try to live, in vain; hear what is said about it."""
    with ear.catching():
        await link
    with ear.catching():
        await link.request("private/get", {"password": PIN})
    with ear.catching():
        await link.wait_closed()
    ear.look(link, link._config, link.telemetry, *things)
    ear.look_round()
    with ear.catching():
        await link.close()
    with ear.catching():
        async for message in link:
            assert message is not None  # what came is the user's
    ear.look(link)


@pytest.mark.parametrize("rude", RUDE.values(), ids=RUDE)
@pytest.mark.parametrize("signs", [True, False], ids=["signs", "shows"])
async def test_nor_does_a_key_of_deribit(signs: bool, rude: Rude, tmp_path: Path) -> None:
    heard: list[Heard] = []
    key = Credentials(CLIENT_ID, CLIENT_SECRET, signs=signs)
    with Ear() as ear:
        async with parrot(rude, heard) as port, Recorder(tmp_path / "file") as recorder:
            deribit = Deribit(url_to(port), credentials=key, config=CONFIG)
            deribit.link.telemetry.attach(ear.event)
            deribit.link.record(recorder)
            await fail(deribit.link, ear, deribit, key, deribit.limiter, deribit._adapter)
        ear.said.append((tmp_path / "file").read_text())
    assert (CLIENT_SECRET in heard[0].text) is not signs
    assert CLIENT_ID in heard[0].text
    assert ear.leaks(heard[0].secrets) == []


# Before there is a connection

NOT_NOW: dict[str, Callable[[str], str]] = {
    "401": lambda head: f"HTTP/1.1 401 Unauthorized\r\nX-Echo: {head}\r\nContent-Length: 5\r\n\r\n{head}",
    "403 in its own words": lambda head: f"HTTP/1.1 403 {head}\r\n\r\n",
    "a redirect": lambda head: f"HTTP/1.1 302 Found\r\nLocation: wss://{QUERY}:{HEADER}@{COOKIE}/{BASIC}?{BEARER}\r\n\r\n",
    "a wait": lambda head: f"HTTP/1.1 503 Busy\r\nRetry-After: {head}\r\n\r\n",
    "no status": lambda head: f"{head}\r\n\r\n",
    "no header": lambda head: f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n\r\n",
    "a wrong signature": lambda head: (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {BASIC} {HEADER}\r\n\r\n"
    ),
    "nothing": lambda head: "",
}  # fmt: skip


@pytest.mark.parametrize("says", NOT_NOW.values(), ids=NOT_NOW)
async def test_nor_when_the_upgrade_is_refused(says: Callable[[str], str]) -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(says(" ".join(heads[-1].decode().split())).encode())
        await writer.drain()

    with Ear() as ear:
        async with raw_server(talk) as port:
            await fail(Link(url_to(port), adapter=ByName(), config=CONFIG), ear)
    for secret in (BASIC, QUERY, HEADER, BEARER, COOKIE, PROTOCOL):
        assert secret in heads[0].decode()
    assert ear.leaks([MARK, BASIC]) == []


PROXY_USER, PROXY_PASSWORD = f"{MARK}-proxy-user", f"{MARK}-proxy-pass"
PROXY_BASIC = b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode())
PROXIES: dict[str, tuple[str, list[bytes]]] = {
    "407": (
        "http",
        [b"HTTP/1.1 407 " + PROXY_BASIC + b"\r\nProxy-Authenticate: " + PROXY_BASIC + b"\r\n\r\n"],
    ),
    "garbage": ("http", [PROXY_USER.encode() + b" " + PROXY_BASIC + b"\r\n\r\n"]),
    "a cut": ("http", []),
    "socks refuses": ("socks5", [b"\5\2", b"\1\1" + PROXY_PASSWORD.encode()]),
    "socks takes nobody": ("socks5", [b"\5\xff"]),
    "socks talks nonsense": ("socks5", [PROXY_USER.encode()]),
    "socks is cut": ("socks5", [b"\5\2"]),
}


@pytest.mark.parametrize(("scheme", "says"), PROXIES.values(), ids=PROXIES)
async def test_nor_by_way_of_a_proxy(scheme: str, says: list[bytes]) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in says:
            heard.append(await reader.read(1000))
            writer.write(answer)
            await writer.drain()
        heard.append(await reader.read(1000))

    with Ear() as ear:
        async with raw_server(talk) as port:
            proxy = f"{scheme}://{PROXY_USER}:{PROXY_PASSWORD}@127.0.0.1:{port}"
            config = msgspec.structs.replace(CONFIG, proxy=proxy)
            await fail(Link("ws://localhost:9/", adapter=ByName(), config=config), ear, config)
    assert any(heard)
    assert ear.leaks([MARK, BASIC, PROXY_BASIC.decode()]) == []


# When all is well


async def test_nor_with_a_server_that_is_well_and_talks_too_much(tmp_path: Path) -> None:
    async with rpc_server() as server:
        with Ear() as ear:
            async with Recorder(tmp_path / "file") as recorder:
                link = Link(url_to(server.port), adapter=ByName(), config=CONFIG, listener=ear.hear)
                link.telemetry.attach(ear.event)
                link.record(recorder)
                await talk_too_much(server, link, ear)
                ear.look(link, recorder)
            ear.said.append((tmp_path / "file").read_text())
    assert server.asked("login") == [{"who": KEY, "proof": {"of": [SECRET]}, "algo": "BASIC"}] * 2
    assert ear.leaks([MARK, BASIC]) == []


async def talk_too_much(server: RpcServer, link: Link, ear: Ear) -> None:
    def no(params: object) -> object:
        raise Fault(1, f"{params} is wrong", {"you": [str(params)]})

    server.methods |= {"login": lambda params: {"valid_s": 60, "access_token": ACCESS}, "set": no}
    server.methods["public/subscribe"] = lambda params: f"{KEY} may not, with {SECRET} and {ACCESS}"
    async with link:
        ear.look(await link.subscribe("a"))
        for _ in range(2):
            with ear.catching():
                await link.request("set", {"password": PIN, "other": "x"})
        await server.cut()
        await until(lambda: len(server.asked("login")) == 2 and link.state is LinkState.LIVE)


async def test_nor_does_a_task_show_what_it_waits_for(tmp_path: Path) -> None:
    """Between an answer and the turn of who waits for it, others look at his task."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        asked = json.loads((await read_frame(reader))[1])
        answer = {"id": asked["id"], "result": {"valid_s": 60, "access_token": ACCESS}}
        writer.write(frame(TEXT, json.dumps(answer).encode()) + frame(TEXT, b'"data"'))
        await reader.read(-1)

    looked: list[object] = []
    with Ear() as ear:

        def look(message: object) -> None:
            looked.append(message)
            ear.look_round()

        async with (
            raw_server(talk) as port,
            Link(url_to(port), adapter=ByName(), config=CONFIG, listener=look),
        ):
            await until(lambda: looked)
    assert ear.leaks([MARK]) == []


@on_both_loops
async def test_nor_with_a_venue_that_is_well(tmp_path: Path) -> None:
    options = DeribitOptions(
        rate=50, credits=None, expires_in_s=1.0, accounts=(Account(CLIENT_ID, CLIENT_SECRET),)
    )
    sim = DeribitSim(options)
    await sim.start()
    tap = Tap(f"{sim.url()}?api_key={QUERY}")
    await tap.start()
    key = Credentials(CLIENT_ID, CLIENT_SECRET)
    config = msgspec.structs.replace(CONFIG, request_timeout_s=2.0, max_attempts=0)
    try:
        with Ear() as ear:
            async with Recorder(tmp_path / "file") as recorder:
                deribit = Deribit(f"{tap.url}?api_key={QUERY}", credentials=key, config=config)
                deribit.link.telemetry.attach(ear.event)
                deribit.link.record(recorder)
                async with deribit:
                    await live(deribit, sim, ear)
                    ear.look(deribit, deribit.link, deribit.limiter, key, config, recorder)
            ear.said.append((tmp_path / "file").read_text())
    finally:
        await tap.stop()
        await sim.stop()
    tokens = tokens_of(tap)
    assert len(tokens) >= 4
    assert {"asyncio", "feedmux.client.trouble"} <= ear.loggers
    assert ear.leaks([MARK, *tokens]) == []


async def live(deribit: Deribit, sim: DeribitSim, ear: Ear) -> None:
    """Do what one does; lose the connection; have the tokens renewed, and refused."""
    await deribit.subscribe(["user.orders.any.any.raw", "ticker.BTC-PERPETUAL.raw"])
    for ask in (deribit.open_orders, deribit.positions):
        ear.look(await ask())
    sim.drop_answer("public/auth")
    sim.cut()
    await until(lambda: deribit.link.state is LinkState.LIVE and sim.floor.requests["public/auth"] >= 4)
    with ear.catching():
        await deribit.link.request(
            "public/auth", {"grant_type": "refresh_token", "refresh_token": f"{MARK}-old"}
        )
    with ear.catching():
        await deribit.link.request("public/auth", {"client_id": CLIENT_ID, "client_secret": f"{MARK}-wrong"})
    sim.expire_tokens()
    with ear.catching():
        await deribit.open_orders()
    ear.look_round()


def tokens_of(tap: Tap) -> set[str]:
    """All tokens that the venue handed out."""
    results = [message.get("result") for messages in tap.connections() for message in messages]
    held = [result for result in results if isinstance(result, dict) and "access_token" in result]
    return {result[name] for result in held for name in ("access_token", "refresh_token")}


def test_the_ear_hears_what_is_said() -> None:
    """A test that cannot fail is none: every way of saying it is heard."""

    async def say() -> list[bool]:
        found: list[bool] = []
        with Ear() as ear:
            ways: list[Callable[[], object]] = [
                lambda: logging.getLogger("anybody").debug("%s", f"{MARK}-1"),
                lambda: logging.getLogger("anybody").debug(
                    "nothing", extra={"x": 1}, exc_info=ValueError(f"{MARK}-2")
                ),
                lambda: warnings.warn(f"{MARK}-3", stacklevel=1),
                lambda: ear.look([f"{MARK}-4"]),
                lambda: ear.event(ConnectionUpgrade(1.0, f"wss://{MARK}-5/")),
                lambda: ear.caught(CallFailed("x", 1, "no", {"data": f"{MARK}-6"})),
                lambda: ear.caught(_led_to(ValueError(f"{MARK}-7"))),
                lambda: asyncio.get_running_loop().call_exception_handler({"message": f"{MARK}-8"}),
                lambda: ear.look(b64encode(MARK.encode())),
            ]
            for way in ways:
                before = len(ear.leaks([MARK]))
                way()
                found.append(len(ear.leaks([MARK])) > before)
        return found

    assert asyncio.run(say()) == [True] * 9


def _led_to(cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except ValueError:
            raise AuthenticationFailed("x", "no") from None
    except AuthenticationFailed as error:
        return error
