"""``feedmux sim``: run a simulated venue, with faults on demand."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from feedmux.model.errors import InvalidSetting
from feedmux.sim import alpaca as alpaca_sim
from feedmux.sim import bybit as bybit_sim
from feedmux.sim import deribit as deribit_sim
from feedmux.sim.alpaca_options import DEMO as ALPACA_DEMO
from feedmux.sim.alpaca_options import FEEDS, AlpacaOptions
from feedmux.sim.alpaca_options import Account as AlpacaAccount
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, Account, DeribitOptions
from feedmux.sim.options import MARKETS, SimOptions
from feedmux.sim.venue_server import CONTROL_PATH, run

app = typer.Typer(no_args_is_help=True, add_completion=False)

SYMBOLS = ",".join(SimOptions().symbols)
INSTRUMENT_NAMES = ",".join(INSTRUMENTS)
ALPACA_FEEDS = ",".join(FEEDS)
STOCKS = ",".join(AlpacaOptions().symbols)

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
AnySymbol = Annotated[bool, typer.Option("--any-symbol", help="Trade whatever is asked for.")]
Stocks = Annotated[str, typer.Option(help="What iex and sip trade, separated by commas.")]
Key = Annotated[
    list[str] | None,
    typer.Option(
        help="Who may log in, as <key>:<secret>; repeatable.",
        show_default=f"{ALPACA_DEMO.key}:{ALPACA_DEMO.secret}",
    ),
]
Entitled = Annotated[str, typer.Option(help="Feeds that may be read, separated by commas; others: 409.")]
LimitAfter = Annotated[
    bool, typer.Option("--limit-after-auth", help="Say 406 after the login, not in its stead, and close.")
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
    any_symbol: AnySymbol = False,
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
        symbols=_names(symbols),
        any_symbol=any_symbol,
        data_before_ack=data_first,
        ack_delay_s=ack_delay,
        pong=pong,
        idle_cut_s=idle_cut or None,
        reset_after_s=reset_after or None,
        refuse=tuple(refuse or ()),
        garbage_every=garbage_every,
    )
    asyncio.run(run(bybit_sim.BybitSim, options, _announce_bybit))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


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
        instruments=_names(instruments),
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
    asyncio.run(run(deribit_sim.DeribitSim, options, _announce_deribit))


def _account(text: str) -> Account:
    return Account(*_login(text, "<client id>:<secret>"))


def _login(text: str, expected: str) -> tuple[str, str]:
    name, _, secret = text.partition(":")
    if not (name and secret):
        raise InvalidSetting("account", name, expected)
    return name, secret


def _announce_deribit(running: deribit_sim.DeribitSim) -> None:
    """Say where it is, in a line that a script can read."""
    accounts = running.options.accounts
    login = f"{DEMO.client_id} {DEMO.secret}" if accounts == (DEMO,) else "as you said"
    sys.stdout.write(f"simulated Deribit: {running.url()} (log in {login})\n")
    sys.stdout.write(
        f"to point a gateway at it: DERIBIT_WS_URL={running.url()} feedmux serve --venue deribit\n"
    )
    sys.stdout.write(f"to drive it from outside: {running.url(CONTROL_PATH)}\n")
    sys.stdout.flush()


@app.command()
def alpaca(
    *,
    host: Host = "127.0.0.1",
    port: Port = 9002,
    seed: Seed = 1,
    rate: Annotated[float, typer.Option(help="Trades per second and symbol; 0: none.")] = 5.0,
    quote_rate: Annotated[float, typer.Option(help="Quotes per second and symbol; 0: none.")] = 10.0,
    status_rate: Annotated[float, typer.Option(help="Halts and resumptions, likewise.")] = 0.0,
    candle_speed: CandleSpeed = 1.0,
    symbols: Stocks = STOCKS,
    any_symbol: AnySymbol = False,
    account: Key = None,
    entitled: Entitled = ALPACA_FEEDS,
    auth_deadline: Annotated[float, typer.Option(help="Seconds that a login may take.")] = 10.0,
    connection_limit: Annotated[int, typer.Option(help="Connections of one key to one feed.")] = 1,
    limit_after_auth: LimitAfter = False,
    linger: Annotated[float, typer.Option(help="Seconds that a lost connection is still counted.")] = 0.0,
    symbol_limit: Annotated[int, typer.Option(help="Trades and quotes of a connection to iex; 0: any.")] = 30,
    omit_empty: Annotated[bool, typer.Option("--omit-empty", help="Leave empty lists out.")] = False,
    late: Annotated[float, typer.Option(help="Seconds that data come after unsubscribing.")] = 0.0,
    batch: Annotated[int, typer.Option(help="The most data in one message.")] = 100,
    paper: Annotated[bool, typer.Option("--paper/--live", help="Orders in binary or text frames.")] = True,
) -> None:
    """Run a simulated Alpaca (market data v2 and order updates) until interrupted."""
    options = AlpacaOptions(
        host=host,
        port=port,
        seed=seed,
        rate=rate,
        quote_rate=quote_rate,
        status_rate=status_rate,
        candle_speed=candle_speed,
        symbols=_names(symbols),
        any_symbol=any_symbol,
        accounts=tuple(AlpacaAccount(*_login(text, "<key>:<secret>")) for text in account or ())
        or (ALPACA_DEMO,),
        entitled=_names(entitled),
        auth_deadline_s=auth_deadline,
        connection_limit=connection_limit,
        limit_after_auth=limit_after_auth,
        linger_s=linger,
        symbol_limit=symbol_limit or None,
        omit_empty=omit_empty,
        late_s=late,
        batch=batch,
        paper=paper,
    )
    asyncio.run(run(alpaca_sim.AlpacaSim, options, _announce_alpaca))


def _announce_alpaca(running: alpaca_sim.AlpacaSim) -> None:
    """Say where it is, in a line that a script can read."""
    accounts = running.options.accounts
    login = f"{ALPACA_DEMO.key} {ALPACA_DEMO.secret}" if accounts == (ALPACA_DEMO,) else "as you said"
    others = ", ".join(path for path in alpaca_sim.DATA_PATHS if path != "/v2/iex")
    sys.stdout.write(f"simulated Alpaca: {running.url()} (log in {login}; {others} beside it)\n")
    sys.stdout.write(
        f"to point a gateway at it: ALPACA_WS_URL={running.url()} feedmux serve --venue alpaca "
        "(with APCA_API_KEY_ID and APCA_API_SECRET_KEY)\n"
    )
    sys.stdout.write(f"orders are told at {running.url(alpaca_sim.TRADING_PATH)}\n")
    sys.stdout.write(f"to drive it from outside: {running.url(CONTROL_PATH)}\n")
    sys.stdout.flush()
