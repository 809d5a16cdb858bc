"""Whatever a method is called with, it answers or refuses; the venue goes on."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.sim.deribit_book import ASKS, BIDS
from feedmux.sim.deribit_call import SILENCE, Call
from feedmux.sim.deribit_floor import DeribitFloor
from feedmux.sim.deribit_json import encode
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, DeribitOptions
from feedmux.sim.deribit_order import TIMES_IN_FORCE
from feedmux.sim.deribit_params import Params
from feedmux.sim.deribit_rpc import Denied
from feedmux.sim.deribit_session import METHODS
from support.deribit_reader import ManualClock, Reader
from support.examples import EXAMPLES

anything = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=70)
    | st.lists(st.text(max_size=30), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
)
CHANNELS = [
    f"{kind}.{name}{interval}"
    for name in INSTRUMENTS
    for kind, interval in (
        ("book", ".raw"),
        ("book", ".none.10.100ms"),
        ("ticker", ".100ms"),
        ("incremental_ticker", ""),
        ("quote", ""),
        ("trades", ".raw"),
        ("chart.trades", ".1"),
        ("perpetual", ".raw"),
        ("user.orders", ".raw"),
        ("user.changes", ".100ms"),
    )
]
CHANNELS += [
    "user.portfolio.any",
    "platform_state",
    "deribit_price_index.btc_usd",
    "trades.any.any.raw",
    "nope",
]
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "instrument_name": st.sampled_from(INSTRUMENTS),
    "amount": st.integers(1, 500).map(lambda n: n * 10) | st.just(Decimal("0.1")),
    "contracts": st.integers(1, 100),
    "price": st.integers(160_000, 172_000).map(lambda n: Decimal(n) / 2) | st.just(Decimal("0.4")),
    "type": st.sampled_from(("limit", "market", "market_limit", "stop_limit", "all")),
    "time_in_force": st.sampled_from(TIMES_IN_FORCE),
    "post_only": st.booleans(),
    "reject_post_only": st.booleans(),
    "reduce_only": st.booleans(),
    "label": st.text(max_size=5),
    "channels": st.lists(st.sampled_from(CHANNELS), max_size=5),
    "currency": st.sampled_from(("BTC", "ETH", "USDC", "any")),
    "kind": st.sampled_from(("future", "option", "any")),
    "scope": st.sampled_from(("connection", "account", "session:x")),
    "interval": st.integers(1, 60),
    "depth": st.sampled_from((1, 5, 10, 20)),
    "count": st.integers(1, 20),
    "grant_type": st.sampled_from(("client_credentials", "client_signature", "refresh_token")),
    "client_id": st.just(DEMO.client_id),
    "client_secret": st.just(DEMO.secret),
    "index_name": st.just("btc_usd"),
}


class Calls(RuleBasedStateMachine):
    """A floor and somebody who may do everything, and calls anything."""

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock()
        self.floor = DeribitFloor(DeribitOptions(rate=50, depth=5), self.clock)
        self.reader = Reader(self.floor)
        self.ids: list[str] = []
        self.call(
            "public/auth",
            {"grant_type": "client_credentials", "client_id": DEMO.client_id, "client_secret": DEMO.secret},
        )

    def call(self, name: str, params: dict[str, Any]) -> None:
        method, call = METHODS[name], Call(self.reader, self.floor, Params(params))
        try:
            if method.domain is not None:
                call.authorize(method.domain, write=method.write)
            outcome = method.run(call)
        except Denied as denied:
            assert json.loads(encode(denied.view()))["code"] == denied.number
        else:
            assert outcome is SILENCE or json.loads(encode(outcome)) is not None
            if isinstance(outcome, dict) and "order" in outcome:
                self.ids.append(outcome["order"]["order_id"])
            if name != "private/logout":
                for action in call.after:
                    action()
        self.floor.publish()

    @rule(name=st.sampled_from(sorted(METHODS)), params=st.fixed_dictionaries({}, optional=USUAL))
    def ask_something_usual(self, name: str, params: dict[str, Any]) -> None:
        if name != "public/auth" or "scope" not in params:
            self.call(name, params)

    @rule(
        name=st.sampled_from(sorted(METHODS)),
        usual=st.fixed_dictionaries({}, optional=USUAL),
        params=st.dictionaries(
            st.sampled_from([*USUAL, "order_id", "access_token", "sorting"]), anything, max_size=3
        ),
    )
    def ask_anything(self, name: str, usual: dict[str, Any], params: dict[str, Any]) -> None:
        self.call(name, usual | params)

    @rule(
        name=st.sampled_from(("private/edit", "private/cancel", "private/get_order_state")),
        data=st.data(),
        params=st.fixed_dictionaries(
            {}, optional={key: USUAL[key] for key in ("amount", "price", "contracts")}
        ),
    )
    def ask_for_an_order(self, name: str, data: st.DataObject, params: dict[str, Any]) -> None:
        if self.ids:
            self.call(name, params | {"order_id": data.draw(st.sampled_from(self.ids))})

    @rule(ticks=st.integers(1, 20))
    def pass_time(self, ticks: int) -> None:
        for _ in range(ticks):
            self.clock.seconds += self.floor.tick_s
            self.floor.tick()

    @invariant()
    def books_are_not_crossed(self) -> None:
        for market in self.floor.exchange.markets.values():
            bid, ask = market.book.best(BIDS), market.book.best(ASKS)
            assert bid is None or ask is None or bid < ask

    @invariant()
    def only_what_is_subscribed_speaks(self) -> None:
        for message in self.reader.messages:
            assert message["method"] == "subscription"
        names = {message["params"]["channel"] for message in self.reader.messages}
        assert names <= set(CHANNELS) - {"nope"}
        self.reader.messages.clear()


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=EXAMPLES // 4, stateful_step_count=30, deadline=None)
