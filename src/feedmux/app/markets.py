"""The settings that say which venues' markets are served, and how; a part of :mod:`feedmux.app.settings`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from feedmux.app.secret import Secret
from feedmux.app.section import Section, Url, key, lower, split

Category = Literal["linear", "spot", "inverse"]
VenueName = Literal["bybit.linear", "bybit.spot", "bybit.inverse", "deribit", "alpaca"]
Feed = Literal["iex", "sip", "delayed_sip", "test"]


def _venues(value: object) -> object:
    """Read ``a, b`` as two names, and ``none`` as none."""
    names = split(value)
    return [] if names == ["none"] else names


def _without_repeats(names: tuple[VenueName, ...]) -> tuple[VenueName, ...]:
    return tuple(dict.fromkeys(names))


def _credential(secret: Secret) -> Secret:
    """Refuse what no key is; it is not shown."""
    text = secret.reveal()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("no credential")
    return secret


Credential = Annotated[Secret, AfterValidator(_credential)]
Venues = Annotated[
    tuple[VenueName, ...], NoDecode, BeforeValidator(_venues), AfterValidator(_without_repeats)
]


class Upstream(Section):
    """Venues"""

    bybit_category: Annotated[Category, BeforeValidator(lower)] = key(
        "linear", "The Bybit market that VENUES defaults to."
    )
    venues: Venues = key(
        about="The markets that are served, separated by commas; plain arguments mean the first one. `none`:"
        " RabbitMQ alone.",
        default_factory=lambda data: (f"bybit.{data.get('bybit_category', 'linear')}",),
        expected="names out of bybit.linear, bybit.spot, bybit.inverse, deribit and alpaca, "
        "separated by commas",
    )
    bybit_ws_url: Url = key(
        "wss://stream.bybit.com/v5/public/linear",
        "Where Bybit is; of its own URLs BYBIT_TESTNET and the market decide host and path, "
        "any other URL, a simulator's say, is used.",
        expected="a URL that begins with ws:// or wss://",
    )
    bybit_testnet: bool = key(False, "Use Bybit's testnet.")
    bybit_connect_timeout: float = key(
        10.0, "How long connecting to Bybit may take.", between=(0.1, 300), unit="s"
    )
    bybit_max_symbols_per_subscription: int = key(
        10, "How many topics one request to Bybit names at most.", between=(1, 500)
    )
    bybit_max_symbols_per_connection: int = key(
        500,
        "Does nothing: what a connection carries is limited by characters, as Bybit counts.",
        between=(1, 1_000_000),
        idle="a connection to Bybit is limited by the characters of its topics, as Bybit counts",
    )
    bybit_request_rate: float = key(
        100.0, "How many requests one connection sends to Bybit.", between=(0.1, 10000), unit="1/s"
    )
    bybit_reconnect_delay_initial: float = key(
        1.0, "How long the first wait before a new connection may last.", between=(0.01, 3600), unit="s"
    )
    bybit_reconnect_delay_max: float = key(
        60.0,
        "How long a wait before a new connection may last at most; not below the initial one.",
        between=(0.01, 3600),
        unit="s",
    )
    bybit_reconnect_delay_multiplier: float = key(
        2.0, "By how much the wait grows with every failure.", between=(1, 10)
    )
    bybit_ping_interval: float = key(20.0, "How often Bybit is pinged.", between=(0.1, 300), unit="s")
    bybit_ping_timeout: float = key(
        10.0, "How long Bybit may take to answer a ping.", between=(0.1, 300), unit="s"
    )
    ticker_silence: float = key(
        30.0, "After how long without news a ticker is marked stale.", between=(1, 86400), unit="s"
    )
    kline_silence: float = key(
        75.0, "After how long without news a candle is marked stale.", between=(1, 86400), unit="s"
    )
    unsubscribe_linger: float = key(
        5.0,
        "How long a topic stays subscribed at the venue after its last reader left.",
        between=(0, 3600),
        unit="s",
    )
    refused_memory: float = key(
        60.0,
        "How long a refusal of the venue is believed before it is asked again.",
        between=(0, 86400),
        unit="s",
    )


class Deribit(Section):
    """Deribit"""

    deribit_ws_url: Url = key(
        "wss://www.deribit.com/ws/api/v2",
        "Where Deribit is; `wss://test.deribit.com/ws/api/v2` is its testnet.",
        expected="a URL that begins with ws:// or wss://",
    )
    deribit_connect_timeout: float = key(
        10.0, "How long connecting to Deribit may take.", between=(0.1, 300), unit="s"
    )
    deribit_max_channels_per_subscription: int = key(
        500, "How many channels one request to Deribit names at most.", between=(1, 500)
    )
    deribit_request_rate: float = key(
        3.3,
        "How many requests one connection sends to Deribit; less, where several programs share an address.",
        between=(0.1, 3.3),
        unit="1/s",
    )
    deribit_reconnect_delay_initial: float = key(
        1.0, "How long the first wait before a new connection may last.", between=(0.01, 3600), unit="s"
    )
    deribit_reconnect_delay_max: float = key(
        60.0,
        "How long a wait before a new connection may last at most; not below the initial one.",
        between=(0.01, 3600),
        unit="s",
    )
    deribit_reconnect_delay_multiplier: float = key(
        2.0, "By how much the wait grows with every failure.", between=(1, 10)
    )
    deribit_ping_interval: float = key(
        20.0,
        "How often Deribit is asked for a sign of life, by `public/test`.",
        between=(0.1, 300),
        unit="s",
    )
    deribit_ping_timeout: float = key(
        10.0, "How long Deribit may take to answer that.", between=(0.1, 300), unit="s"
    )


class Alpaca(Section):
    """Alpaca"""

    apca_api_key_id: Credential = key(
        Secret(""),
        "The id of the API key that Alpaca is given.",
        expected="a text of printable ASCII characters",
    )
    apca_api_secret_key: Credential = key(
        Secret(""), "Its secret.", expected="a text of printable ASCII characters"
    )
    alpaca_feed: Annotated[Feed, BeforeValidator(lower)] = key(
        "iex", "Which of its feeds; `test` has FAKEPACA alone, at any hour."
    )
    alpaca_ws_url: Url = key(
        "wss://stream.data.alpaca.markets/v2/{feed}",
        "Where Alpaca is; `{feed}` stands for ALPACA_FEED. "
        "`wss://stream.data.alpaca.markets/v1beta3/crypto/us` has its crypto pairs.",
        expected="a URL that begins with ws:// or wss://",
    )
    alpaca_connect_timeout: float = key(
        10.0, "How long connecting to Alpaca may take.", between=(0.1, 300), unit="s"
    )
    alpaca_max_symbols_per_subscription: int = key(
        300, "How many topics one request to Alpaca names at most.", between=(1, 300)
    )
    alpaca_reconnect_delay_initial: float = key(
        1.0, "How long the first wait before a new connection may last.", between=(0.01, 3600), unit="s"
    )
    alpaca_reconnect_delay_max: float = key(
        60.0,
        "How long a wait before a new connection may last at most; not below the initial one.",
        between=(0.01, 3600),
        unit="s",
    )
    alpaca_reconnect_delay_multiplier: float = key(
        2.0, "By how much the wait grows with every failure.", between=(1, 10)
    )
    alpaca_ping_interval: float = key(
        10.0, "How often Alpaca is asked for a sign of life, by a PING frame.", between=(0.1, 300), unit="s"
    )
    alpaca_ping_timeout: float = key(
        10.0, "How long Alpaca may take to answer that.", between=(0.1, 300), unit="s"
    )
