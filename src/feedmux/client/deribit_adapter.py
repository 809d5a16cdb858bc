"""Tell a link how Deribit is spoken to: who we are, heartbeats, subscriptions, order books.

Deribit's peculiarities, and what is made of them:

- it answers a subscription with the channels that it took, in any order, and silently leaves out what it
  does not know: what is missing there was refused;
- it refuses a whole request for one channel that we may not have, and then the others are asked for without
  it; a refusal that is no judgement of the channels ("too many requests") refuses none of them;
- subscriptions are dear, so many channels are asked for in batches, some time apart;
- ``test_request`` must be answered, or it closes the connection after ten seconds with code 4000;
- a channel that is subscribed to already gets no new snapshot: it is given back first;
- too many requests are answered with 10028, and then the connection is closed;
- a ``book`` channel's changes are chained: where one is missing the reader is told that the book is
  invalid, and when it is whole again.

Source: Deribit API v2 (2026-09), and its servers' frames.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from feedmux.client.codec import JsonCodec
from feedmux.client.plain import channel_of
from feedmux.core.book import Applied, Book, BookState
from feedmux.core.jsonrpc import JsonRpc
from feedmux.model.adapter import Codec, Dialogue, Note
from feedmux.model.checks import require_number, require_whole
from feedmux.model.errors import AuthenticationFailed, CallFailed
from feedmux.model.link_errors import LinkError
from feedmux.model.ports import Clock, Correlator
from feedmux.venue.deribit_auth import Credentials, Tokens, authentication, renewal
from feedmux.venue.deribit_requests import (
    FORBIDDEN,
    INVALID_CREDENTIALS,
    NOT_NOW,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    read,
)

RETURNED_AT_ONCE: Final = 100
"""Channels that are given back with one request."""
_LARGEST_BATCH: Final = 500
_BATCHES: Final = "a number of channels from 1 to 500, as Deribit suggests"
MISSING: Final = "Deribit left it out of its answer: it does not know this channel"
_RENEW_AT: Final = 0.8
"""Of the life of a token, when the next one is asked for."""
_PENALTY_S: Final = 5.0
_TEST: Final = {"jsonrpc": "2.0", "method": "public/test", "params": {}}
_OUR_FAULT: Final = frozenset({INVALID_CREDENTIALS, UNAUTHORIZED, FORBIDDEN})


class BookInvalid(msgspec.Struct, frozen=True):
    """A change of a book is missing; it must not be believed until :class:`BookValid`.

    Args:
        channel: which book.
        reason: what shows it.
    """

    channel: str
    reason: str


class BookValid(msgspec.Struct, frozen=True):
    """A book that was invalid is whole again.

    Args:
        channel: which book.
    """

    channel: str


class DeribitAdapter:
    """Deribit on one link (a :class:`feedmux.model.adapter.Adapter`).

    Args:
        credentials: a key; None stays anonymous.
        clock: time, for signatures.
        heartbeat_s: how often Deribit asks for a sign of life, seconds, at least 10.
        cancel_on_disconnect: ``connection`` or ``account`` has Deribit cancel open orders when the connection
            ends; None leaves it as it is.
        batch_size: channels in one request to subscribe, from 1 to 500.
        batch_delay_s: between two such requests, seconds, 0 or more; the first of several goes at once.

    Raises:
        InvalidSetting: an option is out of its range.
    """

    name = "Deribit"

    def __init__(
        self,
        credentials: Credentials | None,
        *,
        clock: Clock,
        heartbeat_s: int = 30,
        cancel_on_disconnect: str | None = None,
        batch_size: int = 10,
        batch_delay_s: float = 0.2,
    ) -> None:
        require_whole("batch_size", batch_size, _BATCHES, least=1, most=_LARGEST_BATCH)
        require_number("batch_delay_s", batch_delay_s, "seconds, 0 or more", least=0)
        self._credentials, self._clock = credentials, clock
        self._batch_size, self._batch_delay_s = batch_size, batch_delay_s
        self._heartbeat_s, self._cancel_scope = heartbeat_s, cancel_on_disconnect
        self._tokens: Tokens | None = None
        self._renewing: set[str] = set()
        self.books: dict[str, Book] = {}
        """Order books by channel, of every ``book`` channel that is subscribed to."""
        self.codec: Codec = DecimalCodec()
        self.correlator: Correlator | None = JsonRpc(batches=False)

    @property
    def has_credentials(self) -> bool:
        """Whether secrets are sent."""
        return self._credentials is not None

    async def authenticate(self, dialogue: Dialogue, /) -> float | None:
        """Use the refresh token where there is one, and the key otherwise.

        Raises:
            AuthenticationFailed: Deribit does not take the key.
        """
        if self._credentials is None:
            return None
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            try:
                return await self._authenticate(dialogue, renewal(tokens))
            except CallFailed as error:
                if error.number not in _OUR_FAULT:
                    raise
        now_ms = self._clock.time_ns() // 1_000_000
        try:
            params = authentication(self._credentials, now_ms, secrets.token_hex(8))
            return await self._authenticate(dialogue, params)
        except CallFailed as error:
            if error.number not in _OUR_FAULT:
                raise
            raise AuthenticationFailed(self.name, f"{error.message} ({error.number})") from error

    async def prepare(self, dialogue: Dialogue, /) -> None:
        """Set the heartbeat, and what happens to our orders when the connection ends."""
        self._renewing.clear()
        for book in self.books.values():
            if book.state is not BookState.EMPTY:
                book.spoil("the connection is another one")
        await dialogue.request("public/set_heartbeat", {"interval": self._heartbeat_s})
        if self._cancel_scope is not None and self._credentials is not None:
            await dialogue.request("private/enable_cancel_on_disconnect", {"scope": self._cancel_scope})

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        """Ask for public and private channels, batch by batch; compare what is answered.

        Raises:
            LinkError: Deribit cannot subscribe now, whatever the channels are.
        """
        refused: dict[str, str] = {}
        wait_s = 0.0
        for method, batch in _batches("subscribe", channels, self._batch_size):
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            began = self._clock.monotonic()
            refused |= await self._subscribe(dialogue, method, batch)
            wait_s = began + self._batch_delay_s - self._clock.monotonic()
        for channel in refused:
            self.books.pop(channel, None)
        return refused

    async def unsubscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> None:
        """Give channels back."""
        for channel in channels:
            if channel not in self._renewing:
                self.books.pop(channel, None)
        self._renewing.difference_update(channels)
        for method, batch in _batches("unsubscribe", channels, RETURNED_AT_ONCE):
            await dialogue.request(method, {"channels": batch})

    def inspect(self, message: object, /) -> Note | None:
        """Answer heartbeats, keep books, name channels."""
        channel = channel_of(message)
        if channel:
            return self._chained(channel, message) if channel in self.books else Note(channel=channel)
        if isinstance(message, dict) and message.get("method") == "heartbeat":
            return Note(is_data=False, answer=_TEST if _wants_answer(message) else None)
        if isinstance(message, dict) and "method" not in message and "result" in message:
            return Note(is_data=False)  # the answer to our answer, which has no id
        return None

    def ping(self) -> object:
        """A PING frame: the heartbeat is Deribit's to ask for."""
        return None

    def penalty_s(self, error: CallFailed, /) -> float:
        """Stay quiet until every pool is full again when Deribit says that it was too much."""
        return _PENALTY_S if error.number == TOO_MANY_REQUESTS else 0.0

    async def _authenticate(self, dialogue: Dialogue, params: Mapping[str, object]) -> float:
        result = await dialogue.request("public/auth", params)
        self._tokens = read(result, Tokens)
        return max(1.0, self._tokens.expires_in * _RENEW_AT)

    async def _subscribe(self, dialogue: Dialogue, method: str, batch: Sequence[str]) -> Mapping[str, str]:
        """Ask for one batch; find the guilty ones where all are refused together."""
        for channel in batch:
            if is_chained(channel):
                self.books.setdefault(channel, Book())
        try:
            answered = await dialogue.request(method, {"channels": list(batch)})
        except CallFailed as error:
            if error.number in NOT_NOW:
                raise LinkError(f"Deribit cannot subscribe now: {error}") from error
            if len(batch) == 1:
                return {batch[0]: f"{error.message} ({error.number})"}
        else:
            there = set(map(str, answered)) if isinstance(answered, list) else set()
            return {channel: MISSING for channel in batch if channel not in there}
        half = len(batch) // 2
        first = await self._subscribe(dialogue, method, batch[:half])
        return {**first, **await self._subscribe(dialogue, method, batch[half:])}

    def _chained(self, channel: str, message: Any) -> Note:
        book = self.books[channel]
        before = book.state
        applied = apply(book, message["params"].get("data"))
        if applied.state is BookState.VALID:
            notice = BookValid(channel) if before is BookState.BROKEN else None
            return Note(channel=channel, notice=notice)
        if before is BookState.VALID:
            self._renewing.add(channel)
            return Note(
                channel=channel, is_data=False, renews=True, notice=BookInvalid(channel, applied.reason)
            )
        return Note(channel=channel, is_data=False)


