"""Know a proxy on the way to a server: its URL, its name without secrets, and what its refusals mean."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from feedmux.model.errors import InvalidSetting

_PORTS: Final = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080}
_EXPECTED: Final = f"a URL of {', '.join(_PORTS)} with a host, in ASCII"
_EXPECTED_USER: Final = {
    "http": "a user without ':'",
    "https": "a user without ':'",
    "socks4": "a user in ASCII and no password, or neither",
    "socks5": "a user and a password of 1 to 255 ASCII characters each, or neither",
}
_LONGEST_SOCKS5_TEXT: Final = 255
_HTTP_STATUS: Final = re.compile(r".* with status (\d+)$")
_HINTS: Final = {
    r"HTTP 40[17]|authentication": "; check its user and password",
    r"HTTP 403|ruleset": "; it does not allow this host or port",
    r"HTTP 5": "; it does not reach the server",
}


class Proxy:
    """What stands between us and a server.

    Args:
        url: ``http``, ``https``, ``socks4`` or ``socks5://[user[:password]@]host[:port]``. A user and a
            password are percent-encoded. SOCKS without a port means 1080.

    Raises:
        InvalidSetting: it cannot work; nothing of it shows.

    Source: RFC 1929 §2 (lengths of SOCKS5), RFC 7617 §2 (no colon in a user of HTTP).
    """

    __slots__ = ("host", "is_secure", "text", "url", "who")

    def __init__(self, url: object) -> None:
        parts = _split(url)
        _check_user(parts)
        secrets, _, place = parts.netloc.rpartition("@")
        place = place if parts.port else f"{place.rstrip(':')}:{_PORTS[parts.scheme]}"
        # The library that speaks SOCKS drops a user without the colon of a password, and without a word.
        secrets += "" if ":" in secrets or not secrets else ":"
        self.host: str = parts.hostname or ""
        self.is_secure = parts.scheme == "https"
        self.text = f"{parts.scheme}://{place}"
        self.url = f"{parts.scheme}://{secrets}{'@' if secrets else ''}{place}"
        self.who = f"the proxy {self.text}"

    def __repr__(self) -> str:
        return f"<Proxy {self.text}>"

    def refusal(self, said: str) -> str:
        """Say in words that help why it does not let us pass.

        Args:
            said: what the library that speaks to it made of its answer.
        """
        what = _HTTP_STATUS.sub(r"HTTP \1", said)
        hint = next((hint for pattern, hint in _HINTS.items() if re.search(pattern, what)), "")
        return f"{self.who} did not let us pass: {what}{hint}"


def _split(url: object) -> SplitResult:
    if isinstance(url, str) and re.fullmatch(r"[!-~]+", url) and not re.search("[?#]", url):
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").encode("idna")
            if parts.scheme in _PORTS and host and parts.port != 0:
                return parts
        except ValueError:
            pass
    raise InvalidSetting("proxy", "***", _EXPECTED)


def _check_user(parts: SplitResult) -> None:
    """Refuse what the protocol cannot say, and what would be left out without a word."""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "socks5":
        texts = (user, password)
        works = texts == ("", "") or all(
            text.isascii() and 0 < len(text) <= _LONGEST_SOCKS5_TEXT for text in texts
        )
    elif parts.scheme == "socks4":
        works = user.isascii() and "\0" not in user and not password
    else:
        works = ":" not in user
    if not works:
        raise InvalidSetting("proxy", "***", _EXPECTED_USER[parts.scheme])
