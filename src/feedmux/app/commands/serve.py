"""``feedmux serve``: run the gateway."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from feedmux.app import log, node
from feedmux.app.config import load, notices, parse_pairs
from feedmux.app.options import ConfigFile, Pairs
from feedmux.app.settings import Settings

_LOG = logging.getLogger("feedmux.serve")


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default=False)] = None,
    venue: Annotated[
        list[str] | None,
        typer.Option(
            help="Market to serve, e.g. bybit.linear, deribit or alpaca; repeatable.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many processes serve clients.", show_default=False)
    ] = None,
    config: ConfigFile = None,
    pairs: Pairs = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; then clients are sent away before it ends."""
    flags = {"host": host, "port": port, "venues": ",".join(venue or ()) or None, "workers": workers}

    def read() -> Settings:
        return load(flags, pairs=parse_pairs(pairs or []), config=config)

    settings = read()
    log.configure(settings)
    for line in notices(settings):
        _LOG.warning(line)
    node.run(settings, read)
