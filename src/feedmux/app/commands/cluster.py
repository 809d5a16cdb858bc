"""``feedmux cluster status``: see the nodes that share venues' connections through Redis."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Annotated

import msgspec
import typer

from feedmux.app import terms_redis
from feedmux.app.config import load, parse_pairs
from feedmux.app.options import ConfigFile, Pairs
from feedmux.app.roster_table import plain, write_roster
from feedmux.app.sources.wiring import survey
from feedmux.model.errors import InvalidSetting

app = typer.Typer(
    help="See the nodes that share venues' connections.", no_args_is_help=True, add_completion=False
)


@app.callback()
def cluster() -> None:
    """See the nodes that share venues' connections."""


@app.command()
def status(
    *,
    topics: Annotated[bool, typer.Option("--topics", help="Name every topic that is wanted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
    config: ConfigFile = None,
    pairs: Pairs = None,
) -> None:
    """Show nodes, leases and demand, as Redis knows them.

    The settings are those of the nodes: REDIS_URL, REDIS_PREFIX and what else it takes to reach Redis. The
    exit code is 1 if Redis cannot be asked, or something is wrong; a sentence says what.
    """
    logging.getLogger("feedmux").addHandler(logging.NullHandler())  # what is wrong is said once, below
    settings = load(pairs=parse_pairs(pairs or []), config=config)
    if not settings.redis_url:
        raise InvalidSetting("REDIS_URL", "", "the Redis by which the nodes share their venues' connections")
    roster = asyncio.run(survey(settings))
    if as_json:
        sys.stdout.write(msgspec.json.encode(plain(roster)).decode() + "\n")
    else:
        title = f"{terms_redis.shown(settings)}, prefix {terms_redis.prefix(settings)}"
        write_roster(roster, title, time.time(), names_topics=topics)
    if any(roster.problems()):
        raise typer.Exit(1)
