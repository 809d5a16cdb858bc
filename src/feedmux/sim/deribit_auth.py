"""Who may do what at a simulated Deribit: credentials, tokens, scopes.

Theory of operation
-------------------
``grant`` turns credentials, a signature or a refresh token into a :class:`Grant`: an access token
with its end, and a refresh token. A grant of the scope ``connection`` is good on the connection
that got it and dies with it; one of ``session:<name>`` is good on any and outlives them. Refreshing
replaces both tokens, and the old ones are void at once. A key has at most 16 named sessions; the
17th ends the oldest, and a second of the same name the first (what the venue does is not
documented).

Source: Deribit API v2 documents, public/auth and connection management, 2026-09; the signature as
several clients make it; error 13004 as recorded 2026-09-13.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from random import Random

import msgspec

from feedmux.sim.deribit_options import Account
from feedmux.sim.deribit_params import Params, wrong
from feedmux.sim.deribit_rpc import Denied

MAX_SESSIONS = 16
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_KINDS = ("client_credentials", "client_signature", "refresh_token")
_SESSION = re.compile(r"session:(\S{1,64})")
_EXPIRES = re.compile(r"expires:(\d{1,9})")
_MAX_SCOPE = 256


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody was allowed.

    Args:
        account: the client id.
        access: the access token.
        refresh: the refresh token.
        scope: as the answer names it.
        ends: when the access token is void, on the monotonic clock.
        connection: the only connection that it is good on; None when on any.
        session: the name of its session; None when it has none.
        sid: the id of its session.
    """

    account: str
    access: str
    refresh: str
    scope: str
    ends: float
    connection: int | None = None
    session: str | None = None
    sid: str | None = None

    def allows(self, domain: str, *, write: bool) -> bool:
        """Whether its scope covers a domain like ``trade``; what is not named is allowed."""
        named = [word.partition(":")[2] for word in self.scope.split() if word.startswith(f"{domain}:")]
        return not named or "read_write" in named or ("read" in named and not write)


