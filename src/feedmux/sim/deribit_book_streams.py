"""The book channels of a simulated Deribit.

A book's changes form a chain: each names the ``change_id`` of the one before it. The ids are
those of the venue's whole order flow, so they jump. Source: probes and captures of 2026-09.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from feedmux.sim.clock import Moment
from feedmux.sim.deribit_book import ASKS, BIDS, SIDES, Change
from feedmux.sim.deribit_channels import RAW, Channel
from feedmux.sim.deribit_json import number
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_stream import Stream


class BookChanges(Stream):
    """``book.{instrument}.{interval}``: the whole book, then what changed, as a chain."""

    def __init__(self, channel: Channel, market: Market, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._market = market
        self._chain = market.change_id
        self._then: dict[tuple[str, Decimal], Decimal] = {}

    def changed(self, changes: Sequence[Change], moment: Moment) -> None:
        if not self.readers:
            self._forget()
            return
        for change in changes:
            self._then.setdefault((change.side, change.price), change.before)
        if self.channel.interval == RAW and not self.muted:
            self.settle(moment)

    def _forget(self) -> None:
        self._then = {}
        self._chain = self._market.change_id

    def settle(self, moment: Moment) -> None:
        then, self._then = self._then, {}
        sides: dict[str, list[list[object]]] = {BIDS: [], ASKS: []}
        for (side, price), before in sorted(then.items()):
            now = self._market.book.amount(side, price)
            if now != before:
                action = "delete" if not now else "change" if before else "new"
                sides[side].append([action, number(price), number(now)])
        if not (sides[BIDS] or sides[ASKS]):
            return
        sides[BIDS].reverse()
        before_id, self._chain = self._chain, self._market.change_id
        self.put(self._head("change", moment) | sides | {"prev_change_id": before_id})

    def first(self, moment: Moment) -> object:
        """The whole book, at the point of the chain where the others are too.

        That may be an older id than the book's own: what changed and changed back since was not sent.
        """
        if not self.readers:
            self._forget()
        sides = {
            side: [["new", number(price), number(amount)] for price, amount in self._market.book.depth(side)]
            for side in SIDES
        }
        return self._head("snapshot", moment) | sides

    def _head(self, kind: str, moment: Moment) -> dict[str, object]:
        """Source: captures of 2026-09, book channels."""
        return {
            "timestamp": self._market.changed_ms or moment.now_ms,
            "type": kind,
            "change_id": self._chain,
            "instrument_name": self._market.product.name,
        }


class BookWindow(Stream):
    """``book.{instrument}.none.{depth}.{interval}``: the best levels, all of them each time."""

    def __init__(self, channel: Channel, market: Market, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._market = market
        self._shown = -1

    def settle(self, moment: Moment) -> None:
        if self._shown != self._market.change_id and self.readers:
            self.put(self.first(moment))

    def first(self, moment: Moment) -> object:
        self._shown = self._market.change_id
        book, depth = self._market.book, self.channel.depth
        sides = {side: [[number(p), number(a)] for p, a in book.depth(side, depth)] for side in SIDES}
        return {
            "timestamp": self._market.changed_ms or moment.now_ms,
            "change_id": self._market.change_id,
            "instrument_name": self._market.product.name,
        } | sides
