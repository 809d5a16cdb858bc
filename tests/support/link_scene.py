"""A link, a server, and a network between them that breaks on demand; and what must hold afterwards."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, NamedTuple

from feedmux.client.events import Interrupted, Restored
from feedmux.client.link import Link, LinkState
from feedmux.client.settings import LinkConfig
from feedmux.sim.faults import FaultProxy
from support.peers import open_descriptors
from support.rpc_server import RpcServer, rpc_server
from support.waiting import until

HOST = "127.0.0.1"
CHANNELS = ["trades.a", "book.b", "user.c"]
CONFIG = LinkConfig(
    connect_timeout_s=2.0,
    request_timeout_s=2.0,
    close_timeout_s=0.1,
    retry_delay_s=0.01,
    max_backoff_s=0.05,
    breaker_failures=0,
    ping_interval_s=0.2,
    ping_timeout_s=0.2,
)


class Scene(NamedTuple):
    """What a story needs; ``seen`` has what the link's user was given, in order."""

    server: RpcServer
    proxy: FaultProxy
    link: Link
    seen: list[object]

    @property
    def carried(self) -> dict[str, Any]:
        """The counters of the link's connection."""
        found: dict[str, Any] = self.link.statistics()["connection"]  # type: ignore[assignment]
        return found

    async def failed(self, times: int, reason: str = "") -> None:
        """Wait until so many attempts more failed, the last one for this reason."""
        wanted = self.carried["attempts"] + times
        await until(lambda: self.carried["attempts"] > wanted, f"{times} attempts more")
        assert reason in self.carried["last_reason"], self.carried["last_reason"]


@asynccontextmanager
async def scene(
    config: LinkConfig = CONFIG,
    *,
    server_tls: SSLContext | None = None,
    client_tls: SSLContext | None = None,
    others: tuple[str, ...] = (),
) -> AsyncIterator[Scene]:
    """A server, a proxy in front of it, and a link that is live and subscribed; nothing is left of them.

    Args:
        config: the link's.
        server_tls: what the server shows its certificate with; None: no TLS.
        client_tls: what the link checks it with.
        others: further URLs of the link.
    """
    seen: list[object] = []
    async with leaving_nothing(), rpc_server(ssl=server_tls) as server:
        proxy = FaultProxy(HOST, int(server.url.rpartition(":")[2].strip("/")))
        await proxy.start()
        urls = [f"{'ws' if server_tls is None else 'wss'}://{HOST}:{proxy.port}/", *others]
        try:
            async with Link(urls, config=config, listener=seen.append, ssl=client_tls) as link:
                await link.subscribe(CHANNELS)
                yield Scene(server, proxy, link, seen)
        finally:
            await proxy.stop()


async def is_whole(set_up: Scene, restored: int = 1) -> None:
    """The link was restored so often, its wanted set is held, and data and requests pass."""
    server, _, link, seen = set_up
    await until(lambda: len(of(seen, Restored)) >= restored, f"restored {restored} times")
    await until(lambda: link.state is LinkState.LIVE)
    assert sorted(server.wanted) == sorted(CHANNELS)
    assert await link.request("echo", [1], repeatable=True) == [1]
    before = len(seen)
    await server.publish("trades.a", "whole")
    await until(lambda: len(seen) > before, "data passes")
    assert len(of(seen, Interrupted)) == len(of(seen, Restored))
    assert link.statistics()["requests"]["in_flight"] == 0  # type: ignore[index]


def of(seen: list[object], kind: type) -> list[object]:
    return [item for item in seen if isinstance(item, kind)]


class Traces(NamedTuple):
    """What a link could leave behind."""

    tasks: int
    descriptors: int
    timers: int


def traces() -> Traces:
    """Count the tasks, descriptors and timers that there are now."""
    gc.collect()
    now = asyncio.get_running_loop().time()
    timers = [each for each in gc.get_objects() if type(each) is asyncio.TimerHandle]
    waiting = [each for each in timers if not each.cancelled() and each.when() > now]
    return Traces(len(asyncio.all_tasks()), open_descriptors(), len(waiting))


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """What is done in here leaves no task, no descriptor and no timer."""
    before = traces()
    yield
    await gone(before)


async def gone(before: Traces) -> None:
    """Wait until there is no more of anything than before."""
    now = before

    def is_less() -> bool:
        nonlocal now
        now = traces()
        return all(one <= other for one, other in zip(now, before, strict=True))

    try:
        await until(is_less)
    except AssertionError as error:
        raise AssertionError(f"{now} are left of {before}") from error