class DecimalCodec(JsonCodec):
    """JSON whose numbers with a fraction become exact decimals."""

    decode_text: Callable[[bytes], object] = staticmethod(msgspec.json.Decoder(float_hook=Decimal).decode)


def is_chained(channel: str) -> bool:
    """Whether a channel sends a snapshot and chained changes: ``book.<instrument>.<interval>``."""
    return channel.startswith("book.") and channel.count(".") == 2


def apply(book: Book, data: Any) -> Applied:
    """Apply a message of a ``book`` channel; one that cannot be read breaks the book."""
    try:
        bids, asks = _levels(data["bids"]), _levels(data["asks"])
        change_id = _change_id(data["change_id"])
        if data["type"] == "snapshot":
            return book.snapshot(change_id, bids, asks)
        if data["type"] == "change":
            return book.change(_change_id(data["prev_change_id"]), change_id, bids, asks)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        return book.spoil(f"a message cannot be read: {error!r:.100}")
    return book.spoil("a message cannot be read: it is neither a snapshot nor a change")


def _change_id(value: Any) -> int:
    if type(value) is not int:  # int() would spend hours on 1e999999999
        raise TypeError(f"a change id is a whole number, not a {type(value).__name__}")
    return value


def _levels(entries: Any) -> list[tuple[Decimal, Decimal]]:
    return [
        (_finite(price), Decimal(0) if action == "delete" else _finite(amount))
        for action, price, amount in entries
    ]


def _finite(value: Any) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{number} is no number")
    return number


def _batches(verb: str, channels: Sequence[str], size: int) -> list[tuple[str, list[str]]]:
    """Requests for public and for private channels."""
    private = [channel for channel in channels if channel.startswith("user.")]
    public = [channel for channel in channels if not channel.startswith("user.")]
    return [
        (f"{scope}/{verb}", names[first : first + size])
        for scope, names in (("public", public), ("private", private))
        for first in range(0, len(names), size)
    ]


def _wants_answer(message: Mapping[str, Any]) -> bool:
    params = message.get("params")
    return isinstance(params, dict) and params.get("type") == "test_request"
