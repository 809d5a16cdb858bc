"""What a simulated Alpaca is told before it starts."""

from __future__ import annotations

import re

import msgspec

from feedmux.model.errors import InvalidSetting

FEEDS = ("iex", "sip", "test")
"""The feeds that are served, each at ``/v2/<feed>``."""
TEST_SYMBOL = "FAKEPACA"
"""What the test feed trades, and all that it does. Source: Alpaca documents, streaming, 2026-07."""

_SYMBOL = re.compile(r"[A-Z][A-Z0-9.]{0,9}")


class Account(msgspec.Struct, frozen=True):
    """Somebody who may log in.

    Args:
        key: the name.
        secret: what proves it; never printed.
    """

    key: str
    secret: str

    def __repr__(self) -> str:
        """Hide the secret."""
        return f"Account({self.key!r}, ***)"


DEMO = Account("SIMULATED", "simulated-secret")
"""The account that is there unless told otherwise."""


class AlpacaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated venue behaves; every default is what the real one does, where that is known.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 lets the system choose.
        seed: the same seed makes the same prices, sizes and ids in the same order.
        rate: trades per second and symbol that is read; 0 stands still until one is published.
        quote_rate: quotes per second and symbol that is read.
        status_rate: halts and resumptions per second and symbol; a halted symbol does not trade.
        candle_speed: how much faster than real time the bars' clock runs; 60 closes a bar every
            second. Only the times of bars follow it.
        symbols: what iex and sip trade; test trades FAKEPACA.
        any_symbol: True trades every well-formed upper-case symbol that somebody names.
        accounts: who may log in.
        entitled: the feeds that their subscription covers; others answer 409.
        auth_deadline_s: seconds that a connection may stay without a login.
        connection_limit: connections that a key may have at one feed.
        limit_after_auth: True says ``authenticated``, then 406, then closes; False says 406 in its stead
            and lets the client try again.
        linger_s: seconds that a connection is counted after it is gone.
        symbol_limit: trades and quotes that one connection to iex may subscribe to; None for any.
        omit_empty: True leaves empty lists out of an acknowledgement.
        late_s: seconds that data still come after an unsubscription.
        batch: the most data in one message; 1 sends them one by one.
        paper: True speaks binary frames on the trading stream, False text frames as the live one does.
        backlog_bytes: how much may wait for a connection that does not read before it is closed (407).
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    rate: float = 5.0
    quote_rate: float = 10.0
    status_rate: float = 0.0
    candle_speed: float = 1.0
    symbols: tuple[str, ...] = ("AAPL", "AMD", "IBM", "MSFT", "NVDA", "SPY", "TSLA")
    any_symbol: bool = False
    accounts: tuple[Account, ...] = (DEMO,)
    entitled: tuple[str, ...] = FEEDS
    auth_deadline_s: float = 10.0
    connection_limit: int = 1
    limit_after_auth: bool = False
    linger_s: float = 0.0
    symbol_limit: int | None = 30
    omit_empty: bool = False
    late_s: float = 0.0
    batch: int = 100
    paper: bool = True
    backlog_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidSetting: a number is outside its range, or a symbol, feed or account is none.
        """
        for name in ("candle_speed", "auth_deadline_s", "connection_limit", "batch", "backlog_bytes"):
            self._require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("rate", "quote_rate", "status_rate", "linger_s", "late_s"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        most = self.symbol_limit
        self._require("symbol_limit", most is None or most > 0, "a number above 0, or none")
        for symbol in self.symbols:
            if not is_symbol(symbol):
                raise InvalidSetting("symbols", symbol, "upper-case letters, digits and '.'")
        for feed in self.entitled:
            if feed not in FEEDS:
                raise InvalidSetting("entitled", feed, "one of " + ", ".join(FEEDS))
        self._require_accounts()

    def _require(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise InvalidSetting(name, getattr(self, name), expected)

    def _require_accounts(self) -> None:
        names = [account.key for account in self.accounts]
        for account in self.accounts:
            if not (account.key and account.secret) or names.count(account.key) > 1:
                raise InvalidSetting("accounts", account.key, "different keys, each with a secret")

    def traded(self, feed: str) -> tuple[str, ...]:
        """The symbols that ``feed`` trades when it does not trade any."""
        return (TEST_SYMBOL,) if feed == "test" else self.symbols

    def most_symbols(self, feed: str) -> int | None:
        """How many trades and quotes a connection to ``feed`` may subscribe to; None for any.

        Source: Alpaca documents, real-time stock data, 2026-07: only the free plan, which is iex, is limited.
        """
        return self.symbol_limit if feed == "iex" else None


def is_symbol(text: str) -> bool:
    """True when a venue could trade something of that name."""
    return _SYMBOL.fullmatch(text) is not None
