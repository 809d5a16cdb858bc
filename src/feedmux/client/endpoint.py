"""Know where to connect: a URL without its secrets."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from base64 import b64encode
from typing import Final
from urllib.parse import SplitResult, unquote, unquote_plus, unquote_to_bytes, urljoin, urlsplit

from feedmux.client.secrecy import Secrecy, sounds_secret
from feedmux.model.checks import require_kind, type_of
from feedmux.model.errors import InvalidSetting

SERVER: Final = "the server"
_HINTS: Final[dict[type[OSError], str]] = {
    ConnectionRefusedError: "connection refused; is {who} running, and is the port right?",
    ConnectionResetError: "{who} reset the connection",
    ConnectionAbortedError: "the connection to {who} was aborted",
    BrokenPipeError: "{who} hung up",
    TimeoutError: "{who}'s network did not answer",
}
_EXPECTED: Final = "wss://host[:port]/path or ws://host[:port]/path, in ASCII, without fragment or ';'"
_LONGEST: Final = 65_536
_LONGEST_NAME: Final = 253
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_PLACE: Final = re.compile(r"(\[(?P<address>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(:[0-9]*)?")


class Endpoint:
    """Where a link leads.

    A user and password in the URL become an ``Authorization: Basic`` header. Neither they nor
    the query, where some venues put tokens, show in ``str``; the path does.

    Args:
        url: ``ws://`` or ``wss://``.
        secrecy: what must never show when the other side repeats it; the URL's secrets are added.

    Raises:
        InvalidSetting: the URL cannot work; its text shows no credentials.
    """

    __slots__ = ("_secrecy", "authorization", "host", "is_secure", "port", "text", "url")

    def __init__(self, url: str, secrecy: Secrecy | None = None) -> None:
        parts = _split(url)
        self.is_secure = parts.scheme == "wss"
        self.host: str = parts.hostname or ""
        self.port: int = parts.port or (443 if self.is_secure else 80)
        _, _, place = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=place).geturl()
        self.text = f"{parts.scheme}://{place}{parts.path}" + ("?***" if parts.query else "")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        given = b":".join(unquote_to_bytes(part or "") for part in (parts.username, parts.password))
        basic = b64encode(given).decode()
        self.authorization = f"Basic {basic}" if parts.username is not None else None
        self._secrecy = Secrecy() if secrecy is None else secrecy
        if self.authorization is not None:
            self._secrecy.add((), [user, password, parts.username or "", parts.password or "", basic])
        for name, _, value in (pair.partition("=") for pair in parts.query.split("&")):
            values = (value, unquote_plus(value))
            self._secrecy.add(values, values if sounds_secret(name) else ())

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Endpoint {self.text}>"

    def scrub(self, text: str) -> str:
        """Return ``text`` from the other side, short, printable, and without what is secret."""
        return self._secrecy.scrub(text)

    def sibling(self, location: str) -> Endpoint | None:
        """Return where this host points to on itself; None when that is elsewhere, or less safe.

        Args:
            location: a ``Location`` header: a URL, of HTTP or WebSocket, or a path.
        """
        try:
            url = urljoin(self.url.replace("ws", "http", 1), location)
            target = Endpoint(url.replace("http", "ws", 1), self._secrecy)
        except (InvalidSetting, ValueError):  # urljoin refuses brackets that do not match
            return None
        if target.host != self.host or (self.is_secure and not target.is_secure):
            return None
        target.authorization = self.authorization
        return target


def endpoints_of(urls: object, secrecy: Secrecy) -> list[Endpoint]:
    """Read one URL or several; see :class:`Endpoint`.

    Raises:
        InvalidSetting: there is none, or one cannot work.
    """
    if not isinstance(urls, str | list | tuple):
        raise InvalidSetting("urls", type_of(urls), "a URL, or several in a list")
    listed = [urls] if isinstance(urls, str) else urls
    if not listed:
        raise InvalidSetting("urls", listed, "at least one")
    return [Endpoint(url, secrecy) for url in listed]


def reason_of(error: OSError, endpoint: Endpoint, who: str = SERVER) -> str:
    """Say in words that help why a connection did not come about.

    Args:
        error: what the system or TLS says.
        endpoint: where the connection leads.
        who: who did not let it come about.
    """
    if isinstance(error, socket.gaierror):
        name = repr(endpoint.host) if who == SERVER else f"of {who}"
        return f"the name {name} does not resolve ({error.strerror})"
    # Only errors of the ssl module itself carry these two; the transport makes some of its own.
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{who}'s certificate is not trusted: {getattr(error, 'verify_message', error)}"
    if isinstance(error, ssl.SSLError):
        what = getattr(error, "reason", None) or error.strerror or str(error)
        return f"TLS with {who} failed: {endpoint.scrub(what.lower().replace('_', ' '))}"
    for kind, hint in _HINTS.items():
        if isinstance(error, kind):
            return hint.format(who=who)
    what = endpoint.scrub(error.strerror or str(error) or type(error).__name__)
    return what if who == SERVER else f"{who}: {what}"


def _split(url: str) -> SplitResult:
    """Take a URL apart.

    ``;`` is refused because the WebSocket library would silently drop what follows it, and a colon in
    a user's name because the server would take what follows it for the password (RFC 7617 §2).
    """
    require_kind("url", url, str, _EXPECTED)
    if len(url) > _LONGEST:
        raise InvalidSetting("url", f"{len(url)} characters", f"at most {_LONGEST} characters")
    try:
        parts = urlsplit(url)
        works = parts.scheme in {"ws", "wss"} and parts.port != 0
        works = works and _is_place(parts.netloc.rpartition("@")[2])
    except ValueError:
        works = False
    if not works or not re.fullmatch(r"[!-~]+", url) or "#" in url or ";" in parts.path:
        raise InvalidSetting("url", without_secrets(url), _EXPECTED)
    if ":" in unquote(parts.username or ""):
        raise InvalidSetting("url", without_secrets(url), "a user's name without a colon")
    return parts


def _is_place(text: str) -> bool:
    """Whether it is a name, or an IPv6 address in brackets, and perhaps a port, by its form.

    What is no name cannot even be looked up: the system would raise errors of another kind.

    **Source**: RFC 1035 §2.3.4, RFC 3986 §3.2.2.

    Raises:
        ValueError: what stands in brackets is no address.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        return False
    if found["address"] is not None:
        return ipaddress.IPv6Address(found["address"]).version == 6
    labels = found["name"].removesuffix(".").split(".")
    return len(found["name"]) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, labels))


def without_secrets(url: str) -> str:
    """Return what can be shown of a URL that is not ours, or none.

    Nothing is before an @, in a query, in a fragment, or in the place of a port that is none: a user
    and password without their host stand there.
    """
    shown = re.sub(r"^([a-z]+://)?.*@", r"\1***@", url, flags=re.DOTALL)
    shown = re.sub(r"([?#]).*", r"\1***", shown, flags=re.DOTALL)
    return re.sub(r"^([a-z]+://)?([^/:\[]*):(?!//)[^/]*[^/0-9][^/]*", r"\1\2:***", shown, flags=re.DOTALL)
