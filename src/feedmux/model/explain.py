"""Say to a person what an error means, and what he can do."""

from __future__ import annotations

from typing import Final

import msgspec

from feedmux.model.errors import (
    AuthenticationFailed,
    CallFailed,
    Category,
    FeedmuxError,
    InvalidSetting,
    MalformedMessage,
    Overflow,
)
from feedmux.model.link_errors import Cause, ConnectFailed, GaveUp, LinkLost, RequestLost, RequestTimeout


class Explanation(msgspec.Struct, frozen=True):
    """What a person should know about an error.

    Args:
        message: what happened.
        suggestion: what to do about it.
        category: what kind of trouble it is; its ``recovery`` says what a link does by itself.
    """

    message: str
    suggestion: str
    category: Category


_CAUSES: Final = {
    Cause.NAME: "Check the host name in the URL, and that this machine can resolve names.",
    Cause.NETWORK: "Check that the server is running, that the port is right, and that no firewall "
    "is between.",
    Cause.TIMEOUT: "Check that the network leads there; if the server is only slow, raise connect_timeout_s.",
    Cause.TLS: "Check that the URL names the host for which the certificate was made, and this machine's "
    "clock and certificates; give an ssl context for a private authority.",
    Cause.PROXY: "Check the proxy's address, the user and password in its URL, and whether it lets this host "
    "and port pass.",
    Cause.PROTOCOL: "Check that the URL leads to a WebSocket and not to a plain web server.",
    Cause.ENDED: "The attempt was ended on this side; nothing needs to be done.",
}
_STATUSES: Final = {
    401: "Check the credentials.",
    403: "Check the credentials, and whether the server lets this address in.",
    404: "Check the path of the URL.",
    429: "Open fewer connections, or wait longer between attempts.",
}
_KINDS: Final[tuple[tuple[type[FeedmuxError], str], ...]] = (
    (GaveUp, "Find out why the attempts failed; raise max_attempts, or set it to 0 to go on for ever."),
    (
        AuthenticationFailed,
        "Check the key and its secret, whether they belong to this platform (test or production), and what "
        "they are allowed to do. Then connect again: a link does not try twice.",
    ),
    (RequestTimeout, "If it may have been executed, ask for the state before you repeat it."),
    (RequestLost, "If it may have been executed, ask for the state before you repeat it."),
    (CallFailed, "Look up the code in the platform's documentation."),
    (LinkLost, "Nothing: the link connects again and restores everything."),
    (MalformedMessage, "If it comes again, the platform has changed: look for a newer version."),
    (Overflow, "Take messages faster, subscribe to less, or raise the bound."),
    (InvalidSetting, "Correct the value."),
)


def explain(error: FeedmuxError) -> Explanation:
    """Explain an error; any of ours has an explanation."""
    return Explanation(str(error), _suggestion(error), error.category)


def _suggestion(error: FeedmuxError) -> str:
    if isinstance(error, ConnectFailed) and not isinstance(error, GaveUp):
        if error.cause is Cause.STATUS:
            return _STATUSES.get(
                error.status, "The server refuses WebSockets here, or has trouble of its own."
            )
        return _CAUSES[error.cause]
    for kind, suggestion in _KINDS:
        if isinstance(error, kind):
            return suggestion
    return "See what it says, and correct that."
