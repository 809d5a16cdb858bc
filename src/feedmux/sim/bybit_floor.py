"""One market of a simulated Bybit: its symbols, its connections, and the one task that ticks.

Theory of operation
-------------------
All of it happens in ``tick``: every symbol that somebody reads moves as often as the time that
passed asks for, its streams hand over their frames, each frame is built once and queued for its
readers, acknowledgements that are due are sent, and at the end every connection with something
queued gets one write. Between ticks only requests are answered. Ticks keep to a schedule; a
loop that fell more than a second behind starts a new one instead of catching up.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from feedmux.model.ports import Clock
from feedmux.sim.bybit_streams import Desk, Stream, symbol_of
from feedmux.sim.clock import Moment
from feedmux.sim.frames import Reader, text_frame
from feedmux.sim.misbehaviour import Garbage, Spoiler, spoilt
from feedmux.sim.options import SimOptions, is_symbol

SHORTEST_TICK_S = 0.005
LONGEST_TICK_S = 0.1
_TICKS_BEFORE_ACK = 3
_MAX_PENDING = 65_536
_SWEEP_S = 0.05


class Member(Reader, Protocol):
    """A connection to this market, as the floor sees it."""

    @property
    def topics(self) -> set[str]:
        """What it subscribed to."""

    def flush(self) -> None:
        """Write what is queued."""

    def sweep(self, now: float, /) -> None:
        """End the connection if its time is up."""


class PendingAck(msgspec.Struct, frozen=True):
    """An acknowledgement that waits.

    Args:
        member: whose it is.
        answer: the frame.
        joins: topics whose data begins with it.
        tick: the first tick that may send it.
        at: the monotonic second from which it may be sent.
    """

    member: Member
    answer: bytes
    joins: tuple[str, ...]
    tick: int
    at: float


class Floor:
    """One market.

    Args:
        market: ``linear``, ``spot`` or ``inverse``.
        options: how it behaves.
        clock: what time it is.
    """

    def __init__(self, market: str, options: SimOptions, clock: Clock) -> None:
        self.market = market
        self.options = options
        self.members: set[Member] = set()
        self.silent = False
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.spoiler = Spoiler(options.garbage_every)
        self._clock = clock
        self._born_ms = clock.time_ns() // 1_000_000
        self._traded = options.traded(market)
        self._delisted: set[str] = set(options.refuse)
        self._muted: set[str] | None = set()
        self._desks: dict[str, Desk] = {}
        self._pending: deque[PendingAck] = deque()
        self._dirty: set[Member] = set()
        self._ticks = 0
        self._credit = 0.0
        self._swept = 0.0
        self._rate = options.rate * 2 if market == "spot" else options.rate
        fastest = max(self._rate, options.kline_rate, options.trade_rate)
        self.tick_s = min(max(1 / fastest, SHORTEST_TICK_S), LONGEST_TICK_S)

    # -- what is there ---------------------------------------------------------------------

    def serves(self, topic: str) -> bool:
        """True when ``topic`` may be subscribed to."""
        symbol = symbol_of(topic)
        if symbol is None or topic in self._delisted:
            return False
        return symbol in self._traded or (self.options.any_symbol and is_symbol(symbol))

    def moment(self) -> Moment:
        """Now, on both clocks."""
        now_ms = self._clock.time_ns() // 1_000_000
        passed = (now_ms - self._born_ms) * self.options.candle_speed
        return Moment(now_ms, self._born_ms + int(passed))

    def now(self) -> float:
        """The monotonic clock, in seconds."""
        return self._clock.monotonic()

    def state(self, topic: str) -> dict[str, str] | None:
        """The venue's own state of a ticker topic; None when nobody ever asked for it."""
        stream = self._stream(topic)
        if stream is None or not topic.startswith("tickers."):
            return None
        return dict(self._desks[symbol_of(topic) or ""].instrument.fields)

    def statistics(self) -> dict[str, object]:
        """Connections, topics with their number of readers, requests, frames."""
        topics = Counter(topic for member in self.members for topic in member.topics)
        return {
            "connections": len(self.members),
            "topics": dict(sorted(topics.items())),
            "pending_acks": len(self._pending),
            "requests": dict(self.requests),
            "spoilt": self.spoiler.spoilt,
            **self.counts,
        }

    # -- requests --------------------------------------------------------------------------

    def subscribe(self, member: Member, topics: Sequence[str], answer: bytes) -> None:
        """Let ``member`` read ``topics``, and send ``answer`` when it is time.

        When very many acknowledgements wait, the next is sent at once.
        """
        delay_s = self.options.ack_delay_s
        if len(self._pending) >= _MAX_PENDING:
            member.queue([answer])
            self._join_all(member, topics)
        elif self.options.acks_last(self.market):
            self._join_all(member, topics)
            tick = self._ticks + _TICKS_BEFORE_ACK
            self._pending.append(PendingAck(member, answer, (), tick, self.now() + delay_s))
        elif delay_s:
            at = self.now() + delay_s
            self._pending.append(PendingAck(member, answer, tuple(topics), self._ticks, at))
        else:
            member.queue([answer])
            self._join_all(member, topics)
        member.flush()

    def unsubscribe(self, member: Member, topics: Iterable[str]) -> None:
        """End the data of ``topics`` for ``member``; what it does not read is passed over."""
        for topic in topics:
            stream = self._stream(topic)
            if stream is not None:
                stream.drop(member)

    def leave(self, member: Member) -> None:
        """``member`` is gone, and all that it read."""
        self.members.discard(member)
        self._dirty.discard(member)
        self.unsubscribe(member, member.topics)
        self._pending = deque(ack for ack in self._pending if ack.member is not member)

    def _join_all(self, member: Member, topics: Iterable[str]) -> None:
        moment = self.moment()
        for topic in topics:
            stream = self._open(topic, moment)
            first = None if stream.muted else stream.first(moment)
            if stream.muted:
                stream.fresh.add(member)
            else:
                stream.readers.add(member)
            if first is not None:
                member.queue([text_frame(first)])

    def _open(self, topic: str, moment: Moment) -> Stream:
        symbol = symbol_of(topic) or ""
        desk = self._desks.get(symbol)
        if desk is None:
            desk = self._desks[symbol] = Desk(self.market, symbol, self.options.seed, moment)
        stream = desk.stream(topic, moment)
        stream.muted = self._muted is None or topic in self._muted
        if not stream.is_read:
            stream.wake(moment)
        return stream

    def _stream(self, topic: str) -> Stream | None:
        desk = self._desks.get(symbol_of(topic) or "")
        return desk.streams.get(topic) if desk else None

    # -- switches --------------------------------------------------------------------------

    def mute(self, topics: Iterable[str] | None) -> None:
        """Send no more data of ``topics``, or of any when None."""
        if topics is None or self._muted is None:
            self._muted = None
        else:
            self._muted |= set(topics)
        self._apply_mute()

    def unmute(self) -> None:
        """Send and answer as before."""
        self._muted = set()
        self.silent = False
        self._apply_mute()

    def _apply_mute(self) -> None:
        for stream in self._streams():
            stream.muted = self._muted is None or stream.topic in self._muted

    def delist(self, topic: str) -> None:
        """End the data of ``topic`` without a word and refuse it from now on."""
        self._delisted.add(topic)
        stream = self._stream(topic)
        if stream is not None:
            stream.readers.clear()
            stream.fresh.clear()

    def relist(self, topic: str) -> None:
        """Accept ``topic`` again."""
        self._delisted.discard(topic)

    def garble(self, kind: Garbage, topic: str | None) -> int:
        """Send one frame of garbage now, made of the topic's last frames.

        Args:
            kind: which garbage.
            topic: whose; None takes every topic that is read.

        Returns:
            how many topics it was sent on; 0 when nothing was sent on them before.
        """
        streams = [s for s in self._streams() if s.last and s.readers and (topic is None or s.topic == topic)]
        for stream in streams:
            self._queue(stream.readers, [spoilt(kind, stream.last, stream.before)])
        self._flush()
        return len(streams)

    def _streams(self) -> list[Stream]:
        return [stream for desk in self._desks.values() for stream in desk.streams.values()]

    # -- time ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let one tick's worth of time pass."""
        self._ticks += 1
        self._credit += self.tick_s * self._rate
        steps = int(self._credit + 1e-9)
        self._credit -= steps
        moment = self.moment()
        for desk in self._desks.values():
            if desk.is_read:
                self._trade(desk, steps, moment)
        self._acknowledge()
        self._flush()
        self._sweep()

    def _trade(self, desk: Desk, steps: int, moment: Moment) -> None:
        for _ in range(steps):
            desk.step(moment)
        options = self.options
        desk.pass_time(self.tick_s * options.kline_rate, self.tick_s * options.trade_rate, moment)
        for stream in desk.streams.values():
            if stream.waiting:
                self._queue(stream.readers, self.spoiler.treat(stream.topic, stream.take()))
            if stream.fresh and not stream.muted:
                self._refresh(stream, moment)

    def _refresh(self, stream: Stream, moment: Moment) -> None:
        first = stream.first(moment)
        self._queue(stream.fresh, [first] if first is not None else [])
        stream.readers |= stream.fresh
        stream.fresh = set()

    def _queue(self, readers: Iterable[Reader], payloads: list[bytes]) -> None:
        frames = [text_frame(payload) for payload in payloads]
        for reader in readers:
            reader.queue(frames)

    def mark(self, member: Member) -> None:
        """``member`` has something queued."""
        self._dirty.add(member)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for member in dirty:
            member.flush()

    def _acknowledge(self) -> None:
        now = self.now()
        while self._pending and not self.silent:
            ack = self._pending[0]
            if ack.tick > self._ticks or ack.at > now:
                break
            self._pending.popleft()
            ack.member.queue([ack.answer])
            self._join_all(ack.member, (topic for topic in ack.joins if topic in ack.member.topics))

    def _sweep(self) -> None:
        now = self.now()
        if now - self._swept >= _SWEEP_S:
            self._swept = now
            for member in list(self.members):
                member.sweep(now)
