"""Keep credentials off networks that anybody can read."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from feedmux.client.endpoint import Endpoint
from feedmux.client.proxy import Proxy
from feedmux.model.errors import InvalidSetting

_LOG: Final = logging.getLogger(__name__)
_SECRET_NAME: Final = re.compile(r"auth|cookie|key|token|secret|signature|password", re.IGNORECASE)
_EXPECTED: Final = "wss://: credentials would cross the network unencrypted"


def require_privacy(
    endpoints: Iterable[Endpoint],
    headers: Sequence[tuple[str, str]],
    *,
    proxy: str | None,
    holds_secrets: bool,
) -> None:
    """Refuse ``ws://`` to other machines where secrets would be sent; note it in the log otherwise.

    Args:
        endpoints: where the link may lead.
        headers: extra ones of the upgrade request; those named like credentials count as secrets.
        proxy: what it passes. This machine, behind a proxy on another one, is that other one.
        holds_secrets: whether its messages carry some.

    Raises:
        InvalidSetting: a URL has to be ``wss://``.
    """
    told = holds_secrets or any(_SECRET_NAME.search(name) for name, _ in headers)
    stays_here = proxy is None or is_local(Proxy(proxy).host)
    for endpoint in endpoints:
        if endpoint.is_secure or (stays_here and is_local(endpoint.host)):
            continue
        query = urlsplit(endpoint.url).query
        if told or endpoint.authorization is not None or _SECRET_NAME.search(query):
            raise InvalidSetting("url", endpoint.text, _EXPECTED)
        _LOG.warning("%s is not encrypted: others on the way can read and change what comes", endpoint)


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine, by name or address; nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
