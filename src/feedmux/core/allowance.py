"""What venues allow their clients to send: ready-made budgets, one function each.

The functions make a new budget at each call. Where a venue counts by account or by address, and
not by connection, connections must share one: two full budgets are twice what it allows. Nor can
a budget know of other programs of the same account; whoever has some makes the figures smaller.

What no document says is named as unknown; where there are two readings, the stricter one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from feedmux.core.budget import Bucket, Budget, windowed
from feedmux.model.checks import require_kind, require_number
from feedmux.model.errors import InvalidSetting

_USED: Final = 0.9
DERIBIT_MATCHING: Final = frozenset(
    {
        "private/buy",
        "private/sell",
        "private/edit",
        "private/edit_by_label",
        "private/cancel",
        "private/cancel_by_label",
        "private/cancel_all",
        "private/cancel_all_by_instrument",
        "private/cancel_all_by_currency",
        "private/cancel_all_by_kind_or_type",
        "private/close_position",
        "private/verify_block_trade",
        "private/execute_block_trade",
        "private/move_positions",
        "private/mass_quote",
        "private/cancel_quotes",
        "private/add_block_rfq_quote",
        "private/edit_block_rfq_quote",
        "private/cancel_block_rfq_quote",
        "private/cancel_all_block_rfq_quotes",
    }
)
"""Methods that Deribit passes to its matching engine; every other one is answered without it."""


def deribit(*, matching_per_s: float = 5.0, matching_burst: float = 20.0) -> Budget:
    """Make the budget of one Deribit (sub)account.

    ==============  ============================================  =========================
    bucket          its messages                                  tokens
    ==============  ============================================  =========================
    ``matching``    :data:`DERIBIT_MATCHING`, 1 each              20, 5 a second
    ``subscribe``   public/subscribe, private/subscribe, 3,000    30,000, 10,000 a second
    ``listing``     public/get_instruments, 1                     50, 1 a second
    ``other``       everything else, 500 each                     50,000, 10,000 a second
    ==============  ============================================  =========================

    That is what Deribit holds; a tenth of each pool is left alone here. Requests travel at different
    speeds, so those that left apart may arrive together, and its pools fill from the first arrival.

    Deribit answers whoever exceeds them with error 10028 and ends the session; every pool of the
    defaults is full again after 5 s, but for ``listing``. What it sends by itself costs nothing,
    answers to its heartbeats cost as anything else.

    Unknown: how often one address may ask without an account (documented only as "limited"); whether
    unsubscribing is limited as subscribing is (it is not listed, so it counts as "other"). Mass
    quotes and mass cancellations have limits of their own that depend on the account; here they
    count as orders, which is stricter.

    Args:
        matching_per_s: orders per second, as ``private/get_account_summary`` tells; 5 is what an
            account has that trades little.
        matching_burst: orders at once, from the same place.

    Raises:
        InvalidSetting: one of them is not above 0.

    **Source**: Deribit, "Rate Limits", support.deribit.com and docs.deribit.com/articles/rate-limits,
    as of 2026-03. The older of the two gives ``get_instruments`` 5 at once and 1 in 10 s.
    """
    require_number("matching_per_s", matching_per_s, "orders per second above 0", above=0)
    require_number("matching_burst", matching_burst, "orders above 0", above=0)
    buckets = [
        Bucket(50_000 * _USED, 10_000, "other"),
        Bucket(30_000 * _USED, 10_000, "subscribe"),
        Bucket(50 * _USED, 1, "listing"),
        Bucket(matching_burst * _USED, matching_per_s, "matching"),
    ]
    return Budget(buckets, _deribit_cost)


_OTHER: Final = MappingProxyType({"other": 500.0})
_MATCHING: Final = MappingProxyType({"matching": 1.0})
_DERIBIT_SPECIAL: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "public/subscribe": MappingProxyType({"subscribe": 3_000.0}),
        "private/subscribe": MappingProxyType({"subscribe": 3_000.0}),
        "public/get_instruments": MappingProxyType({"listing": 1.0}),
    }
)


def _deribit_cost(method: str) -> Mapping[str, float]:
    return _MATCHING if method in DERIBIT_MATCHING else _DERIBIT_SPECIAL.get(method, _OTHER)


_BYBIT_ORDERS: Final = ("order.create", "order.amend", "order.cancel")


def bybit(*, orders_per_s: float = 10.0, requests_per_s: float = 100.0) -> Budget:
    """Make the budget of one Bybit connection, public, private or for orders.

    =================  ===============================  ============================================
    bucket             its messages                     tokens
    =================  ===============================  ============================================
    ``requests``       all, 1 each                      100, 100 a second
    ``address``        all ``order.…``, 1 each          3,000 in any second
    ``order.create``   ``order.create``, 1 each         10 in any second; ``order.amend`` and
                                                        ``order.cancel`` have one of their own each
    =================  ===============================  ============================================

    Orders are counted by account, over a rolling second, each operation and category by itself; a
    method does not tell its category, so all categories share here. Spot allows 20 creations and
    cancellations, and Bybit raises the figures for some accounts: its answers carry the present
    one in ``X-Bapi-Limit``. Too many are answered with retCode 10006, 10403 or 10429.

    Batches (``order.create-batch`` …) count by the orders in them, which their name does not tell:
    their price is an error.

    Unknown: a limit for requests on public and private streams. None is documented, and 200 within
    7 ms were all answered when a third party tried (2026-09-28); the default is our own choice.
    Whether pings count is unknown as well, so they do.

    Args:
        orders_per_s: orders in any second, of each operation, above 1.
        requests_per_s: all messages of the connection together, at least 1.

    Raises:
        InvalidSetting: one of them is outside its range.

    **Source**: Bybit V5 API documentation, "Rate Limit Rules" and "Websocket Trade Guideline",
    2026-07-24.
    """
    require_number("requests_per_s", requests_per_s, "at least one request", least=1)
    require_number("orders_per_s", orders_per_s, "more than one order", above=1)
    burst = max(1.0, orders_per_s / 2)
    buckets = [
        Bucket(requests_per_s, requests_per_s, "requests"),
        windowed(3_000, 1.0, "address"),
        *(windowed(orders_per_s, 1.0, name, burst=burst) for name in _BYBIT_ORDERS),
    ]
    return Budget(buckets, _bybit_cost)


_BYBIT_REQUEST: Final = MappingProxyType({"requests": 1.0})
_BYBIT_COSTS: Final = MappingProxyType(
    {name: MappingProxyType({"requests": 1.0, "address": 1.0, name: 1.0}) for name in _BYBIT_ORDERS}
)


def _bybit_cost(method: str) -> Mapping[str, float]:
    if method.startswith("order.") and method not in _BYBIT_COSTS:
        raise InvalidSetting("method", method, f"one of {', '.join(_BYBIT_ORDERS)}, an order each")
    return _BYBIT_COSTS.get(method, _BYBIT_REQUEST)


def binance(*, messages_per_s: float = 5.0) -> Budget:
    """Make the budget of one connection to Binance's streams; every message costs 1.

    Binance ends a connection that sends more than 5 messages in a second, and may ban an address
    that does it often. Pings and pongs count, and those leave without a budget: one message of the
    second is kept for them, so that 4 are left, 2 of them at once.

    Unknown: whether the seconds are fixed or rolling; this stays within both.

    Args:
        messages_per_s: as many as Binance allows, above 2; 5 for spot, 10 for USD-M futures.

    Raises:
        InvalidSetting: it is not above 2.

    **Source**: binance-spot-api-docs, "WebSocket Streams", 2026-07-21; USD-M futures,
    "Websocket Market Streams", 2026-07.
    """
    require_number("messages_per_s", messages_per_s, "more than two messages", above=2)
    ours = messages_per_s - 1.0
    price = MappingProxyType({"messages": 1.0})
    return Budget([windowed(ours, 1.0, burst=max(1.0, ours / 2))], lambda _: price)


BINANCE_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "ping": 1.0,
        "time": 1.0,
        "exchangeInfo": 20.0,
        "trades.recent": 25.0,
        "trades.historical": 25.0,
        "trades.aggregate": 4.0,
        "order.place": 1.0,
        "order.test": 20.0,
        "order.status": 4.0,
        "order.cancel": 1.0,
    }
)
"""What requests of Binance's WebSocket API weigh; the heavier figure where it depends on params."""

