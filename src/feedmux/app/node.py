"""The life of one gateway process: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from functools import partial

import uvloop

from feedmux.app import introduction, keys, memory, metrics_port, terms
from feedmux.app.descriptors import make_room
from feedmux.app.rbac import Roles
from feedmux.app.settings import Settings
from feedmux.app.wiring import Gateway, build, check_files
from feedmux.app.workers import Workers
from feedmux.model.errors import FeedmuxError

log = logging.getLogger("feedmux.node")

Again = Callable[[], Settings]
"""Reads all settings again, as they are written now."""
Beside = Callable[[asyncio.Event], Coroutine[None, None, None]]


def run(settings: Settings, again: Again | None = None) -> None:
    """Serve until a signal says to stop; returns when everybody has been sent away.

    Args:
        settings: all of them.
        again: reads them again, on SIGHUP.

    Raises:
        CannotListen: the address is taken, or not ours.
        InvalidCertificate, InvalidKey: the files of TLS, or the keys of tokens, cannot be used.
    """
    several = settings.workers > 1
    work = serve_with_workers(settings, again) if several else serve(settings, again=again)
    factory = uvloop.new_event_loop if settings.uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


async def serve(settings: Settings, beside: Beside | None = None, *, again: Again | None = None) -> None:
    """Serve until SIGTERM or SIGINT: then drain the clients, close the port, end the feeds.

    A second signal ends the process at once. SIGHUP reads the certificate again, and which roles open
    which streams; with something ``beside``, which has a terminal, it keeps its meaning that the
    terminal is gone.

    Args:
        settings: all of them.
        beside: runs while the gateway serves; is given the event that ends everything.
        again: reads the settings again.
    """
    stop = asyncio.Event()
    memory.calm_collector()
    make_room(**terms.room(settings))
    gateway = build(settings, loop=asyncio.get_running_loop())
    await gateway.edge.start()
    _introduce(gateway, settings.host)
    scheme = "ws" if gateway.edge.server.tls is None else "wss"
    with _signals_set(stop, None if beside is not None else partial(_reload, gateway, again)):
        async with metrics_port.served(settings, gateway.edge.scrapes.page), asyncio.TaskGroup() as tasks:
            for feed in gateway.feeds.all:
                tasks.create_task(feed.run())
            tasks.create_task(memory.keep(stop))
            tasks.create_task(keys.keep(settings, gateway.edge.auth, stop))
            log.info("Listening on %s://%s:%d/ws", scheme, settings.host, gateway.edge.server.port)
            companion = tasks.create_task(beside(stop)) if beside is not None else None
            await stop.wait()
            if companion is not None:
                await companion
            await _end(gateway, settings)
    log.info("Ended")


async def serve_with_workers(settings: Settings, again: Again | None = None) -> None:
    """Do the same with several processes; see :mod:`feedmux.app.workers`."""
    check_files(settings)  # a child that could not begin with them would say so in the log alone
    stop = asyncio.Event()
    workers = Workers(settings)
    with _signals_set(stop, lambda: workers.reload(_roles(again))):
        await workers.run(stop)
    log.info("Ended")


def _introduce(gateway: Gateway, host: str) -> None:
    server, node = gateway.edge.server, gateway.feeds.node
    if node is not None:
        introduction.introduce(node, host, server.port, lambda: server.clients)


async def _end(gateway: Gateway, settings: Settings) -> None:
    log.info("Going away: %d clients are sent away", gateway.edge.server.clients)
    await gateway.edge.drain(settings.drain_grace, settings.drain_seconds)
    for feed in gateway.feeds.all:
        feed.close()


@contextlib.contextmanager
def _signals_set(stop: asyncio.Event, reload: Callable[[], None] | None) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    for number in numbers:
        loop.add_signal_handler(number, _signalled, stop, number)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
        numbers.append(signal.SIGHUP)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _signalled(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


def _reload(gateway: Gateway, again: Again | None) -> None:
    if gateway.edge.server.tls is not None:
        gateway.edge.server.tls.reload()
    elif gateway.feeds.broker is None:
        log.info("SIGHUP changes nothing: there is no TLS certificate to read again, and no RabbitMQ")
    roles = _roles(again) if gateway.feeds.broker is not None else None
    if roles is not None:
        gateway.edge.grant(roles)
        log.info("SIGHUP: roles open %s", ", ".join(roles) or "no prefix")


def _roles(again: Again | None) -> Roles | None:
    """Which roles open which prefixes, as it is written now; None if that cannot be read."""
    if again is None:
        return None
    try:
        return again().rango_rbac
    except FeedmuxError as error:
        log.error("SIGHUP leaves the roles as they are: %s", error)  # noqa: TRY400 - one line says it
        return None
