"""What Redis keeps of a lease, and how an ask changes it: :func:`decide`, and :data:`SCRIPT`, its twin.

Theory of operation
===================

One hash per lease, which never expires: that a lease is over is read off the clock of Redis, so that its
last epoch is not forgotten with it. ``decide`` is the specification; the script is what runs, in one
piece, with the time of Redis (``TIME``). A test asks both the same and compares.

A *token* is the epoch with which a tenure begins. A grant gives the holder not one epoch but all from the
token up to, but without, ``top``, so that it can begin another one without asking (a venue that was
connected to again, a topic that was subscribed to again). Each token is at least the ``top`` before it,
hence no two tenures have an epoch in common::

    ask       when                                     result
    acquire   nobody holds it, no guard                token = max(time, top, last + 1); until = time + ttl
    acquire   no guard; the last tenure was the        it goes on: until = time + ttl; top rises with it
              asker's, granted or renewed by this
              run, and it is its token that is said,
              or nothing of it was used or seen
    acquire   somebody does, or the guard stands       refused
    renew     of the holder, with its token            until = time + ttl; top rises with it
    renew     with a token above the one known         the same: Redis forgot this tenure, and has it again
    renew     else                                     refused: there is another holder
    release   of the holder, with its token            free at once; top = last + 1
    release   else                                     refused, nothing changes

A Redis that was started again may know nothing, or what once was. It knows itself by its ``run_id``: where
that is not the one in the record, a *guard* of one time to live begins, in which nobody acquires; whoever
held the lease renews it within that time, or has stopped. The first start of a cluster waits for it, too.
A tenure that had lapsed does not go on there: of one that followed it, the record may know nothing.

An answer may be lost, and with it that a tenure was granted. Who asks anew has seen no epoch of it, and is
given the same one, at once; one that asks anew because it has used all its epochs up waits for the end.

The clock of Redis should not be set. If it is set forward, a lease ends early and two may believe that
they hold it, with different epochs; if it is set back, ``until`` and the guard are shortened to what they
may be at most, and tokens go on from ``top``. Set back while Redis also loses its memory, tokens are
above the older ones by what candidates have seen (``last``), or by the margin of the terms.

Deliberately absent: who may ask (the rights of the Redis user) and fairness among candidates.

Source: redis.io, "EVAL", "TIME" and "INFO" (7.0); Redis 5 and newer replicate the effects of a script, so
that it may read the time before it writes. The user needs ``+time +info +hmget +hset`` besides ``+eval``, or
``+evalsha`` and ``+script``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

import msgspec

from feedmux.model.errors import MalformedMessage

MAX_EPOCH: Final = 2**52
"""Lua counts in doubles: up to here every whole number is one, and one more."""

SCRIPT: Final = """\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local act, asker = ARGV[1], ARGV[2]
local token, last, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'until', 'top', 'guard', 'ttl', 'run',
  'granted')
local holder, epoch, over = known[1] or '', tonumber(known[2]) or 0, tonumber(known[3]) or 0
local top, guard, longest = tonumber(known[4]) or 0, tonumber(known[5]) or 0, tonumber(known[6]) or 0
local given = known[8] or ''
if known[7] ~= run then
  longest = math.max(longest, ttl)
  guard = now + longest
end
over, guard = math.min(over, now + longest), math.min(guard, now + longest)
local granted = 0
if act == 'acquire' then
  if guard <= now and asker == holder and given == run and (token == epoch or last < epoch) then
    granted, over, longest = 1, now + ttl, ttl
    top = math.max(top, over, last + 1)
  elseif guard <= now and over <= now then
    granted, holder, epoch = 1, asker, math.max(now, top, last + 1)
    over, longest = now + ttl, ttl
    top = math.max(over, epoch + ttl)
  end
elseif act == 'renew' then
  if token > epoch or (token == epoch and asker == holder) then
    granted, holder, epoch = 1, asker, token
    over, longest = now + ttl, math.max(ttl, guard - now)
    top = math.max(top, over, last + 1)
  end
elseif token == epoch and asker == holder then
  granted, holder, over = 1, '', now
  top = math.max(epoch, last) + 1
end
if granted == 1 then given = run end
local function text(number) return string.format('%.0f', number) end
redis.call('HSET', KEYS[1], 'holder', holder, 'epoch', text(epoch), 'until', text(over),
  'top', text(top), 'guard', text(guard), 'ttl', text(longest), 'run', run,
  'granted', given)
