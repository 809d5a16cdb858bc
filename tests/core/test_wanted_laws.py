from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.core.wanted import Said, Wanted
from support.examples import EXAMPLES

SYMBOLS = st.sampled_from(["btc", "eth", "sol"])
CLIENTS = st.integers(1, 4)
KINDS = st.integers(0, 3)


class WantedModel(RuleBasedStateMachine):
    """Against a venue that carries what it was asked for and not asked to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: Wanted[int] = Wanted()
        self.holders: dict[str, set[int]] = {}
        self.carried: dict[str, int] = {}
        self.asked: dict[str, int] = {}

    def carry(self, said: Said) -> None:
        verb, symbol, kinds = said.payload.decode().split()
        if verb == "want":
            self.carried[symbol] = self.carried.get(symbol, 0) | int(kinds)
        else:
            self.carried.pop(symbol, None)

    @rule(symbol=SYMBOLS, client=CLIENTS, kinds=KINDS)
    def want(self, symbol: str, client: int, kinds: int) -> None:
        message, release = (
            Said(b"want %s %d" % (symbol.encode(), kinds)),
            Said(b"stop %s 0" % symbol.encode()),
        )
        is_news = not self.holders.get(symbol) or bool(kinds & ~self.asked[symbol])
        assert self.wanted.is_news(symbol, kinds) == is_news
        assert self.wanted.want(symbol, client, kinds, message, release) == is_news
        self.holders.setdefault(symbol, set()).add(client)
        self.asked[symbol] = self.asked.get(symbol, 0) | kinds
        if is_news:
            self.carry(message)

    @rule(symbol=SYMBOLS, client=CLIENTS)
    def drop(self, symbol: str, client: int) -> None:
        is_last = self.holders.get(symbol) == {client}
        assert self.wanted.drop(symbol, client) == is_last
        self.leave(symbol, client)
        if is_last:
            self.carried.pop(symbol)

    @rule(client=CLIENTS)
    def die(self, client: int) -> None:
        for release in self.wanted.forget(client):
            self.carry(release)
        for symbol in list(self.holders):
            self.leave(symbol, client)

    @rule()
    def reconnect(self) -> None:
        self.carried.clear()
        for message in self.wanted.restore():
            self.carry(message)

    def leave(self, symbol: str, client: int) -> None:
        held = self.holders.get(symbol, set())
        held.discard(client)
        if not held:
            self.holders.pop(symbol, None)
            self.asked.pop(symbol, None)

    @invariant()
    def the_venue_carries_exactly_what_is_wanted(self) -> None:
        assert self.carried == self.asked
        assert len(self.wanted) == len(self.holders)
        for client in range(1, 5):
            assert set(self.wanted.symbols(client)) == {
                s for s, held in self.holders.items() if client in held
            }
        assert bool(self.wanted.size_bytes) == bool(self.holders)


TestWanted = WantedModel.TestCase
TestWanted.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
