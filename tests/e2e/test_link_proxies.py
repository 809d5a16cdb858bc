"""A link through real proxies: what passes, what survives their death, and who is blamed for what."""

from __future__ import annotations

import logging
import signal
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from feedmux.client.events import Interrupted, Restored
from feedmux.client.link import Link, LinkState, connect
from feedmux.client.settings import LinkConfig
from feedmux.model.explain import explain
from feedmux.model.link_errors import Cause, ConnectFailed
from support.certificates import Authority
from support.link_scene import gone, traces
from support.proxies import PASSWORD, USER, RealProxy, behind_tls, dante, microsocks, started, tinyproxy
from support.rpc_server import RpcServer, rpc_server
from support.waiting import until

pytestmark = pytest.mark.e2e

CHANNELS = ["book.b", "trades.a"]
BIG = "é" * 300_000
WHO = f"{USER}:{PASSWORD}"
CONFIG = LinkConfig(
    connect_timeout_s=2.0,
    request_timeout_s=5.0,
    close_timeout_s=0.1,
    retry_delay_s=0.01,
    max_backoff_s=0.05,
    breaker_failures=0,
)
MAKERS: dict[str, Callable[[Path], RealProxy]] = {
    "tinyproxy": tinyproxy,
    "tinyproxy with a password": partial(tinyproxy, user=WHO),
    "microsocks": microsocks,
    "microsocks with a password": partial(microsocks, user=WHO),
    "dante, SOCKS4": dante,
}
NOWHERE, NOBODY = "ws://127.0.0.1:9/", "ws://nobody.invalid/"
NOT_THERE = "connection refused; is the proxy {name} running, and is the port right?"
REFUSED = "the proxy {name} did not let us pass: "
CHECK = "; check its user and password"
HIDDEN = (PASSWORD, "wr0ng", "YWRhOn")
"""Passwords, and how a user of HTTP begins in base64."""


def through(url: str, **more: object) -> LinkConfig:
    return msgspec.structs.replace(CONFIG, proxy=url, **more)


class Place(NamedTuple):
    """A server, where it is, and how its certificate is checked."""

    server: RpcServer
    url: str
    trust: ssl.SSLContext | None


class Scene(NamedTuple):
    server: RpcServer
    link: Link
    seen: list[Any]


@asynccontextmanager
async def place(folder: Path, scheme: str = "ws") -> AsyncIterator[Place]:
    authority = Authority(folder)
    context = shows(authority) if scheme == "wss" else None
    async with rpc_server(ssl=context) as server:
        port = server.url.rpartition(":")[2]
        yield Place(server, f"{scheme}://127.0.0.1:{port}", authority.trusting() if context else None)


@asynccontextmanager
async def scene(proxy: str, folder: Path, scheme: str = "ws") -> AsyncIterator[Scene]:
    """A server, and a link to it through a proxy that is live and subscribed."""
    seen: list[Any] = []
    async with (
        place(folder, scheme) as (server, url, trust),
        Link(url, config=through(proxy), listener=seen.append, ssl=trust) as link,
    ):
        await link.subscribe(CHANNELS)
        yield Scene(server, link, seen)