return {granted, holder, epoch, top, math.max(over, guard), now}
"""
"""Lua; ``KEYS[1]`` is the lease, ``ARGV`` :meth:`Ask.arguments`; :meth:`Answer.read` reads the reply."""


class Act(StrEnum):
    """What is asked."""

    ACQUIRE = "acquire"
    RENEW = "renew"
    RELEASE = "release"


class Ask(msgspec.Struct, frozen=True):
    """What a node asks.

    Args:
        act: what.
        holder: who asks; a name that no other process has or had.
        token: of the tenure that is renewed, released or, having lapsed, taken up again; 0: of none.
        last: the highest epoch that the asker has used or seen; 0 for none.
        ttl_ms: how long the lease is to last, milliseconds above 0; the same for all nodes.
    """

    act: Act
    holder: str
    token: int
    last: int
    ttl_ms: int

    def arguments(self) -> tuple[str, ...]:
        """What :data:`SCRIPT` is given."""
        return (self.act.value, self.holder, str(self.token), str(self.last), str(self.ttl_ms))


class Answer(msgspec.Struct, frozen=True):
    """What Redis answers.

    Args:
        granted: whether it is as was asked.
        holder: who holds the lease now, or held it last; empty: nobody.
        token: of that tenure.
        top: all epochs of that tenure are below.
        until_ms: when it ends, or may be acquired, Unix milliseconds of Redis.
        now_ms: the time of Redis, Unix milliseconds.
    """

    granted: bool
    holder: str
    token: int
    top: int
    until_ms: int
    now_ms: int

    @classmethod
    def read(cls, reply: object) -> Self:
        """Read the reply of :data:`SCRIPT`.

        Raises:
            MalformedMessage: it is none.
        """
        match reply:
            case [0 | 1 as granted, bytes(holder), int(token), int(top), int(until), int(now)]:
                return cls(bool(granted), holder.decode(errors="replace"), token, top, until, now)
        raise MalformedMessage("lease", f"Redis answered {type(reply).__name__}; expected six parts")


class Record(msgspec.Struct, frozen=True):
    """What Redis keeps; the fields of the hash have these names, but ``until`` and ``ttl`` for two.

    Args:
        holder: who holds the lease, or held it last; empty: it was given back.
        epoch: the token of that tenure.
        until_ms: until when; Unix milliseconds of Redis, as the next two.
        top: all epochs that were ever used are below.
        guard: nobody acquires before.
        longest_ms: ``until_ms`` and ``guard`` are never farther away than this.
        run: which run of which Redis wrote this.
        granted: which one granted, renewed or took back the lease last.
    """

    holder: str = ""
    epoch: int = 0
    until_ms: int = 0
    top: int = 0
    guard: int = 0
    longest_ms: int = 0
    run: str = ""
    granted: str = ""


def decide(record: Record, ask: Ask, now_ms: int, run: str) -> tuple[Record, Answer]:
    """Say what becomes of a record, and what the asker is answered.

    Args:
        record: what is known; an empty one if nothing is.
        ask: what is asked.
        now_ms: the time of Redis.
        run: which run of which Redis this is.
    """
    known = _as_of(record, ask.ttl_ms, now_ms, run)
    if ask.act is Act.ACQUIRE:
        after = _acquire(known, ask, now_ms)
    elif ask.act is Act.RENEW:
        after = _renew(known, ask, now_ms)
    else:
        after = _release(known, ask, now_ms)
    new = known if after is None else msgspec.structs.replace(after, granted=run)
    until_ms = max(new.until_ms, new.guard)
    return new, Answer(after is not None, new.holder, new.epoch, new.top, until_ms, now_ms)


def _as_of(record: Record, ttl_ms: int, now_ms: int, run: str) -> Record:
    """What the record means now: a Redis that has forgotten is guarded, a clock set back forgiven."""
    longest_ms, guard = record.longest_ms, record.guard
    if record.run != run:
        longest_ms = max(longest_ms, ttl_ms)
        guard = now_ms + longest_ms
    latest = now_ms + longest_ms
    return msgspec.structs.replace(
        record,
        until_ms=min(record.until_ms, latest),
        guard=min(guard, latest),
        longest_ms=longest_ms,
        run=run,
    )


def _acquire(known: Record, ask: Ask, now_ms: int) -> Record | None:
    if known.guard > now_ms:
        return None
    until_ms = now_ms + ask.ttl_ms
    is_its_own = ask.holder == known.holder and known.granted == known.run
    if is_its_own and (ask.token == known.epoch or ask.last < known.epoch):
        top = max(known.top, until_ms, ask.last + 1)
        return msgspec.structs.replace(known, until_ms=until_ms, top=top, longest_ms=ask.ttl_ms)
    if known.until_ms > now_ms:
        return None
    token = max(now_ms, known.top, ask.last + 1)
    return msgspec.structs.replace(
        known,
        holder=ask.holder,
        epoch=token,
        until_ms=until_ms,
        top=max(until_ms, token + ask.ttl_ms),
        longest_ms=ask.ttl_ms,
    )


def _renew(known: Record, ask: Ask, now_ms: int) -> Record | None:
    if ask.token < known.epoch or (ask.token == known.epoch and ask.holder != known.holder):
        return None
    until_ms = now_ms + ask.ttl_ms
    return msgspec.structs.replace(
        known,
        holder=ask.holder,
        epoch=ask.token,
        until_ms=until_ms,
        top=max(known.top, until_ms, ask.last + 1),
        longest_ms=max(ask.ttl_ms, known.guard - now_ms),
    )


def _release(known: Record, ask: Ask, now_ms: int) -> Record | None:
    if ask.token != known.epoch or ask.holder != known.holder:
        return None
    top = max(known.epoch, ask.last) + 1
    return msgspec.structs.replace(known, holder="", until_ms=now_ms, top=top)
