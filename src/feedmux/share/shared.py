"""One WebSocket that clients share: it lives as long as any of them does.

Theory of operation
===================

::

    connecting ──▶ open ◀──▶ lost (the carrier connects again)
        │            └──▶ closing ──▶ over           the last client left, or the broker ends
        └──▶ over: the first attempt failed; who waits is told why, nothing stays

Who asks while it is not open waits until it is. Then each gets a seat at the ring, the position at which it
begins to read, and the last messages from before. From the ring all clients read the same: what the
WebSocket brings, and entries that say that it was closed, opened again, or that something went wrong.

What is sent on, and who logs in, is decided by :mod:`feedmux.core.wanted` and :mod:`feedmux.core.login`.
While the subscriptions wait for a login, others are noted and follow with them.

Invariants: whoever waits is answered exactly once; a client that left holds nothing here; nothing is sent
for a symbol that nobody wants, except what asks for no more of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.policy import Verdict, patient
from feedmux.client.secrecy import Secrecy
from feedmux.core.lasts import Lasts
from feedmux.core.login import NOBODY, Login
from feedmux.core.wanted import Said, Wanted
from feedmux.model.errors import CapacityError, FeedmuxError
from feedmux.model.link_errors import ConnectFailed, LinkError, LinkLost
from feedmux.model.ring_errors import NoMemory, RecordTooLarge
from feedmux.share.member import Member
from feedmux.share.outlet import Outlet, Place, told
from feedmux.share.target import Target
from feedmux.wire.local_records import (
    AGAIN,
    Done,
    Entry,
    Last,
    Opened,
    Send,
    Subscribe,
    Unsubscribe,
    What,
)

_LOG: Final = logging.getLogger(__name__)
GONE: Final = "CONNECT_FAILED"
_TEXT, _BINARY = What.TEXT, What.BINARY  # naming an enum's member costs a search (Python 3.11)


class Shared:
    """One WebSocket and those who share it (a :class:`feedmux.client.user.CarrierUser`).

    Args:
        number: its id.
        target: where it leads, and what is said there first.
        ring_bytes: the capacity of its ring.
        over: is told when it is closed for good and nothing of it is left.

    Raises:
        InvalidSetting: the address or a header cannot be.
        NoMemory: the system lends none for the ring.
    """

    def __init__(
        self, number: int, target: Target, *, ring_bytes: int, over: Callable[[Shared], None]
    ) -> None:
        self.number, self.target = number, target
        self._over = over
        self._secrecy = Secrecy(target.secrets)
        self._carrier = Carrier(
            target.url,
            self,
            config=target.config,
            clock=SystemClock(),
            dice=random.SystemRandom(),
            policy=self._judge,
            secrecy=self._secrecy,
        )
        self._outlet = Outlet(ring_bytes)
        self._waiting: list[tuple[Member, int]] = []
        self._places: dict[Member, Place] = {}
        self._wanted: Wanted[int] = Wanted()
        self._login = Login(has_opening=bool(target.opening))
        self._timer: asyncio.TimerHandle | None = None
        self._lasts = Lasts(target.last_by)
        self._was_open = self._is_lost = self._is_closing = self._is_proven = False

    # What clients ask for.

    @property
    def is_closing(self) -> bool:
        """Whether nobody can join any more."""
        return self._is_closing

    @property
    def members(self) -> Iterable[Member]:
        """Who shares it, the longest first."""
        return self._places.keys()

    def __contains__(self, member: object) -> bool:
        return member in self._places

    def waits(self, member: Member) -> int:
        """How many of its requests wait for the WebSocket to open."""
        return sum(waiting is member for waiting, _ in self._waiting)

    def join(self, member: Member, request: int) -> None:
        """Let a client share it as soon as it is open; answered by *opened* or *failed*."""
        if self._carrier.is_open:
            self._admit(member, request, is_new=False)
            self._close_if_left()
        else:
            self._waiting.append((member, request))

    def leave(self, member: Member, *, is_dead: bool = False) -> None:
        """Forget a client; the last one closes the WebSocket.

        Args:
            member: who; it need not share it.
            is_dead: it did not say so itself: also its requests that wait are forgotten.
        """
        if is_dead:
            self._waiting = [waiting for waiting in self._waiting if waiting[0] is not member]
        place = self._places.pop(member, None)
        if place is not None:
            self._outlet.unseat(place)
            for release in self._wanted.forget(member.number):
                self._say(release)
            named = self._login.left(member.number, self._numbers(), self._now())
            if named != NOBODY:
                self._tell(What.OPENED, "", client=named)
                self._watch_login()
        self._close_if_left()

    def send(self, member: Member, record: Send) -> None:
        """Send a message as it is; that it cannot be sent is an *error* that concerns the client."""
        said = Said(record.payload, bool(record.is_binary))
        self._login.spoke(member.number)
        try:
            said.check()
            self._carrier.send(said.payload, binary=said.is_binary)
        except (LinkLost, CapacityError, UnicodeDecodeError) as error:
            self._tell(What.ERROR, f"not sent: {_words(error)}", client=member.number)

    def subscribe(self, member: Member, record: Subscribe) -> None:
        """Note that a client wants a symbol, and send on what is news; answered by *done* or *failed*."""
        is_binary = bool(record.is_binary)
        message = Said(record.message, is_binary)
        release = Said(record.release, is_binary) if record.release else None
        try:
            message.check()
            if release is not None:
                release.check()
            is_news = self._wanted.want(record.symbol, member.number, record.kinds, message, release)
        except (CapacityError, UnicodeDecodeError) as error:
            member.fail(record.request, _code(error), _words(error))
            return
        self._secrecy.learn(Target.secrets_of(message.payload))
        self._login.spoke(member.number)
        if self._login.subscribed(member.number):
            self._restore()
        elif is_news and self._carrier.is_open and self._login.until is None:
            self._say(message)
        member.tell(Done(record.request, 0 if is_news else 1))

    def unsubscribe(self, member: Member, record: Unsubscribe) -> None:
        """Note that a client wants a symbol no more; the last one's message is sent; answered by *done*."""
        message = Said(record.message, bool(record.is_binary))
        try:
            message.check()
        except UnicodeDecodeError as error:
            member.fail(record.request, _code(error), _words(error))
            return
        if self._wanted.drop(record.symbol, member.number):
            self._say(message)
        member.tell(Done(record.request, int(record.symbol in self._wanted)))

    def close(self, reason: str = "") -> None:
        """Close it for everybody; with a reason those who share it read that it is."""
        if self._is_closing:
            return
        self._is_closing = True
        if reason:
            self._tell(What.CLOSED, reason, client=0)
        self._carrier.close()

    # Living.

    async def run(self) -> None:
        """Keep it until nobody shares it; its owner awaits this, once."""
        failure: LinkError = LinkLost("it was closed")
        try:
            await self._carrier.run()
        except LinkError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the outermost edge: it does not end the others
            _LOG.exception("the WebSocket to %s ended by a defect of ours", self._carrier.endpoint)
            failure = LinkLost(f"a defect of ours: {type(error).__name__}")
        finally:
            self._is_closing = True
            self._end(failure)

    def status(self) -> dict[str, Any]:
        """What people may know of it: nothing secret."""
        carried = self._carrier.statistics()
        return {
            "id": self.number,
            "url": self._carrier.endpoint.text,
            "state": str(carried["state"]),
            "clients": self._numbers(),
            "waiting": len(self._waiting),
            "symbols": len(self._wanted),
            "last_messages": len(self._lasts),
            "opens": carried["opens"],
            "messages": carried["messages"],
            "last_reason": carried["last_reason"],
            "ring": self._outlet.statistics(),
        }

    def hide(self, text: str) -> str:
        """Return a text without what is secret here."""
        return self._secrecy.text(text)

    # What the carrier says.

    def opened(self) -> None:
        """Say what has to be said first, and let in who waits."""
        for message in self.target.opening:
            self._carrier.send(message.payload, binary=message.is_binary)
        if self._was_open:
            named = self._login.opened_again(self._numbers(), self._now())
            self._tell(What.OPENED, "", client=named)
            self._watch_login()
            if self._login.until is None:
                self._restore()
        waiting, self._waiting = self._waiting, []
        for member, request in waiting:
            is_new = not self._was_open
            if self._admit(member, request, is_new=is_new) and is_new:
                self._was_open = True
                self._login.opened_for(member.number)
        self._was_open = True
        self._close_if_left()

    def received(self, payload: bytes, /) -> None:
        """Take a text message; runs per message."""
        now_ns = time.time_ns()
        if not self._is_proven:
            self._prove()
        if self.target.last_by:
            self._lasts.note(payload, now_ns)
        self._pass_on(_TEXT, payload, now_ns)

    def received_binary(self, payload: bytes, /) -> None:
        """Take a binary message; runs per message."""
        if not self._is_proven:
            self._prove()
        self._pass_on(_BINARY, payload, time.time_ns())

    def lost(self, reason: str, /) -> None:
        """Tell everybody, unless it was closed here."""
        self._is_lost, self._is_proven = True, False
        self._lasts.clear()
        self._login.lost()
        self._watch_login()
        if not self._is_closing:
            code = self._carrier.close_code or 0
            self._tell(What.CLOSED, reason, client=0, code=code, flags=AGAIN)

    def retrying(self, reason: str, wait_s: float, /) -> None:
        """Tell that another attempt failed; that the connection ended was told."""
        if self._is_lost:
            self._is_lost = False
        else:
            self._tell(What.ERROR, f"not opened again: {reason}; tried again in {wait_s:.1f} s", client=0)

    def ping(self) -> bytes | None:
        """A PING frame does."""
        return None

    # Within.

    def _judge(self, error: LinkError, failures: int) -> Verdict:
        """Only what was open once is tried again."""
        return patient(error, failures) if self._was_open else Verdict(halt=True)

    def _admit(self, member: Member, request: int, *, is_new: bool) -> bool:
        """Give a client its place and tell it where to begin; whether there was one to give."""
        descriptors: tuple[int, ...] = ()
        if member not in self._places:
            try:
                self._places[member], descriptors = self._outlet.seat()
            except NoMemory as error:
                member.fail(request, error.code, str(error))
                return False
        messages = self._lasts.messages() if descriptors else []
        opened = Opened(request, self.number, int(is_new), self._outlet.end, len(messages))
        member.tell(opened, descriptors)
        for message, received_ns in messages:
            member.tell(Last(self.number, Entry(What.TEXT, message, 0, received_ns).encode()))
        return True

    def _close_if_left(self) -> None:
        if not self._places and not self._waiting:
            self.close()

    def _restore(self) -> None:
        """Say again what was subscribed to."""
        for message in self._wanted.restore():
            self._say(message)

    def _say(self, said: Said) -> None:
        """Send something that nobody waits for; that it is not sent is told to all.

        While there is no connection nothing is sent: the next one knows nothing, and is told what is wanted.
        """
        if not self._carrier.is_open:
            return
        try:
            self._carrier.send(said.payload, binary=said.is_binary)
        except CapacityError as error:
            self._carrier.replace(f"what is wanted could not be said: {error}")

    def _prove(self) -> None:
        """It says something: the connection is good."""
        self._is_proven = True
        self._carrier.prove()

    def _pass_on(self, what: What, payload: bytes, now_ns: int) -> None:
        try:
            self._outlet.message(what, payload, now_ns)
        except RecordTooLarge as error:
            text = f"a message was left out: {error}; a broker with more --ring-bytes takes it"
            self._tell(What.ERROR, text, client=0)

    def _tell(self, what: What, text: str, *, client: int, code: int = 0, flags: int = 0) -> None:
        self._outlet.write(told(what, text, time.time_ns(), client=client, code=code, flags=flags))

    def _watch_login(self) -> None:
        """Have the subscriptions follow in time, if they wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._login.until is not None:
            delay_s = max(self._login.until - self._now(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._login_due)

    def _login_due(self) -> None:
        self._timer = None
        if self._login.is_due(self._now()):
            self._restore()
        else:
            self._watch_login()

    def _numbers(self) -> list[int]:
        return [member.number for member in self._places]

    @staticmethod
    def _now() -> float:
        return time.monotonic()

    def _end(self, failure: FeedmuxError) -> None:
        """Answer who waits, and give everything back."""
        self._login.lost()
        self._watch_login()
        reason = failure.reason if isinstance(failure, ConnectFailed | LinkLost) else str(failure)
        waiting, self._waiting = self._waiting, []
        for member, request in waiting:
            member.fail(request, GONE, reason)
        for place in self._places.values():
            self._outlet.unseat(place)
        self._places.clear()
        self._outlet.close()
        self._over(self)


def _code(error: Exception) -> str:
    return "CAPACITY" if isinstance(error, CapacityError) else "MALFORMED_MESSAGE"


def _words(error: Exception) -> str:
    return f"the text is not UTF-8: {error.reason}" if isinstance(error, UnicodeDecodeError) else str(error)
