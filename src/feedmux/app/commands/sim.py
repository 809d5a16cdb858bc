"""``feedmux sim``: run a simulated venue, with faults on demand."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from feedmux.model.errors import InvalidSetting
from feedmux.sim import bybit as bybit_sim
from feedmux.sim import deribit as deribit_sim
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, Account, DeribitOptions
from feedmux.sim.options import MARKETS, SimOptions

app = typer.Typer(no_args_is_help=True, add_completion=False)

SYMBOLS = ",".join(SimOptions().symbols)
INSTRUMENT_NAMES = ",".join(INSTRUMENTS)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 lets the system choose.")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same prices.")]
CandleSpeed = Annotated[float, typer.Option(help="How much faster the candles' clock runs.")]
IdleCut = Annotated[
    float, typer.Option(help="Seconds after which a silent, unsubscribed connection is cut; 0 never.")
]
Instruments = Annotated[str, typer.Option(help="What is traded, separated by commas.")]
LogIn = Annotated[
    list[str] | None,
    typer.Option(
        help="Who may log in, as <client id>:<secret>; repeatable.",
        show_default=f"{DEMO.client_id}:{DEMO.secret}",
    ),
]
Grace = Annotated[float, typer.Option(help="Seconds that a test_request may stay unanswered.")]
HeartbeatSpeed = Annotated[float, typer.Option(help="How much faster than asked for heartbeats come.")]
CreditScale = Annotated[float, typer.Option("--credits", help="Scale of all rate limits; 0: none.")]
Dropped = Annotated[
    list[str] | None,
    typer.Option(help="Channel to leave out of answers without a word; repeatable.", show_default=False),
]
AnyOrder = Annotated[bool, typer.Option("--any-order", help="Shuffle the members of answers.")]


@app.callback()
def sim() -> None:
    """Run a simulated venue: the same requests, answers and oddities, made-up prices."""


@app.command()
def bybit(
    *,
    host: Host = "127.0.0.1",
    port: Port = 9000,
    seed: Seed = 1,
    rate: Annotated[float, typer.Option(help="Ticker updates per second and symbol.")] = 10.0,
    trade_rate: Annotated[float, typer.Option(help="Trades per second and symbol.")] = 5.0,
    kline_rate: Annotated[float, typer.Option(help="Pushes per second of a running candle.")] = 1.0,
    candle_speed: CandleSpeed = 1.0,
    symbols: Annotated[str, typer.Option(help="Symbols that are traded, separated by commas.")] = SYMBOLS,
    any_symbol: Annotated[bool, typer.Option("--any-symbol", help="Trade whatever is asked for.")] = False,
    data_first: Annotated[
        bool | None,
        typer.Option(
            "--data-first/--ack-first", help="Order of data and acknowledgement.", show_default="as the venue"
        ),
    ] = None,
    ack_delay: Annotated[float, typer.Option(help="Seconds that an acknowledgement waits.")] = 0.0,
    pong: Annotated[bool, typer.Option("--pong/--no-pong", help="Answer pings.")] = True,
    idle_cut: IdleCut = 600.0,
    reset_after: Annotated[
        float, typer.Option(help="Seconds after which every connection is reset; 0 never.")
    ] = 0.0,
    refuse: Annotated[
        list[str] | None, typer.Option(help="Topic to refuse; repeatable.", show_default=False)
    ] = None,
    garbage_every: Annotated[int, typer.Option(help="Spoil every n-th frame of a market; 0 none.")] = 0,
) -> None:
    """Run a simulated Bybit V5 (public linear, spot and inverse) until interrupted."""
    options = SimOptions(
        host=host,
        port=port,
        seed=seed,
        rate=rate,
        trade_rate=trade_rate,
        kline_rate=kline_rate,
        candle_speed=candle_speed,
        symbols=tuple(name.strip() for name in symbols.split(",") if name.strip()),
        any_symbol=any_symbol,
        data_before_ack=data_first,
        ack_delay_s=ack_delay,
        pong=pong,
        idle_cut_s=idle_cut or None,
        reset_after_s=reset_after or None,
        refuse=tuple(refuse or ()),
        garbage_every=garbage_every,
    )
    asyncio.run(bybit_sim.run(options, _announce_bybit))


def _announce_bybit(running: bybit_sim.BybitSim) -> None:
    """Say where it is, in a line that a script can read."""
    others = ", ".join(market for market in MARKETS if market != "linear")
    sys.stdout.write(f"simulated Bybit: {running.url('linear')} ({others} beside it)\n")
    sys.stdout.write(f"to point a gateway at it: BYBIT_WS_URL={running.url('linear')} feedmux serve\n")
    sys.stdout.flush()


@app.command()
def deribit(
    *,
    host: Host = "127.0.0.1",
    port: Port = 9001,
    seed: Seed = 1,
    rate: Annotated[float, typer.Option(help="Market moves per second and instrument; 0: none.")] = 10.0,
    candle_speed: CandleSpeed = 1.0,
    instruments: Instruments = INSTRUMENT_NAMES,
    account: LogIn = None,
    expires_in: Annotated[float, typer.Option(help="Seconds that an access token lives.")] = 900.0,
    heartbeat_min: Annotated[float, typer.Option(help="Shortest heartbeat interval, in seconds.")] = 10.0,
    heartbeat_grace: Grace = 10.0,
    heartbeat_speed: HeartbeatSpeed = 1.0,
    idle_cut: IdleCut = 60.5,
    max_connections: Annotated[int, typer.Option(help="Connections of one address.")] = 32,
    credit_scale: CreditScale = 1.0,
    drop: Dropped = None,
    gap_every: Annotated[int, typer.Option(help="Leave out every n-th change of each book; 0 none.")] = 0,
    garbage_every: Annotated[int, typer.Option(help="Spoil every n-th notification; 0 none.")] = 0,
    any_order: AnyOrder = False,
    answer_delay: Annotated[float, typer.Option(help="Seconds that every answer waits.")] = 0.0,
) -> None:
    """Run a simulated Deribit (JSON-RPC over a WebSocket, public and private) until interrupted."""
    options = DeribitOptions(
        host=host,
        port=port,
        seed=seed,
        rate=rate,
        candle_speed=candle_speed,
        instruments=tuple(name.strip() for name in instruments.split(",") if name.strip()),
        accounts=tuple(_account(text) for text in account or ()) or (DEMO,),
        expires_in_s=expires_in,
        heartbeat_min_s=heartbeat_min,
        heartbeat_grace_s=heartbeat_grace,
        heartbeat_speed=heartbeat_speed,
        idle_cut_s=idle_cut or None,
        max_connections=max_connections,
        credits=credit_scale or None,
        drop=tuple(drop or ()),
        gap_every=gap_every,
        garbage_every=garbage_every,
        any_order=any_order,
        answer_delay_s=answer_delay,
    )
    asyncio.run(deribit_sim.run(options, _announce_deribit))


def _account(text: str) -> Account:
    client_id, _, secret = text.partition(":")
    if not (client_id and secret):
        raise InvalidSetting("account", client_id, "<client id>:<secret>")
    return Account(client_id, secret)


def _announce_deribit(running: deribit_sim.DeribitSim) -> None:
    """Say where it is, in a line that a script can read."""
    accounts = running.options.accounts
    login = f"{DEMO.client_id} {DEMO.secret}" if accounts == (DEMO,) else "as you said"
    sys.stdout.write(f"simulated Deribit: {running.url()} (log in {login})\n")
    sys.stdout.write(
        f"to point a gateway at it: DERIBIT_WS_URL={running.url()} feedmux serve --venue deribit\n"
    )
    sys.stdout.write(f"to drive it from outside: {running.url(deribit_sim.CONTROL_PATH)}\n")
    sys.stdout.flush()