class Tokens:
    """All grants.

    Args:
        accounts: who may log in.
        expires_in_s: how long an access token lives, unless its scope says else.
        window_s: how far the timestamp of a signature may be off.
        dice: makes tokens.
    """

    def __init__(
        self, accounts: Iterable[Account], *, expires_in_s: float, window_s: float, dice: Random
    ) -> None:
        self._secrets = {account.client_id: account.secret for account in accounts}
        self._expires_in_s = expires_in_s
        self._window_s = window_s
        self._dice = dice
        self._by_access: dict[str, Grant] = {}
        self._by_refresh: dict[str, Grant] = {}

    def __len__(self) -> int:
        return len(self._by_access)

    # -- getting in ------------------------------------------------------------------------

    def grant(
        self, params: Params, connection: int, *, now: float, now_ms: int
    ) -> tuple[Grant, dict[str, object]]:
        """Let somebody in.

        Args:
            params: of ``public/auth``.
            connection: where they came.
            now: the monotonic clock, seconds.
            now_ms: Unix milliseconds, for timestamps.

        Returns:
            the grant, and the result of the call.

        Raises:
            Denied: the credentials are wrong, or the request is.
        """
        kind = params.choice("grant_type", _KINDS)
        if kind == "refresh_token":
            before = self._refreshed(params, connection)
            account, wanted = before.account, before.scope
        else:
            account = self._identify(params, kind, now_ms)
            wanted = params.text("scope", "connection")
        if len(wanted) > _MAX_SCOPE:
            raise wrong("scope", "wrong format")
        lives_s = self._lives_s(wanted)
        grant = self._make(account, wanted, connection, now + lives_s, now_ms)
        result: dict[str, object] = {
            "access_token": grant.access,
            "expires_in": int(lives_s) if lives_s == int(lives_s) else lives_s,
            "refresh_token": grant.refresh,
            "scope": grant.scope,
            "enabled_features": [],
            "token_type": "bearer",
        }
        if grant.sid is not None:
            result["sid"] = grant.sid
        if "state" in params:
            result["state"] = params.text("state")
        return grant, result

    def _refreshed(self, params: Params, connection: int) -> Grant:
        grant = self._by_refresh.get(params.text("refresh_token"))
        if grant is None or grant.connection not in {None, connection}:
            raise Denied(13009, {"reason": "invalid_token", "param": "refresh_token"})
        return grant

    def _identify(self, params: Params, kind: str, now_ms: int) -> str:
        account = params.text("client_id")
        secret = self._secrets.get(account)
        if kind == "client_credentials":
            given, expected = params.text("client_secret"), secret or ""
        else:
            given, stamp = params.text("signature"), params.number("timestamp")
            if stamp != stamp.to_integral_value():
                raise wrong("timestamp", "wrong format")
            if abs(now_ms - int(stamp)) > self._window_s * 1000:
                raise Denied(13004)
            text = f"{int(stamp)}\n{params.text('nonce', '')}\n{params.text('data', '')}"
            expected = sign(secret or "", text)
        if secret is None or not hmac.compare_digest(_bytes(given), _bytes(expected)):
            raise Denied(13004)
        return account

    def _lives_s(self, scope: str) -> float:
        named = [found for word in scope.split() if (found := _EXPIRES.fullmatch(word))]
        return float(named[-1][1]) if named else self._expires_in_s

    def _make(self, account: str, wanted: str, connection: int, ends: float, now_ms: int) -> Grant:
        words = [word for word in wanted.split() if word not in {"mainaccount", "connection"}]
        session = next((found[1] for word in words if (found := _SESSION.fullmatch(word))), None)
        words = [word for word in words if not _SESSION.fullmatch(word)]
        place = "connection" if session is None else f"session:{session}"
        grant = Grant(
            account=account,
            access=self._token(now_ms),
            refresh=self._token(now_ms),
            scope=" ".join([place, "mainaccount", *words]),
            ends=ends,
            connection=connection if session is None else None,
            session=session,
            sid=None if session is None else self._text(16),
        )
        self._make_room(grant)
        self._by_access[grant.access] = self._by_refresh[grant.refresh] = grant
        return grant

    def _make_room(self, grant: Grant) -> None:
        """End what the new grant replaces, and the oldest session when there are too many."""
        others = [other for other in self._by_access.values() if other.account == grant.account]
        if grant.session is None:
            for other in others:
                if other.connection == grant.connection:
                    self._void(other)
            return
        sessions = [other for other in others if other.session is not None]
        same = [other for other in sessions if other.session == grant.session]
        for other in same or sessions[: max(0, len(sessions) - MAX_SESSIONS + 1)]:
            self._void(other)

    def _token(self, now_ms: int) -> str:
        return f"{now_ms}.{self._text(8)}.{self._text(43)}"

    def _text(self, length: int) -> str:
        return "".join(self._dice.choices(_WORD, k=length))

    # -- staying in ------------------------------------------------------------------------

    def check(self, grant: Grant | None, connection: int, now: float) -> Grant:
        """A grant that is good now, on this connection.

        Raises:
            Denied: it is not.
        """
        known = None if grant is None else self._by_access.get(grant.access)
        if known is None or now >= known.ends or known.connection not in {None, connection}:
            raise Denied(13009, {"reason": "invalid_token", "param": "access_token"})
        return known

    def holder(self, access: str) -> Grant | None:
        """The grant of an access token, good or not."""
        return self._by_access.get(access)

    def is_good(self, grant: Grant | None, now: float) -> bool:
        """Whether a connection that was let in may still be told private things."""
        known = None if grant is None else self._by_access.get(grant.access)
        return known is not None and now < known.ends

    def expire(self, now: float) -> int:
        """Let every access token be void now; refresh tokens stay. Returns how many were good."""
        good = [grant for grant in self._by_access.values() if grant.ends > now]
        for grant in good:
            ended = msgspec.structs.replace(grant, ends=now)
            self._by_access[grant.access] = self._by_refresh[grant.refresh] = ended
        return len(good)

    def leave(self, connection: int) -> None:
        """A connection is gone, and what was only good on it."""
        for grant in [g for g in self._by_access.values() if g.connection == connection]:
            self._void(grant)

    def end(self, grant: Grant) -> None:
        """Somebody logged out."""
        self._void(grant)

    def _void(self, grant: Grant) -> None:
        self._by_access.pop(grant.access, None)
        self._by_refresh.pop(grant.refresh, None)


def sign(secret: str, text: str) -> str:
    """A signature: HMAC-SHA256 in small hexadecimal digits."""
    return hmac.new(_bytes(secret), _bytes(text), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
