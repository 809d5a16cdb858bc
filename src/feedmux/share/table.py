"""All shared WebSockets of a broker: which there are, and who may join which."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from feedmux.model.errors import CapacityError, InvalidSetting
from feedmux.share.config import MOST_OPENS, MOST_WEBSOCKETS
from feedmux.share.member import Member
from feedmux.share.shared import Shared
from feedmux.share.target import Key, Target, key_of
from feedmux.wire.local_records import Open


class Table:
    """The WebSockets, by what they are shared by.

    One that is being closed keeps its place until it is gone: a venue that allows one connection would
    refuse the next one before.

    Args:
        ring_bytes: the capacity of each ring.
        tasks: awaits each of them.
    """

    def __init__(self, ring_bytes: int, tasks: asyncio.TaskGroup) -> None:
        self._ring_bytes, self._tasks = ring_bytes, tasks
        self._numbers = count(1)
        self._by_key: dict[Key, Shared] = {}
        self._by_number: dict[int, Shared] = {}
        self._late: dict[Key, list[tuple[Member, Open]]] = {}

    def open(self, member: Member, record: Open) -> None:
        """Let a client share a WebSocket; answered by *opened* or *failed*."""
        if self._pending(member) >= MOST_OPENS:
            member.fail(record.request, "CAPACITY", f"{MOST_OPENS} of its opens wait already")
            return
        key = key_of(record)
        shared = self._by_key.get(key)
        if shared is not None and shared.is_closing:
            self._late.setdefault(key, []).append((member, record))
        elif shared is not None:
            shared.join(member, record.request)
        else:
            self._begin(member, record)

    def find(self, member: Member, number: int) -> Shared | None:
        """Return a WebSocket that a client shares; None if it does not."""
        shared = self._by_number.get(number)
        return shared if shared is not None and member in shared else None

    def leave(self, member: Member, *, is_dead: bool = False) -> None:
        """Have a client leave all of them; if it is dead, its requests that wait are forgotten, too."""
        if is_dead:
            for late in self._late.values():
                late[:] = [waiting for waiting in late if waiting[0] is not member]
        for shared in list(self._by_number.values()):
            if is_dead or member in shared:
                shared.leave(member, is_dead=is_dead)

    def close(self, reason: str) -> None:
        """Close all of them, and say why."""
        for late in self._late.values():
            late.clear()
        for shared in list(self._by_number.values()):
            shared.close(reason)

    def hide(self, text: str) -> str:
        """Return a text without what is secret in any of them."""
        for shared in self._by_number.values():
            text = shared.hide(text)
        return text

    def shared_by(self, member: Member) -> list[int]:
        """The ids of those that a client shares."""
        return [shared.number for shared in self._by_number.values() if member in shared]

    def status(self) -> list[dict[str, Any]]:
        """What people may know of each."""
        return [shared.status() for shared in self._by_number.values()]

    def __len__(self) -> int:
        return len(self._by_number)

    def _pending(self, member: Member) -> int:
        late = sum(waiting is member for late in self._late.values() for waiting, _ in late)
        return late + sum(shared.waits(member) for shared in self._by_number.values())

    def _begin(self, member: Member, record: Open) -> None:
        if len(self._by_number) >= MOST_WEBSOCKETS:
            member.fail(record.request, "CAPACITY", f"there are {MOST_WEBSOCKETS} WebSockets already")
            return
        try:
            target = Target.of(record)
            shared = Shared(next(self._numbers), target, ring_bytes=self._ring_bytes, over=self._ended)
        except (InvalidSetting, CapacityError) as error:
            member.fail(record.request, error.code, str(error))
            return
        self._by_key[target.key] = self._by_number[shared.number] = shared
        shared.join(member, record.request)
        self._tasks.create_task(shared.run(), name=f"websocket-{shared.number}")

    def _ended(self, shared: Shared) -> None:
        """Nothing is left of it: who came too late for it begins anew."""
        del self._by_number[shared.number]
        del self._by_key[shared.target.key]
        for member, record in self._late.pop(shared.target.key, ()):
            self.open(member, record)
