"""METRICS_PORT: a port of its own on which every path answers with the metrics, as on Rango's 4242.

With workers it is the parent who listens. It has the sum of all, each second anew, and it is the one process
that ends with the gateway and not before: nobody has to be lent a listener, a worker that is replaced is
missed by no scrape, and drawing up the metrics keeps no client waiting. Strangers get as little of it as of
any other port: few connections at once, a short time and little room for a request, one answer.

There is no TLS: who scrapes is on the same network, or asks for ``/metrics`` on the other port.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from feedmux.app.pages import Page
from feedmux.app.wiring import build_scraped
from feedmux.model.errors import LocalError

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

log = logging.getLogger("feedmux.metrics")


@contextlib.asynccontextmanager
async def served(settings: Settings, page: Callable[[], Page]) -> AsyncIterator[None]:
    """Answer there with this page while the block runs.

    A port that cannot be had is one line in the log: clients are served without it.
    """
    if not settings.metrics_port:
        yield
        return
    server = build_scraped(settings, page, loop=asyncio.get_running_loop())
    try:
        await server.start()
    except LocalError as error:
        log.warning("The metrics have no port of their own (METRICS_PORT): %s", error)
        yield
        return
    try:
        log.info("The metrics are on http://%s:%d/", settings.host, server.port)
        yield
    finally:
        await server.stop()
