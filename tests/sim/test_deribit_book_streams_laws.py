"""Whoever keeps a book by its chain has the venue's book, whatever happens meanwhile."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.sim.deribit_floor import DeribitFloor
from feedmux.sim.deribit_options import DEMO, DeribitOptions
from feedmux.sim.deribit_order import BUY, SELL, Ticket
from support.deribit_reader import BookKeeper, ManualClock, truth
from support.examples import EXAMPLES

INSTRUMENTS = ("BTC-PERPETUAL", "ETH-PERPETUAL")
CHANNELS = (
    "book.BTC-PERPETUAL.raw",
    "book.BTC-PERPETUAL.100ms",
    "book.BTC-PERPETUAL.agg2",
    "book.ETH-PERPETUAL.100ms",
)
READERS = st.integers(0, 1)
NAMES = st.sampled_from(CHANNELS)


class Books(RuleBasedStateMachine):
    """A floor with two instruments and two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        options = DeribitOptions(instruments=INSTRUMENTS, rate=50, depth=5)
        self.floor = DeribitFloor(options, self.clock)
        self.readers = [BookKeeper(self.floor, ident) for ident in range(2)]
        self.muted: set[str] = set()
        self.order: tuple[str, str] | None = None

    @rule(count=st.integers(1, 12))
    def pass_time(self, count: int) -> None:
        for _ in range(count):
            self.clock.seconds += self.floor.tick_s
            self.floor.tick()

    @rule(
        instrument=st.sampled_from(INSTRUMENTS),
        direction=st.sampled_from((BUY, SELL)),
        lots=st.integers(1, 500),
    )
    def trade(self, instrument: str, direction: str, lots: int) -> None:
        market, ledger = self.floor.exchange.markets[instrument], self.floor.exchange.ledgers[DEMO.client_id]
        made = market.product
        price = market.fair // made.tick * made.tick + (made.tick * 10 if direction == SELL else Decimal(0))
        self.floor.exchange.engine.place(
            ledger, Ticket(made, direction, made.lot * lots, price), self.floor.now_ms()
        )
        self.floor.publish()

    @rule(instrument=st.sampled_from(INSTRUMENTS))
    def change_and_change_back(self, instrument: str) -> None:
        ledger = self.floor.exchange.ledgers[DEMO.client_id]
        made = self.floor.exchange.markets[instrument].product
        ticket = Ticket(made, BUY, made.lot, made.tick * 100)
        order, _ = self.floor.exchange.engine.place(ledger, ticket, self.floor.now_ms())
        self.floor.publish()
        self.floor.exchange.engine.cancel(ledger, order, self.floor.now_ms())
        self.floor.publish()

    @rule()
    def cancel_everything(self) -> None:
        ledger = self.floor.exchange.ledgers[DEMO.client_id]
        self.floor.exchange.engine.cancel_where(ledger, lambda _: True, self.floor.now_ms())
        self.floor.publish()

    @rule(reader=READERS, name=NAMES)
    def subscribe(self, reader: int, name: str) -> None:
        self.readers[reader].join(name)

    @rule(reader=READERS, name=NAMES)
    def unsubscribe(self, reader: int, name: str) -> None:
        if name in self.readers[reader].channels:
            self.readers[reader].leave(name)

    @rule(names=st.sets(NAMES, max_size=2))
    def mute(self, names: set[str]) -> None:
        self.muted |= names
        self.floor.mute(names)

    @rule()
    def unmute(self) -> None:
        self.muted = set()
        self.floor.unmute()

    @invariant()
    def no_chain_breaks(self) -> None:
        assert not any(reader.breaks for reader in self.readers)

    @rule()
    def send_everything(self) -> None:
        """Then books are the venue's."""
        moment = self.floor.moment()
        for reader in self.readers:
            for name in reader.channels.keys() - self.muted:
                stream = self.floor.streams["", name]
                if reader in stream.readers:
                    self.floor._send(stream, stream.flush(moment))
                    assert reader.books[name] == truth(self.floor, name.split(".")[1])

    @invariant()
    def no_id_comes_twice_or_goes_back(self) -> None:
        for reader in self.readers:
            for name in CHANNELS:
                ids = [data["change_id"] for data in reader.said(name)]
                assert ids == sorted(ids)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=40, deadline=None)
