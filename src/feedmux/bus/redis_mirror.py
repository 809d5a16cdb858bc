"""Keep a hash or a set in Redis as it is here: the commands, not their sending.

A mirror remembers what it wrote, and writes only what changed. It writes all anew when it cannot know what
is there: at the beginning, after a connection ended, and when the key has vanished. A key lives for a
few seconds from when it was last renewed, so that nothing stays behind of a process that died.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Words = tuple[str, ...]

RENEW: Final = "EXPIRE"
_REPLACE: Final = """\
redis.call('DEL', KEYS[1])
local size = tonumber(ARGV[3])
for at = 4, #ARGV, size do
  redis.call(ARGV[2], KEYS[1], unpack(ARGV, at, at + size - 1))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
"""Write a key anew, in one step for all who read it: its seconds to live, the command that puts, how many
words each entry has, and those of all entries."""


class RedisMirror:
    """One key.

    Args:
        key: its name.
        put: the command that puts entries into it: ``HSET`` or ``SADD``.
        remove: the one that removes them by their first words: ``HDEL`` or ``SREM``.
        ttl_s: how long it lives from when it was last renewed.
    """

    def __init__(self, key: str, *, put: str, remove: str, ttl_s: int) -> None:
        self.key: Final = key
        self._put, self._remove, self._ttl = put, remove, str(ttl_s)
        self._written: dict[str, Words] = {}

    def anew(self, entries: Mapping[str, Words]) -> list[Words]:
        """The commands that make the key these entries, whatever it is now.

        Args:
            entries: the words of each, by the first of them.
        """
        self._written = dict(entries)
        if not entries:
            return [("DEL", self.key)]
        words = [word for entry in entries.values() for word in entry]
        size = len(next(iter(entries.values())))
        return [("EVAL", _REPLACE, "1", self.key, self._ttl, self._put, str(size), *words)]

    def turned(self, entries: Mapping[str, Words | None]) -> list[Words]:
        """The commands that change these entries and renew the key.

        Where :data:`RENEW` is answered with 0, the key was not what it should be: write it :meth:`anew`.

        Args:
            entries: the words of each, by the first of them; None: it is there no more.
        """
        written = self._written
        put = [words for name, words in entries.items() if words is not None and written.get(name) != words]
        gone = [name for name, words in entries.items() if words is None and name in written]
        renew = (RENEW, self.key, self._ttl)
        commands: list[Words] = [renew] if written else []
        if put:  # before anything is removed, so that the key is never empty, and keeps its time to live
            commands.append((self._put, self.key, *(word for words in put for word in words)))
            commands += [] if written else [renew]
            written.update({words[0]: words for words in put})
        if gone:
            commands.append((self._remove, self.key, *gone))
            for name in gone:
                del written[name]
        return commands

    def clear(self) -> list[Words]:
        """The commands that end it."""
        return self.anew({})

    def __len__(self) -> int:
        """How many entries were written."""
        return len(self._written)
