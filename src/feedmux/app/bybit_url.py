"""Where Bybit is, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

DOMAINS: Final = ("bybit.com", "bybit.tr", "bybit.id", "bybit.kz", "bybitgeorgia.ge", "manepa.jp")
"""Bybit's own. Source: Bybit V5 documentation, WebSocket connect, 2026-07-24."""
TESTNET_HOST: Final = "stream-testnet.bybit.com"
_MARKETS: Final = frozenset({"linear", "spot", "inverse"})


def venue_url(settings: Settings, market: str) -> str:
    """Return where to connect for one of Bybit's markets.

    A host that is not Bybit's is taken as it stands; only a last path segment that is a market
    is replaced. Of Bybit's own URLs the domain alone counts (regional ones are kept on mainnet).

    Args:
        market: ``linear``, ``spot`` or ``inverse``.
    """
    parts = urlsplit(settings.bybit_ws_url)
    if not is_bybit(settings.bybit_ws_url):
        head, _, last = parts.path.rpartition("/")
        path = f"{head}/{market}" if last in _MARKETS else parts.path
        return urlunsplit(parts._replace(path=path))
    domain = next(d for d in DOMAINS if _belongs(parts.hostname or "", d))
    host = TESTNET_HOST if settings.bybit_testnet else f"stream.{domain}"
    return f"wss://{host}/v5/public/{market}"


def is_bybit(url: str) -> bool:
    """Say whether a URL leads to one of Bybit's own hosts."""
    host = urlsplit(url).hostname or ""
    return any(_belongs(host, domain) for domain in DOMAINS)


def _belongs(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)