_BINANCE_HEAVIEST: Final = 250.0  # ``depth`` with more than 1,000 levels


def binance_api(weights: Mapping[str, float] = BINANCE_WEIGHTS) -> Budget:
    """Make the budget of one address for Binance's WebSocket API for spot, which weighs requests.

    ===========  ======================================  ==========================================
    bucket       its messages                            tokens
    ===========  ======================================  ==========================================
    ``weight``   all, by ``weights``                     6,000 in any minute, 3,000 of them at once
    ``orders``   ``order.place``, 1 each                 50 in any 10 s, 25 of them at once
    ===========  ======================================  ==========================================

    A method that is not in ``weights`` costs as much as the heaviest that we know. Opening a
    connection weighs 2 and is not in here. Binance counts by whole minutes of its clock and by
    address; orders, which it counts by account until they are filled, are counted here whatever
    becomes of them, and its limit of 160,000 a day is left to the caller.

    Unknown: whether the 5 messages a second of the streams hold here too; none is documented.

    Args:
        weights: by method, tokens of ``weight``; ``exchangeInfo`` tells the limits of the day.

    Raises:
        InvalidSetting: the weights are no mapping.

    **Source**: binance-spot-api-docs, "WebSocket API", 2025-04-25.
    """

    require_kind("weights", weights, Mapping, "tokens by method")

    def cost(method: str) -> Mapping[str, float]:
        weight = weights.get(method, _BINANCE_HEAVIEST)
        return {"weight": weight, "orders": 1.0} if method == "order.place" else {"weight": weight}

    return Budget([windowed(6_000, 60.0, "weight"), windowed(50, 10.0, "orders")], cost)
