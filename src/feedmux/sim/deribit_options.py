"""What a simulated Deribit is told before it starts."""

from __future__ import annotations

import msgspec

from feedmux.model.errors import InvalidSetting
from feedmux.sim.deribit_product import is_product

INSTRUMENTS = (
    "BTC-PERPETUAL",
    "ETH-PERPETUAL",
    "BTC_USDC-PERPETUAL",
    "BTC-28DEC29",
    "BTC-28DEC29-80000-C",
    "BTC-28DEC29-80000-P",
)
"""What is traded unless told otherwise: two inverse perpetuals, a linear one, a future, two options."""


class Account(msgspec.Struct, frozen=True):
    """Somebody who may log in.

    Args:
        client_id: the name.
        secret: what proves it; never printed.
    """

    client_id: str
    secret: str

    def __repr__(self) -> str:
        """Hide the secret."""
        return f"Account({self.client_id!r}, ***)"


DEMO = Account("simulated", "simulated-secret")
"""The account that is there unless told otherwise."""


class DeribitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated venue behaves; every default is what the real one was seen to do.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 lets the system choose.
        seed: the same seed makes the same prices, tokens and orders of answers.
        rate: market moves per second and instrument; 0 stands still until an order comes.
        candle_speed: how much faster than real time the candles' clock runs.
        instruments: what is traded, by Deribit's names.
        accounts: who may log in.
        balances: what an account owns at first, by currency; 1000 of one that is not named.
        expires_in_s: seconds that an access token lives, unless the scope ``expires:N`` says else.
        signature_window_s: how far the timestamp of a signature may be from the venue's clock.
        heartbeat_min_s: the shortest interval that ``public/set_heartbeat`` takes.
        heartbeat_grace_s: seconds that a ``test_request`` may stay unanswered.
        heartbeat_speed: how much faster than asked for heartbeats come; the grace is not changed.
        idle_cut_s: seconds after which a silent connection without a subscription is cut without
            a close frame; None never cuts.
        max_connections: connections of one address; the next is refused with HTTP 429.
        credits: the scale of all rate limits: 2 allows twice as much; None allows everything.
        drop: channels that a subscription leaves out without a word although they exist.
        gap_every: every n-th change of each book channel is left out, so that its chain breaks; 0 none.
        garbage_every: every n-th notification is spoilt, one kind after the other; 0 none.
        any_order: True shuffles the members of answers.
        answer_delay_s: seconds that every answer waits besides.
        testnet: what answers say of the venue.
        depth: levels on each side of a book.
        agg2_s: seconds between two notifications of an ``agg2`` channel.
        backlog_bytes: how much may wait for a connection that does not read before it is closed.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    rate: float = 10.0
    candle_speed: float = 1.0
    instruments: tuple[str, ...] = INSTRUMENTS
    accounts: tuple[Account, ...] = (DEMO,)
    balances: tuple[tuple[str, float], ...] = (("BTC", 10.0), ("ETH", 100.0), ("USDC", 1_000_000.0))
    expires_in_s: float = 900.0
    signature_window_s: float = 60.0
    heartbeat_min_s: float = 10.0
    heartbeat_grace_s: float = 10.0
    heartbeat_speed: float = 1.0
    idle_cut_s: float | None = 60.5
    max_connections: int = 32
    credits: float | None = 1.0
    drop: tuple[str, ...] = ()
    gap_every: int = 0
    garbage_every: int = 0
    any_order: bool = False
    answer_delay_s: float = 0.0
    testnet: bool = True
    depth: int = 40
    agg2_s: float = 1.0
    backlog_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidSetting: a number is outside its range, or an instrument or account is none.
        """
        for name in (
            "candle_speed", "expires_in_s", "heartbeat_min_s", "heartbeat_grace_s", "heartbeat_speed",
            "max_connections", "depth", "agg2_s", "backlog_bytes",
        ):  # fmt: skip
            self._require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("rate", "signature_window_s", "gap_every", "garbage_every", "answer_delay_s"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("idle_cut_s", "credits"):
            number = getattr(self, name)
            self._require(name, number is None or number > 0, "a number above 0, or none")
        for instrument in self.instruments:
            if not is_product(instrument):
                raise InvalidSetting(
                    "instruments", instrument, "a name like BTC-PERPETUAL or BTC-28DEC29-80000-C"
                )
        self._require_accounts()

    def _require(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise InvalidSetting(name, getattr(self, name), expected)

    def _require_accounts(self) -> None:
        names = [account.client_id for account in self.accounts]
        for account in self.accounts:
            if not (account.client_id and account.secret) or names.count(account.client_id) > 1:
                raise InvalidSetting(
                    "accounts", account.client_id, "different client ids, each with a secret"
                )

    def balance(self, currency: str) -> float:
        """What every account owns of ``currency`` at first."""
        return dict(self.balances).get(currency, 1000.0)
