"""A call of a method at a simulated Deribit: who calls, with what, and what a method is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from feedmux.sim.deribit_auth import Grant
from feedmux.sim.deribit_floor import DeribitFloor, Member
from feedmux.sim.deribit_heartbeat import Heartbeat
from feedmux.sim.deribit_ledger import Ledger
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_params import Params
from feedmux.sim.deribit_rpc import Denied


class Caller(Member, Protocol):
    """A connection, as a method sees it."""

    ident: int
    grant: Grant | None
    cancels_on_disconnect: bool | None
    """Whether its orders end with it; None before it was logged in."""
    heartbeat: Heartbeat

    def close(self, code: int, reason: str) -> None:
        """End the connection."""

    def log_out(self) -> None:
        """End the connection; its orders stay."""


class Silence:
    """The outcome of a call that is not answered."""


SILENCE = Silence()


class Call:
    """One call.

    Args:
        caller: whose.
        floor: where.
        params: with what.
    """

    def __init__(self, caller: Caller, floor: DeribitFloor, params: Params) -> None:
        self.caller = caller
        self.floor = floor
        self.params = params
        self.after: list[Callable[[], None]] = []
        """What is done when the answer has been sent."""
        self.now = floor.now()
        self.now_ms = floor.now_ms()
        self._grant: Grant | None = None

    def authorize(self, domain: str, *, write: bool) -> None:
        """Require that the caller was let in, by this connection or by the token that came along.

        Raises:
            Denied: he was not, his token is over, or its scope is too small.
        """
        given = self.caller.grant
        if "access_token" in self.params:
            given = self.floor.tokens.holder(self.params.text("access_token"))
        self._grant = self.floor.tokens.check(given, self.caller.ident, self.now)
        if not self._grant.allows(domain, write=write):
            raise Denied(13021)

    @property
    def grant(self) -> Grant:
        """What the caller was allowed; only private methods have it."""
        assert self._grant is not None, "private methods are authorized first"
        return self._grant

    @property
    def ledger(self) -> Ledger:
        """The caller's account."""
        return self.floor.exchange.ledgers[self.grant.account]

    def market(self) -> Market:
        """The market that ``instrument_name`` names.

        Raises:
            Denied: there is none.
        """
        market = self.floor.exchange.markets.get(self.params.text("instrument_name"))
        if market is None:
            raise Denied(10020)
        return market


class Method(NamedTuple):
    """What can be called."""

    run: Callable[[Call], object]
    """Returns the result."""
    pool: str
    """Whose credits it costs."""
    domain: str | None = None
    """Part of the scope that it needs; None for what everybody may call."""
    write: bool = False
    """Whether it needs to write there."""
