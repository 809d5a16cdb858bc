"""The floor of a simulated Deribit: its exchange, its channels, and the one task that ticks.

Theory of operation
-------------------
Time passes in ``tick``: the exchange moves as often as the time that passed asks for, the streams
are told, answers that were held back are sent, connections are looked after, and everybody with
something queued gets one write. A request that changed something is followed by ``publish``,
which does the same for what it changed, without moving time. Ticks keep to a schedule; a loop
that fell more than a second behind starts a new one instead of catching up.

A stream exists as long as somebody reads it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from random import Random
from typing import Protocol

from feedmux.model.ports import Clock
from feedmux.sim.clock import Moment
from feedmux.sim.deribit_auth import Tokens
from feedmux.sim.deribit_book import Change
from feedmux.sim.deribit_channels import Catalog, Channel
from feedmux.sim.deribit_credits import Bank
from feedmux.sim.deribit_exchange import Exchange
from feedmux.sim.deribit_faults import AnswerFaults
from feedmux.sim.deribit_json import encode
from feedmux.sim.deribit_ledger import Ledger, News
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_options import DeribitOptions
from feedmux.sim.deribit_order import Trade
from feedmux.sim.deribit_rpc import notification
from feedmux.sim.deribit_stream import Stream, Subscriber
from feedmux.sim.deribit_streams import PlatformState, public_stream
from feedmux.sim.deribit_user_streams import UserStream, user_stream
from feedmux.sim.frames import text_frame
from feedmux.sim.misbehaviour import Garbage, Spoiler, spoilt

SHORTEST_TICK_S = 0.005
LONGEST_TICK_S = 0.02
_MAX_POSTPONED = 65_536
_MAX_STEPS = 1000
Key = tuple[str, str]
"""Whose stream (empty for everybody's), and its channel."""


class Member(Subscriber, Protocol):
    """A connection, as the floor sees it."""

    @property
    def channels(self) -> dict[str, Key]:
        """What it subscribed to."""

    def write(self, frames: Iterable[bytes], /) -> None:
        """Take answers for the next flush."""

    def flush(self) -> None:
        """Write what is queued."""

    def sweep(self, now: float, /) -> None:
        """Look after heartbeat and silence."""


class DeribitFloor:
    """Everything behind the connections.

    Args:
        options: how it behaves.
        clock: what time it is.
    """

    def __init__(self, options: DeribitOptions, clock: Clock) -> None:
        self.options = options
        self.members: set[Member] = set()
        self.silent = self.maintenance = False
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.dice = Random(f"{options.seed}:deribit:floor")
        self.faults = AnswerFaults()
        self.bank = Bank(options.credits)
        self.spoiler = Spoiler(options.garbage_every)
        self.tokens = Tokens(
            options.accounts,
            expires_in_s=options.expires_in_s,
            window_s=options.signature_window_s,
            dice=Random(f"{options.seed}:deribit:tokens"),
        )
        self._clock = clock
        self._born_ms = self.now_ms()
        self.exchange = Exchange(options, self.moment(), self)
        products = [market.product for market in self.exchange.markets.values()]
        self.catalog = Catalog(products, options.drop)
        self.streams: dict[Key, Stream] = {}
        self._about: dict[str | None, list[Stream]] = {}
        self._muted: set[str] | None = set()
        self._postponed: list[tuple[float, int, Member, list[bytes], Callable[[], None]]] = []
        self._numbers = count()
        self._dirty: set[Member] = set()
        self._credit = 0.0
        self.tick_s = min(max(1 / (options.rate or 1), SHORTEST_TICK_S), LONGEST_TICK_S)

    def statistics(self) -> dict[str, object]:
        """Connections, channels with their number of readers, requests, orders, frames."""
        channels = Counter(name for member in self.members for name in member.channels)
        return {
            "connections": len(self.members),
            "channels": dict(sorted(channels.items())),
            "postponed_answers": len(self._postponed),
            "requests": dict(self.requests),
            "tokens": len(self.tokens),
            "open_orders": {key: len(ledger.open) for key, ledger in self.exchange.ledgers.items()},
            "spoilt": self.spoiler.spoilt,
            **self.counts,
        }

    # -- time ------------------------------------------------------------------------------

    def now(self) -> float:
        """The monotonic clock, in seconds."""
        return self._clock.monotonic()

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._clock.time_ns() // 1_000_000

    def now_us(self) -> int:
        """Unix microseconds."""
        return self._clock.time_ns() // 1000

    def moment(self) -> Moment:
        """Now, on both clocks."""
        now_ms = self.now_ms()
        passed = (now_ms - self._born_ms) * self.options.candle_speed
        return Moment(now_ms, self._born_ms + int(passed))

    def tick(self) -> None:
        """Let one tick's worth of time pass."""
        self._credit += self.tick_s * self.options.rate
        steps = int(self._credit + 1e-9)
        self._credit -= steps
        for _ in range(min(steps, _MAX_STEPS)):
            self.exchange.step(self.moment())
        self.publish()
        now = self.now()
        self._answer_postponed(now)
        for member in list(self.members):
            member.sweep(now)
        self._flush()

    def publish(self) -> None:
        """Tell everybody what happened, without moving time."""
        moment = self.moment()
        self.exchange.gather(moment)
        for stream in list(self.streams.values()):
            self._deliver(stream, moment)
        self._flush()

    # -- what the exchange tells -----------------------------------------------------------

    def traded(self, trades: Sequence[Trade], moment: Moment) -> None:
        """Somebody took."""
        for place in (trades[0].product.name, None):
            for stream in self._about.get(place, ()):
                stream.traded(trades, moment)

    def changed(self, market: Market, changes: Sequence[Change], moment: Moment) -> None:
        """A book is another."""
        for stream in self._about.get(market.product.name, ()):
            stream.changed(changes, moment)

    def told(self, ledger: Ledger, news: News) -> None:
        """Something happened to an account."""
        for stream in self.streams.values():
            if isinstance(stream, UserStream) and stream.account == ledger.account:
                stream.told(news)

    # -- channels --------------------------------------------------------------------------

    def join(self, member: Member, channels: Iterable[tuple[Channel, str]]) -> None:
        """Let ``member`` read channels, each of them everybody's or an account's.

        Who reads a channel already gets nothing new of it; who gave it up meanwhile, nothing.
        """
        moment = self.moment()
        self.exchange.gather(moment)
        for channel, account in channels:
            key = (account, channel.name)
            if member.channels.get(channel.name) != key:
                continue
            stream = self.streams.get(key) or self._open(channel, account, moment)
            if member in stream.readers or member in stream.fresh:
                continue
            if stream.muted:
                stream.fresh.add(member)
            else:
                self._welcome(stream, {member}, moment)

    def _open(self, channel: Channel, account: str, moment: Moment) -> Stream:
        agg2_s, markets = self.options.agg2_s, self.exchange.markets
        stream: Stream
        if channel.is_private:
            stream = user_stream(channel, self.exchange.ledgers[account], markets, agg2_s)
        else:
            stream = public_stream(channel, markets, self.exchange.indexes, moment, agg2_s)
        stream.muted = self._muted is None or channel.name in self._muted
        stream.gap_every = self.options.gap_every if channel.family == "book" else 0
        self.streams[account, channel.name] = stream
        self._about.setdefault(channel.instrument, []).append(stream)
        return stream

    def leave_channels(self, member: Member, keys: Iterable[Key]) -> None:
        """``member`` reads these streams no more."""
        for key in keys:
            stream = self.streams.get(key)
            if stream is not None:
                stream.drop(member)
                if not stream.is_read:
                    self._close(key)

    def _close(self, key: Key) -> None:
        stream = self.streams.pop(key)
        self._about[stream.channel.instrument].remove(stream)

    def leave(self, member: Member) -> None:
        """``member`` is gone, and all that it read."""
        self.members.discard(member)
        self._dirty.discard(member)
        self.leave_channels(member, list(member.channels.values()))
        self._postponed = [item for item in self._postponed if item[2] is not member]
        heapq.heapify(self._postponed)

    def _deliver(self, stream: Stream, moment: Moment) -> None:
        self._send(stream, stream.collect(moment))
        if stream.fresh and not stream.muted:
            fresh, stream.fresh = stream.fresh, set()
            self._welcome(stream, fresh, moment)

    def _welcome(self, stream: Stream, members: set[Subscriber], moment: Moment) -> None:
        self._send(stream, stream.flush(moment))
        first = stream.first(moment)
        stream.readers |= members
        if first is not None:
            frame = text_frame(notification(stream.channel.name, encode(first)))
            for member in members:
                member.queue([frame])

    def _send(self, stream: Stream, texts: list[bytes]) -> None:
        payloads = [notification(stream.channel.name, text) for text in texts]
        payloads = self.spoiler.treat(f"{stream.account}/{stream.channel.name}", payloads)
        frames = [text_frame(payload) for payload in payloads]
        for reader in stream.readers if frames else ():
            if not stream.account or reader.may_read(stream.account):
                reader.queue(frames)

    # -- answers ---------------------------------------------------------------------------

    def postpone(
        self, member: Member, frames: list[bytes], delay_s: float, after: Callable[[], None]
    ) -> bool:
        """Send an answer later, and do what follows it then; False when too many wait already."""
        if len(self._postponed) >= _MAX_POSTPONED:
            return False
        item = (self.now() + delay_s, next(self._numbers), member, frames, after)
        heapq.heappush(self._postponed, item)
        return True

    def _answer_postponed(self, now: float) -> None:
        while self._postponed and self._postponed[0][0] <= now and not self.silent:
            _, _, member, frames, after = heapq.heappop(self._postponed)
            member.write(frames)
            member.flush()
            after()

    def mark(self, member: Member) -> None:
        """``member`` has something queued."""
        self._dirty.add(member)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for member in dirty:
            member.flush()

    # -- switches --------------------------------------------------------------------------

    def mute(self, channels: Iterable[str] | None) -> None:
        """Send no more data of ``channels``, or of any when None."""
        if channels is None or self._muted is None:
            self._muted = None
        else:
            self._muted |= set(channels)
        self._apply_mute()

    def unmute(self) -> None:
        """Send and answer as before."""
        self._muted = set()
        self.silent = False
        self._apply_mute()

    def _apply_mute(self) -> None:
        for stream in self.streams.values():
            stream.muted = self._muted is None or stream.channel.name in self._muted

    def delist(self, channel: str) -> None:
        """End the data of ``channel`` without a word and leave it out of answers from now on."""
        self.catalog.dropped.add(channel)
        for key in [key for key in self.streams if key[1] == channel]:
            self._close(key)

    def relist(self, channel: str) -> None:
        """Accept ``channel`` again."""
        self.catalog.dropped.discard(channel)

    def named(self, channel: str | None) -> list[Stream]:
        """The streams of that name that somebody reads; all for None."""
        return [s for s in self.streams.values() if s.readers and channel in {None, s.channel.name}]

    def garble(self, kind: Garbage, channel: str | None) -> int:
        """Send one frame of garbage now, made of a channel's last ones; see the control endpoint."""
        streams = [stream for stream in self.named(channel) if stream.last]
        for stream in streams:
            last, before = (notification(stream.channel.name, text) for text in (stream.last, stream.before))
            frame = text_frame(spoilt(kind, last, before))
            for reader in stream.readers:
                reader.queue([frame])
        self._flush()
        return len(streams)

    def maintain(self, on: bool) -> None:
        """Begin or end maintenance, and let those know who asked to be told."""
        self.maintenance = on
        for stream in self.named("platform_state"):
            assert isinstance(stream, PlatformState), "there is one stream of that name"
            stream.announce(on)
        self.publish()
