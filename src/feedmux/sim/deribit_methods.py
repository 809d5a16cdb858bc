"""The public methods of a simulated Deribit, and the private ones about the connection itself.

Source: Deribit API v2 documents, 2026-09; probes and recorded frames of 2026-09 where they say
else (dropped channels, order of the answer, ``.raw`` without a login).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from feedmux.sim.deribit_auth import Grant
from feedmux.sim.deribit_call import SILENCE, Call, Method
from feedmux.sim.deribit_channels import Channel, looks_raw
from feedmux.sim.deribit_credits import GENERAL, INSTRUMENTS, SUBSCRIBE
from feedmux.sim.deribit_json import number
from feedmux.sim.deribit_params import wrong
from feedmux.sim.deribit_rpc import Denied
from feedmux.sim.deribit_ticker import order_book, ticker

VERSION = "1.2.26"
CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")
ANY = "any"
KINDS = ("future", "option", "spot", "future_combo", "option_combo")
_DEPTHS = (1, 5, 10, 20, 50, 100, 1000, 10_000)
_NORMAL = 1000
_LONGEST_INTERVAL_S = 10**6


# -- the connection --------------------------------------------------------------------------


def auth(call: Call) -> object:
    """``public/auth``"""
    caller = call.caller
    grant, result = call.floor.tokens.grant(call.params, caller.ident, now=call.now, now_ms=call.now_ms)
    caller.grant = grant
    if caller.cancels_on_disconnect is None:
        caller.cancels_on_disconnect = call.floor.exchange.ledgers[grant.account].cancel_on_disconnect
    return result


def logout(call: Call) -> object:
    """``private/logout``: no answer, the connection is closed."""
    if call.params.flag("invalidate_token", default=True):
        call.floor.tokens.end(call.grant)
    call.caller.log_out()
    call.after.append(lambda: call.caller.close(_NORMAL, ""))
    return SILENCE


def set_heartbeat(call: Call) -> object:
    """``public/set_heartbeat``"""
    options, interval = call.floor.options, float(call.params.number("interval"))
    if interval < options.heartbeat_min_s:
        raise wrong("interval", f"value must be >= {options.heartbeat_min_s:g}")
    if interval > _LONGEST_INTERVAL_S:
        raise wrong("interval", f"value must be <= {_LONGEST_INTERVAL_S}")
    call.caller.heartbeat.start(interval / options.heartbeat_speed, call.now)
    return "ok"


def disable_heartbeat(call: Call) -> object:
    """``public/disable_heartbeat``"""
    call.caller.heartbeat.stop()
    return "ok"


def test(call: Call) -> object:
    """``public/test``: the only thing that answers a ``test_request``."""
    call.caller.heartbeat.answered()
    return {"version": VERSION}


def hello(call: Call) -> object:
    """``public/hello``"""
    call.params.text("client_name")
    call.params.text("client_version")
    return {"version": VERSION}


def get_time(call: Call) -> object:
    """``public/get_time``: Unix milliseconds."""
    return call.now_ms


def status(call: Call) -> object:
    """``public/status``"""
    return {"locked": "false", "locked_indices": []}


def _set_cancel(*, on: bool) -> Callable[[Call], object]:
    def run(call: Call) -> object:
        scope = call.params.choice("scope", ("connection", "account"), "connection")
        if scope == "account":
            call.ledger.cancel_on_disconnect = on
        else:
            call.caller.cancels_on_disconnect = on
        return "ok"

    return run


def get_cancel_on_disconnect(call: Call) -> object:
    """``private/get_cancel_on_disconnect``"""
    scope = call.params.choice("scope", ("connection", "account"), "connection")
    enabled = call.ledger.cancel_on_disconnect
    if scope == "connection":
        enabled = bool(call.caller.cancels_on_disconnect)
    return {"scope": scope, "enabled": enabled}


# -- channels --------------------------------------------------------------------------------


def subscribe_public(call: Call) -> object:
    """``public/subscribe``: private channels are as unknown here as those that do not exist."""
    names = call.params.texts("channels")
    if any(map(looks_raw, names)) and not call.floor.tokens.is_good(call.caller.grant, call.now):
        raise Denied(13778)
    return _subscribe(call, [c for c in _found(call, names) if not c.is_private], None)


def subscribe_private(call: Call) -> object:
    """``private/subscribe``: any channel."""
    return _subscribe(call, _found(call, call.params.texts("channels")), call.grant)


def _found(call: Call, names: Iterable[str]) -> list[Channel]:
    found = (call.floor.catalog.find(name) for name in dict.fromkeys(names))
    return [channel for channel in found if channel is not None]


def _subscribe(call: Call, channels: list[Channel], grant: Grant | None) -> object:
    floor, caller = call.floor, call.caller
    wanted = [(channel, grant.account if grant and channel.is_private else "") for channel in channels]
    for channel, account in wanted:
        before = caller.channels.get(channel.name)
        if before is not None and before != (account, channel.name):
            floor.leave_channels(caller, [before])
        caller.channels[channel.name] = (account, channel.name)
    call.after.append(lambda: floor.join(caller, wanted))
    return _shuffled(call, [channel.name for channel in channels])


def _shuffled(call: Call, names: list[str]) -> list[str]:
    """In another order than asked for, if there is one."""
    asked = list(names)
    call.floor.dice.shuffle(names)
    return names if names != asked else [*names[1:], *names[:1]]


def unsubscribe(call: Call) -> object:
    """``public/unsubscribe``, ``private/unsubscribe``: what was really given up."""
    channels = call.caller.channels
    held = [name for name in dict.fromkeys(call.params.texts("channels")) if name in channels]
    call.floor.leave_channels(call.caller, [channels.pop(name) for name in held])
    return _shuffled(call, held)


def unsubscribe_all_public(call: Call) -> object:
    """``public/unsubscribe_all``: private channels stay."""
    return _unsubscribe_all(call, private=False)


def unsubscribe_all_private(call: Call) -> object:
    """``private/unsubscribe_all``: all channels."""
    return _unsubscribe_all(call, private=True)


def _unsubscribe_all(call: Call, *, private: bool) -> str:
    channels = call.caller.channels
    names = [name for name, (account, _) in channels.items() if private or not account]
    call.floor.leave_channels(call.caller, [channels.pop(name) for name in names])
    return "ok"


# -- what is traded --------------------------------------------------------------------------


def get_instruments(call: Call) -> object:
    """``public/get_instruments``"""
    currency = call.params.choice("currency", (*CURRENCIES, ANY, *_listed(call)))
    kind = call.params.choice("kind", KINDS) if "kind" in call.params else None
    if call.params.flag("expired"):
        return []
    return [
        market.product.listing(ident)
        for ident, market in enumerate(call.floor.exchange.markets.values(), 1)
        if kind in {None, market.product.kind} and currency in {ANY, market.product.currency}
    ]


def _listed(call: Call) -> set[str]:
    return {market.product.currency for market in call.floor.exchange.markets.values()}


def get_instrument(call: Call) -> object:
    """``public/get_instrument``"""
    market = call.market()
    return market.product.listing(list(call.floor.exchange.markets).index(market.product.name) + 1)


def get_order_book(call: Call) -> object:
    """``public/get_order_book``"""
    market = call.market()
    depth = call.params.whole("depth", 5, least=1, most=10_000)
    if depth not in _DEPTHS:
        raise wrong("depth", "invalid value")
    return order_book(market, depth, call.now_ms)


def get_ticker(call: Call) -> object:
    """``public/ticker``"""
    return ticker(call.market(), call.now_ms)


def get_last_trades(call: Call) -> object:
    """``public/get_last_trades_by_instrument``: newest first, unless asked for otherwise."""
    trades = list(call.market().trades)
    count = call.params.whole("count", 10, least=1, most=1000)
    sorting = call.params.choice("sorting", ("asc", "desc", "default"), "default")
    if sorting != "asc":
        trades.reverse()
    return {"trades": [trade.view() for trade in trades[:count]], "has_more": len(trades) > count}


def get_index_price(call: Call) -> object:
    """``public/get_index_price``"""
    indexes = call.floor.exchange.indexes
    index = indexes[call.params.choice("index_name", tuple(indexes))]
    return {"index_price": number(index.price), "estimated_delivery_price": number(index.price)}


METHODS: dict[str, Method] = {
    "public/auth": Method(auth, GENERAL),
    "public/set_heartbeat": Method(set_heartbeat, GENERAL),
    "public/disable_heartbeat": Method(disable_heartbeat, GENERAL),
    "public/test": Method(test, GENERAL),
    "public/hello": Method(hello, GENERAL),
    "public/get_time": Method(get_time, GENERAL),
    "public/status": Method(status, GENERAL),
    "public/subscribe": Method(subscribe_public, SUBSCRIBE),
    "public/unsubscribe": Method(unsubscribe, GENERAL),
    "public/unsubscribe_all": Method(unsubscribe_all_public, GENERAL),
    "public/get_instruments": Method(get_instruments, INSTRUMENTS),
    "public/get_instrument": Method(get_instrument, GENERAL),
    "public/get_order_book": Method(get_order_book, GENERAL),
    "public/ticker": Method(get_ticker, GENERAL),
    "public/get_last_trades_by_instrument": Method(get_last_trades, GENERAL),
    "public/get_index_price": Method(get_index_price, GENERAL),
    "private/logout": Method(logout, GENERAL, "account"),
    "private/subscribe": Method(subscribe_private, SUBSCRIBE, "account"),
    "private/unsubscribe": Method(unsubscribe, GENERAL, "account"),
    "private/unsubscribe_all": Method(unsubscribe_all_private, GENERAL, "account"),
    "private/enable_cancel_on_disconnect": Method(_set_cancel(on=True), GENERAL, "account", write=True),
    "private/disable_cancel_on_disconnect": Method(_set_cancel(on=False), GENERAL, "account", write=True),
    "private/get_cancel_on_disconnect": Method(get_cancel_on_disconnect, GENERAL, "account"),
}
"""By name; what trades is in :mod:`feedmux.sim.deribit_trading`."""
