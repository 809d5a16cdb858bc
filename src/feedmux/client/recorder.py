"""Write down what passes a link, both ways, without making the link wait.

Theory of operation
===================

::

    received, sent, closed ─▶ waiting (bounded) ─▶ the writer's thread: hide secrets, encode, write
                                  └─▶ full: dropped, counted

The event loop only appends to a list; everything else happens in a thread of the recorder's own, at
the latest a second later, or when 100 entries wait. The thread works in small portions and pauses
after each, so that the loop never waits for the interpreter longer than a portion takes. Where the disk
is slower than the link, entries are dropped, not memory filled: the newest, so that the recording has
a hole and no reordering.

A portion is written whole or not at all: what a full disk took of it is cut off again, so that every
line but the last of a killed process is whole. The kernel has what was written; it is not forced to
the disk, so it survives the process, not the machine.

Invariants: nothing is raised into the link; a loss is counted in ``statistics()`` and told in the log
once; no secret that :mod:`feedmux.core.hiding` can see is written.

Deliberately absent: rotation, compression, appending. A recording belongs to one run, and a file that
is there is emptied.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Final, Self

import msgspec

from feedmux.client.clock import SystemClock
from feedmux.client.recording import Direction, Entry, Kind, encode
from feedmux.client.recording_file import RecordingFile, path_of
from feedmux.core.hiding import SECRET_NAMES, SHORTEST, Mask, texts_of
from feedmux.model.checks import is_whole, require_kind, require_number, require_whole, type_of
from feedmux.model.ports import Clock, Statistics

_LOG: Final = logging.getLogger(__name__)
_DROPPED: Final = "%s: entries are dropped, because more than %d entries or %d bytes wait to be written"
_FAILED: Final = "%s: entries cannot be written: %s"
_REMEMBERED: Final = 256
_LONGEST_S: Final = 86_400.0
_STUCK: Final = "%s: the disk did not take what waits within %g s; it was given up"


class RecorderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a recorder behaves.

    Args:
        flush_interval_s: the longest that an entry waits for others, at most a day.
        flush_entries: so many waiting entries are not kept waiting.
        max_waiting_entries: how many may wait.
        max_waiting_bytes: how much of messages may wait.
        close_timeout_s: how long the end of a recording may take, at most a day.
    """

    flush_interval_s: float = 1.0
    flush_entries: int = 100
    max_waiting_entries: int = 10_000
    max_waiting_bytes: int = 64 * 1024 * 1024
    close_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidSetting: a value is outside its range.
        """
        for name in ("flush_interval_s", "close_timeout_s"):
            expected = "seconds above 0, at most a day"
            require_number(name, getattr(self, name), expected, above=0, most=_LONGEST_S)
        for name in ("flush_entries", "max_waiting_entries", "max_waiting_bytes"):
            require_whole(name, getattr(self, name), "a whole number above 0", least=1)


_DEFAULTS: Final = RecorderConfig()
_PORTION_ENTRIES: Final = 25
_PORTION_BYTES: Final = 64 * 1024
_PAUSE_S: Final = 0.0001
"""After each portion. Without it the thread has the interpreter back before the event loop woke up."""


class Recorder:
    """A recording that is being written. Close it: what waits would be lost otherwise.

    Args:
        path: the file. It is made with mode 0600; a regular file of ours is emptied, and anything
            else, such as a symbolic link, is refused.
        secrets: texts that must not be written, wherever they stand.
        secret_names: of JSON members whose values must not be written.
        config: when it writes, and how much may wait.
        clock: the machine's by default.

    Raises:
        InvalidSetting: the file cannot be written, another recorder writes it, a secret is no text or
            too short to be hidden, or the config is none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        secrets: Iterable[str] = (),
        secret_names: Iterable[str] = SECRET_NAMES,
        config: RecorderConfig = _DEFAULTS,
        clock: Clock | None = None,
    ) -> None:
        require_kind("config", config, RecorderConfig, "a RecorderConfig")
        self._mask = self._given = Mask(secrets, secret_names)
        self._learnt: dict[str, None] = {}
        self._file = RecordingFile(path_of(path))
        self._config, self._clock = config, clock or SystemClock()
        # SYNC: all that follows is shared with the thread and touched under the lock.
        self._lock = threading.Condition()
        self._waiting: list[Entry] = []
        self._waiting_bytes = self._in_hand = 0
        self._closing = self._ended = False
        self._told = False
        self._written = self._dropped = self._failed = 0
        self._enders: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._write_all, name="feedmux-recorder", daemon=True)
        self._thread.start()

    def hide(self, secrets: Iterable[str]) -> None:
        """Write none of these from now on, besides what it was made with; too short ones are passed over.

        A link says so of whatever its adapter uses to say who it is.

        Raises:
            InvalidSetting: they are no texts.
        """
        known = texts_of("secrets", secrets)
        new = {secret for secret in known if len(secret) >= SHORTEST} - self._learnt.keys()
        if new:
            self._learnt |= dict.fromkeys(new)
            for oldest in list(self._learnt)[:-_REMEMBERED]:
                del self._learnt[oldest]
            # SYNC: the thread reads the mask anew for each entry; nothing that waits was written before.
            self._mask = self._given.knowing(self._learnt)

    def received(self, payload: bytes, binary: bool = False) -> None:
        """Record a message from the other side; neither blocks nor raises."""
        self._add(Direction.IN, Kind.BINARY if binary else Kind.TEXT, payload)

    def sent(self, payload: bytes | str, binary: bool = False) -> None:
        """Record a message to the other side; neither blocks nor raises."""
        self._add(Direction.OUT, Kind.BINARY if binary else Kind.TEXT, payload)

    def closed(self, code: int | None, reason: str = "", *, direction: Direction = Direction.IN) -> None:
        """Record the end of a connection; neither blocks nor raises.

        Args:
            code: the close code, if there was one.
            reason: as it was given.
            direction: ``IN`` when the other side ended it, or it broke.
        """
        said = reason if isinstance(reason, str) else type_of(reason)
        self._add(direction, Kind.CLOSE, b"", code if is_whole(code) else None, said)

    async def close(self) -> None:
        """Write what waits and end; may be called twice. What comes afterwards is dropped.

        Takes at most ``close_timeout_s``: a disk that hangs is left to itself.
        """
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._closing = True
            if self._ended:
                over.set_result(None)
            else:
                self._enders.append((loop, over))
            self._lock.notify()
        done, _ = await asyncio.wait([over], timeout=self._config.close_timeout_s)
        if done:
            self._thread.join()  # its last act was to wake us
        else:
            _LOG.error(_STUCK, self._file.path, self._config.close_timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def statistics(self) -> Statistics:
        """Return counters since the start, and how much waits."""
        with self._lock:
            return {
                "path": self._file.path,
                "written": self._written,
                "written_bytes": self._file.size,
                "waiting": len(self._waiting) + self._in_hand,
                "dropped": self._dropped,
                "failed": self._failed,
            }

    def __repr__(self) -> str:
        return f"<Recorder {self._file.path} written={self._written}>"

    # In the event loop.

    def _add(
        self, direction: Direction, kind: Kind, given: object, code: int | None = None, reason: str = ""
    ) -> None:
        payload = _bytes(given)
        entry = Entry(
            at_ns=self._clock.time_ns(),
            direction=direction,
            kind=kind,
            payload=payload,
            code=code,
            reason=reason,
        )
        config = self._config
        with self._lock:
            count = len(self._waiting) + self._in_hand
            fits = self._waiting_bytes + len(payload) <= config.max_waiting_bytes
            if self._closing or count >= config.max_waiting_entries or not fits:
                self._dropped += 1
                tell = not self._told and not self._closing
                self._told = self._told or tell
            else:
                tell = False
                self._waiting.append(entry)
                self._waiting_bytes += len(payload)
                if len(self._waiting) == config.flush_entries:
                    self._lock.notify()
        if tell:
            _LOG.warning(_DROPPED, self._file.path, config.max_waiting_entries, config.max_waiting_bytes)

    # In the writer's thread.

    def _write_all(self) -> None:
        try:
            while entries := self._next():
                for portion in _portions(entries):
                    self._write(portion)
                    time.sleep(_PAUSE_S)
        except Exception:  # noqa: BLE001 - the outermost edge of the thread
            _LOG.exception("%s: the recorder failed; nothing more is written", self._file.path)
        finally:
            self._end()

    def _next(self) -> list[Entry]:
        """Wait for entries; none means that it is over."""
        with self._lock:
            if not self._closing and len(self._waiting) < self._config.flush_entries:
                self._lock.wait(self._config.flush_interval_s)
            while not self._waiting and not self._closing:
                self._lock.wait(self._config.flush_interval_s)
            entries, self._waiting = self._waiting, []
            self._in_hand = len(entries)
            return entries

    def _write(self, portion: list[Entry]) -> None:
        lines = []
        problem: Exception | None = None
        for entry in portion:
            try:
                lines.append(encode(self._masked(entry)))
            except Exception as error:  # noqa: BLE001 - what nobody can write, whatever is wrong with it
                problem = error
        failed = len(portion) - len(lines)
        try:
            self._file.write(b"".join(lines))
        except OSError as error:
            failed, problem = len(portion), error
        size = sum(len(entry.payload) for entry in portion)
        with self._lock:
            self._in_hand -= len(portion)
            self._waiting_bytes -= size
            self._written += len(portion) - failed
            self._failed += failed
            tell = bool(failed) and not self._told
            self._told = self._told or tell
        if tell:
            _LOG.warning(_FAILED, self._file.path, problem)

    def _masked(self, entry: Entry) -> Entry:
        if entry.kind is Kind.CLOSE:
            return msgspec.structs.replace(entry, reason=self._mask.text(entry.reason))
        payload = self._mask.payload(entry.payload)
        return entry if payload is entry.payload else msgspec.structs.replace(entry, payload=payload)

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with self._lock:
            self._closing = self._ended = True
            self._dropped += len(self._waiting)
            self._waiting, self._in_hand, self._waiting_bytes = [], 0, 0
            enders, self._enders = self._enders, []
        for loop, future in enders:
            with contextlib.suppress(RuntimeError):  # the loop was closed before the disk answered
                loop.call_soon_threadsafe(_wake, future)


def _bytes(given: object) -> bytes:
    """What was given as a message; of what is none, only that it was there."""
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode(errors="replace")
    return bytes(given) if isinstance(given, bytearray | memoryview) else type_of(given).encode()


def _portions(entries: list[Entry]) -> Iterator[list[Entry]]:
    portion: list[Entry] = []
    size = 0
    for entry in entries:
        portion.append(entry)
        size += len(entry.payload)
        if len(portion) >= _PORTION_ENTRIES or size >= _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
