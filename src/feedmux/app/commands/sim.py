"""``feedmux sim``: run a simulated venue, with faults on demand."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from feedmux.sim.bybit import BybitSim, run
from feedmux.sim.options import MARKETS, SimOptions

app = typer.Typer(no_args_is_help=True, add_completion=False)

SYMBOLS = ",".join(SimOptions().symbols)


@app.callback()
def sim() -> None:
    """Run a simulated venue: the same requests, answers and oddities, made-up prices."""


@app.command()
def bybit(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 lets the system choose.")] = 9000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same prices.")] = 1,
    rate: Annotated[float, typer.Option(help="Ticker updates per second and symbol.")] = 10.0,
    trade_rate: Annotated[float, typer.Option(help="Trades per second and symbol.")] = 5.0,
    kline_rate: Annotated[float, typer.Option(help="Pushes per second of a running candle.")] = 1.0,
    candle_speed: Annotated[float, typer.Option(help="How much faster the candles' clock runs.")] = 1.0,
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
    idle_cut: Annotated[
        float, typer.Option(help="Seconds after which a silent, unsubscribed connection is cut; 0 never.")
    ] = 600.0,
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
    asyncio.run(run(options, _announce))


def _announce(running: BybitSim) -> None:
    """Say where it is, in a line that a script can read."""
    others = ", ".join(market for market in MARKETS if market != "linear")
    sys.stdout.write(f"simulated Bybit: {running.url('linear')} ({others} beside it)\n")
    sys.stdout.write(f"to point a gateway at it: BYBIT_WS_URL={running.url('linear')} feedmux serve\n")
    sys.stdout.flush()
