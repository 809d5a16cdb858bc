"""``feedmux share``: be the broker by which programs share WebSockets; ask it, and stop it."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from feedmux.app.share.headers import headers
from feedmux.app.share.status_table import write_status
from feedmux.app.share.wiring import already, run
from feedmux.client.inquiry import ask_broker
from feedmux.model.share_errors import NoBroker
from feedmux.wire.local_address import DEFAULT_NAME, NAME_VARIABLE
from feedmux.wire.local_records import Query

app = typer.Typer(
    help="Share WebSockets among the programs of one user.",
    invoke_without_command=True,
    add_completion=False,
)

Name = Annotated[
    str, typer.Option("--name", envvar=NAME_VARIABLE, help="Which broker: a user may have several.")
]


@app.callback()
def share(
    context: typer.Context,
    *,
    name: Name = DEFAULT_NAME,
    linger: Annotated[float, typer.Option(help="End after so many seconds without a client.")] = 60.0,
    ring_bytes: Annotated[
        int, typer.Option(help="What each WebSocket's ring holds, bytes; a power of two.")
    ] = 8 * 1024 * 1024,
    beat: Annotated[float, typer.Option(help="Seconds between two signs of life.")] = 0.5,
    dead: Annotated[
        float, typer.Option(help="Clients give the broker up after so many silent seconds.")
    ] = 15.0,
    client_dead: Annotated[
        float, typer.Option(help="The broker gives a client up after so many silent seconds.")
    ] = 30.0,
    include_dir: Annotated[
        bool, typer.Option("--include-dir", help="Only print where the headers for C++ are.")
    ] = False,
    cmake_dir: Annotated[
        bool, typer.Option("--cmake-dir", help="Only print where CMake finds them.")
    ] = False,
) -> None:
    """Share WebSockets among the programs of one user on this machine.

    The first client that needs a broker starts it, so there is no need to; it ends by itself when nobody
    needs it. If there is one of this name already, that one stays and this one ends.
    """
    if include_dir or cmake_dir:
        sys.stdout.write(f"{headers('include' if include_dir else 'cmake')}\n")
        raise typer.Exit
    if context.invoked_subcommand is not None:
        context.obj = name
        return
    is_ours = run(
        name=name,
        linger_s=linger,
        ring_bytes=ring_bytes,
        beat_s=beat,
        dead_s=dead,
        client_dead_s=client_dead,
    )
    if not is_ours:
        sys.stderr.write(f"feedmux: {already(name)}\n")


@app.command()
def status(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Option("--name", help="Which broker.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """Show the broker's clients and WebSockets. The exit code is 1 if there is none."""
    answer = ask_broker(name or context.obj, Query.STATUS)
    if as_json:
        sys.stdout.write(answer.decode() + "\n")
    else:
        write_status(msgspec.json.decode(answer))


@app.command()
def stop(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Option("--name", help="Which broker.")] = None,
) -> None:
    """End the broker: its WebSockets are closed, and clients that still run start another one.

    Without a broker there is nothing to do, which is no failure.
    """
    wanted = name or context.obj
    try:
        ask_broker(wanted, Query.STOP)
    except NoBroker as error:
        sys.stdout.write(f"{error}\n")
    else:
        sys.stdout.write(f"the broker {wanted!r} has ended\n")