def shows(authority: Authority) -> ssl.SSLContext:
    """What a server shows its certificate with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.files.cert, authority.files.key)
    return context


async def is_whole(set_up: Scene) -> None:
    """All that is wanted is held, and data, and messages of many segments, pass both ways."""
    server, link, seen = set_up
    await until(lambda: link.state is LinkState.LIVE, "the link is live")
    assert await link.request("echo", [BIG], repeatable=True) == [BIG]
    await until(lambda: len(server.open) == 1, "the server knows that the others have gone")
    assert sorted(server.wanted) == CHANNELS
    before = len(seen)
    await server.publish("trades.a", BIG)
    await until(lambda: len(seen) > before, "data passes")
    assert seen[-1]["params"]["data"] == BIG


def failures(link: Link) -> int:
    connection: Any = link.statistics()["connection"]
    return int(connection["failures_in_a_row"])


def last_reason(link: Link) -> str:
    connection: Any = link.statistics()["connection"]
    return str(connection["last_reason"])


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("maker", MAKERS)
async def test_a_link_passes_a_real_proxy_and_is_whole_again_after_its_death(
    maker: str, scheme: str, tmp_path: Path
) -> None:
    async with (
        started(MAKERS[maker](tmp_path)) as proxy,
        scene(proxy.url, tmp_path, scheme) as set_up,
    ):
        await is_whole(set_up)
        _, _, port = set_up.server.url.strip("/").rpartition(":")
        await until(lambda: port in proxy.log, "the proxy says where to")
        await proxy.kill()
        await until(lambda: failures(set_up.link) > 1, "nobody is there for a while")
        assert last_reason(set_up.link) == NOT_THERE.format(name=proxy.name)
        await proxy.start()
        await is_whole(set_up)
        notices = [type(item) for item in set_up.seen if not isinstance(item, dict)]
    assert notices == [Interrupted, Restored]


@pytest.mark.parametrize("maker", ["tinyproxy", "microsocks with a password"])
async def test_a_proxy_that_dies_again_and_again_leaves_nothing_behind(maker: str, tmp_path: Path) -> None:
    async with started(MAKERS[maker](tmp_path)) as proxy, scene(proxy.url, tmp_path) as set_up:
        await is_whole(set_up)
        before = traces()
        for _ in range(10):
            await proxy.kill()
            await proxy.start()
            await is_whole(set_up)
        await gone(before)


async def test_a_proxy_may_change_its_mind(tmp_path: Path) -> None:
    """A link that was live goes on trying, and says why in vain."""
    async with started(tinyproxy(tmp_path)) as proxy, scene(proxy.url, tmp_path) as set_up:
        await proxy.kill()
        proxy.rules += ["ConnectPort 1"]
        await proxy.start()
        await until(lambda: "HTTP 403" in last_reason(set_up.link), "it is refused")
        await proxy.kill()
        proxy.rules.clear()
        await proxy.start()
        await is_whole(set_up)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_proxy_may_be_behind_tls(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is checked against the system's authorities, the server's as the link says."""
    authority = Authority(tmp_path, cert="proxy.pem", key="proxy-key.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file.rename(tmp_path / "system.pem")))
    async with (
        started(tinyproxy(tmp_path, WHO)) as proxy,
        behind_tls(proxy, shows(authority)) as name,
        scene(name.replace("//", f"//{WHO}@"), tmp_path, scheme) as set_up,
    ):
        await is_whole(set_up)
        await proxy.kill()
        await proxy.start()
        await until(lambda: set_up.seen and isinstance(set_up.seen[-1], Restored), "it is restored")
        await is_whole(set_up)


async def test_a_proxy_whose_certificate_is_not_trusted_is_blamed_for_it(tmp_path: Path) -> None:
    context = shows(Authority(tmp_path))
    async with started(tinyproxy(tmp_path)) as proxy, behind_tls(proxy, context) as name:
        with pytest.raises(ConnectFailed, match=f"the proxy {name}'s certificate is not trusted") as caught:
            await connect(NOWHERE, config=through(name))
    assert caught.value.cause is Cause.PROXY


class Refusal(NamedTuple):
    """What goes wrong with a proxy.

    Args:
        maker: of the proxy.
        reason: what is said; ``{name}`` is the proxy's.
        user: who wants to pass.
        rules: that the proxy has.
        url: where the link leads, instead of the server.
        cause: what is blamed.
    """

    maker: str
    reason: str
    user: str = ""
    rules: tuple[str, ...] = ()
    url: str = ""
    cause: Cause = Cause.PROXY


REFUSALS = {
    "HTTP, wrong password": Refusal(
        "tinyproxy with a password", REFUSED + "HTTP 401" + CHECK, f"{USER}:wr0ng"
    ),
    "HTTP, no password": Refusal("tinyproxy with a password", REFUSED + "HTTP 407" + CHECK),
    "HTTP, filtered": Refusal(
        "tinyproxy", REFUSED + "HTTP 403; it does not allow this host or port", WHO, ("ConnectPort 1",)
    ),
    "HTTP, no server": Refusal(
        "tinyproxy", REFUSED + "HTTP 500; it does not reach the server", WHO, url=NOWHERE
    ),
    "HTTP, no such name": Refusal(
        "tinyproxy", REFUSED + "HTTP 500; it does not reach the server", url=NOBODY
    ),
    "SOCKS5, wrong password": Refusal(
        "microsocks with a password",
        REFUSED + "Username and password authentication failure" + CHECK,
        f"{USER}:wr0ng",
    ),
    "SOCKS5, no password": Refusal(
        "microsocks with a password", REFUSED + "No acceptable authentication methods were offered" + CHECK
    ),
    "SOCKS5, no server": Refusal(
        "microsocks", REFUSED + "Connection refused by destination host", WHO, url=NOWHERE
    ),
    "SOCKS5, no such name": Refusal("microsocks", REFUSED + "General SOCKS server failure", url=NOBODY),
    "SOCKS4, no server": Refusal("dante, SOCKS4", REFUSED + "Request rejected or failed", url=NOWHERE),
    "SOCKS4, no such name": Refusal(
        "dante, SOCKS4", "the name 'nobody.invalid' does not resolve", url=NOBODY, cause=Cause.NAME
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = REFUSALS[what]
    caplog.set_level(logging.DEBUG)
    proxy = MAKERS[case.maker](tmp_path)
    proxy.rules += case.rules
    async with place(tmp_path) as (_, url, _), started(proxy):
        await fails(proxy, case, caplog, case.url or url)


@pytest.mark.parametrize("maker", ["tinyproxy", "microsocks"])
async def test_a_proxy_that_is_not_there_is_named_and_its_password_is_not(
    maker: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await fails(MAKERS[maker](tmp_path), Refusal(maker, NOT_THERE, WHO), caplog, NOWHERE)


@pytest.mark.parametrize("maker", ["tinyproxy", "microsocks"])
async def test_a_proxy_that_hangs_is_named_and_its_password_is_not(
    maker: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reason = "no answer within 0.3 s while upgrading to WebSocket through the proxy {name}"
    async with started(MAKERS[maker](tmp_path)) as proxy:
        proxy.signal(signal.SIGSTOP)
        await fails(
            proxy, Refusal(maker, reason, WHO, cause=Cause.TIMEOUT), caplog, NOWHERE, connect_timeout_s=0.3
        )


async def fails(
    proxy: RealProxy, case: Refusal, caplog: pytest.LogCaptureFixture, url: str, **more: object
) -> None:
    """Try to pass, and look at all that is said about it."""
    config, reason = through(proxy.url_for(case.user), **more), case.reason.format(name=proxy.name)
    link = Link(url, config=config)
    with pytest.raises(ConnectFailed) as caught:
        await link
    error = caught.value
    assert error.reason.startswith(reason)
    assert error.cause is case.cause
    said = [*traceback.format_exception(error), repr(error), repr(error.args), explain(error).message]
    said += [caplog.text, repr(config), repr(link), str(link.statistics())]
    assert reason in caplog.text
    assert not [text for text in said for secret in HIDDEN if secret in text]
