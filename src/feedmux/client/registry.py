"""Know the links that are open, by name.

Theory of operation: whatever is added gets a task that waits for its end and takes it out then. The
registry owns these tasks and nothing else: it does not start, close or restart what it holds. It is
used in ``async with``; leaving the block ends the watching.

Invariants: a name has one member and a member one name; both are found in constant time; an iteration
sees what was there when it began, whatever comes and goes meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Generic, Protocol, Self, TypeVar

from feedmux.model.checks import require_kind, require_parts, require_text, require_whole
from feedmux.model.errors import Duplicate, IllegalEvent, Overflow
from feedmux.model.ports import Statistics

_LOG: Final = logging.getLogger(__name__)
_PARTS: Final = ("state", "statistics", "wait_closed")
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Member(Protocol):
    """What can be registered: anything that ends."""

    @property
    def state(self) -> object:
        """Where it is; shown by its ``str``."""

    def statistics(self) -> Statistics:
        """Counters and gauges."""

    async def wait_closed(self) -> None:
        """Wait until it has ended for good; return at once when it has."""


MemberT = TypeVar("MemberT", bound=Member)


class Registry(Generic[MemberT]):
    """Members by name, as long as they live. Belongs to one event loop.

    Args:
        limit: how many there may be at a time, at least 1; None: no limit.

    Raises:
        InvalidSetting: the limit is something else.
    """

    def __init__(self, *, limit: int | None = None) -> None:
        if limit is not None:
            require_whole("limit", limit, "a number of members, or None", least=1)
        self._limit = limit
        self._members: dict[str, MemberT] = {}
        self._names: dict[int, str] = {}  # by identity: a member need not be hashable
        self._metadata: dict[str, Mapping[str, object]] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._ever = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def add(self, name: str, member: MemberT, metadata: Mapping[str, object] = _NOTHING) -> None:
        """Register ``member``; it is taken out in a turn of the loop after it ended.

        Args:
            name: what it is found by.
            member: what is found.
            metadata: anything to remember with it; copied.

        Raises:
            InvalidSetting: the name is no text, the member is none, or the metadata is no mapping.
            Duplicate: there is another member of that name, or the member has a name already.
            Overflow: the limit is reached.
            IllegalEvent: the registry is closed.
        """
        require_text("name", name)
        require_parts("member", member, _PARTS, "something that ends, as a link does")
        require_kind("metadata", metadata, Mapping, "anything to remember, by name")
        if self._closed:
            raise IllegalEvent("registry", "closed", "add")
        if name in self._members:
            raise Duplicate("member", name)
        if (known := self.name_of(member)) is not None:
            raise Duplicate("member", known)
        if self._limit is not None and len(self._members) >= self._limit:
            raise Overflow("the registry", f"{self._limit} members")
        self._members[name], self._names[id(member)] = member, name
        self._metadata[name] = MappingProxyType(dict(metadata))
        self._watchers[name] = asyncio.create_task(self._watch(name, member), name=f"registry-{name}")
        self._ever += 1

    def remove(self, name: str) -> MemberT | None:
        """Take a member out before it ends.

        Returns:
            The member; None when there is none of that name.
        """
        watcher = self._watchers.get(name) if isinstance(name, str) else None
        if watcher is not None:
            watcher.cancel()
            self._leaving.add(watcher)
            watcher.add_done_callback(self._leaving.discard)
        return self._take_out(name) if isinstance(name, str) else None

    def get(self, name: str) -> MemberT | None:
        """The member of that name, or None."""
        return self._members.get(name) if isinstance(name, str) else None

    def name_of(self, member: MemberT) -> str | None:
        """The name of that very member, or None."""
        return self._names.get(id(member))

    def metadata(self, name: str) -> Mapping[str, object]:
        """What was given with the member; nothing when there is none of that name."""
        return self._metadata.get(name, _NOTHING) if isinstance(name, str) else _NOTHING

    @property
    def members(self) -> Mapping[str, MemberT]:
        """All members by name: a view that follows every change."""
        return MappingProxyType(self._members)

    async def close(self) -> None:
        """End the watching and forget everybody; the members themselves live on. May be called twice."""
        self._closed = True
        for name in list(self._members):
            self.remove(name)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def statistics(self) -> Statistics:
        """Return how many there are and were, and state and statistics of each by its name."""
        return {
            "members": len(self._members),
            "ever": self._ever,
            "limit": self._limit,
            "by_name": {name: {"state": str(member.state), **member.statistics()} for name, member in self},
        }

    def __iter__(self) -> Iterator[tuple[str, MemberT]]:
        """Iterate over name and member of those who are there now."""
        return iter(tuple(self._members.items()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._members

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"<Registry of {len(self._members)}>"

    async def _watch(self, name: str, member: MemberT) -> None:
        try:
            await member.wait_closed()
        except Exception:  # noqa: BLE001 - the outermost edge of the task
            _LOG.exception("waiting for the end of %r failed; it is no longer registered", name)
        if self._members.get(name) is member:
            self._take_out(name)

    def _take_out(self, name: str) -> MemberT | None:
        member = self._members.pop(name, None)
        if member is not None:
            del self._names[id(member)], self._metadata[name], self._watchers[name]
        return member
