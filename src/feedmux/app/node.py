"""The life of one gateway process: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

import uvloop

from feedmux.app.settings import Settings
from feedmux.app.wiring import Gateway, build
from feedmux.client.clock import SystemClock

log = logging.getLogger("feedmux.node")

Started = Callable[[Gateway], None]


def run(settings: Settings, started: Started | None = None) -> None:
    """Serve until a signal says to stop; returns when everybody has been sent away.

    Args:
        settings: all of them.
        started: called once the port is open.

    Raises:
        CannotListen: the address is taken, or not ours.
    """
    factory = uvloop.new_event_loop if settings.uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(settings, started))


async def serve(settings: Settings, started: Started | None = None) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _signalled, stop, number)
    try:
        await serve_until(stop, settings, started)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def serve_until(stop: asyncio.Event, settings: Settings, started: Started | None = None) -> None:
    """Serve until ``stop`` is set: then drain the clients, close the port, end the feeds."""
    gateway = build(settings, loop=asyncio.get_running_loop(), clock=SystemClock())
    await gateway.server.start()
    async with asyncio.TaskGroup() as tasks:
        for driver in gateway.drivers:
            tasks.create_task(driver.run())
        log.info("Listening on ws://%s:%d/ws", settings.host, gateway.server.port)
        if started is not None:
            started(gateway)
        await stop.wait()
        log.info("Going away: %d clients are sent away", gateway.server.clients)
        await gateway.server.drain(settings.drain_grace, settings.drain_seconds)
        for driver in gateway.drivers:
            driver.close()
    log.info("Ended")


def _signalled(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()
