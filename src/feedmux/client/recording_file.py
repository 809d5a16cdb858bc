"""The file of a recording: ours alone, and made of whole portions.

Blocking: it belongs to a thread of its own, but for opening it, which is done where an error can
still reach whoever asked for the recording.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import ExitStack
from typing import Final

from feedmux.model.checks import type_of
from feedmux.model.errors import InvalidSetting

# Not to follow a symbolic link, not to wait for the reader of a pipe, not to be inherited.
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EXPECTED: Final = "the path of a new file, or of a regular file of yours without other names"


class RecordingFile:
    """An emptied file of mode 0600 that nobody else records to.

    Args:
        path: where it is, or will be.

    Raises:
        InvalidSetting: it cannot be opened, is no regular file of this user, has other names (its
            content is not this path's alone), or another recorder has it.
    """

    __slots__ = ("_broken", "_descriptor", "_size", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._size = 0
        self._broken: OSError | None = None
        try:
            self._descriptor = os.open(path, _FLAGS, 0o600)
        except (OSError, ValueError) as error:
            raise _refused(path, error) from error
        with ExitStack() as undo:
            undo.callback(os.close, self._descriptor)
            self._claim()
            undo.pop_all()

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    def write(self, data: bytes) -> None:
        """Write all of ``data`` at the end, or nothing of it.

        Raises:
            OSError: the disk is full, or worse; the file is as it was, or is written to no more.
        """
        if self._broken is not None:
            raise self._broken
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._cut()
            raise
        self._size += len(data)

    def _cut(self) -> None:
        """Take back what was written of a portion: what follows would continue a torn line."""
        try:
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
        except OSError as error:
            self._broken = error

    def close(self) -> None:
        """Let go of the file.

        Raises:
            OSError: the system could not write what it had taken.
        """
        os.close(self._descriptor)

    def _claim(self) -> None:
        """Make sure of the file before anything in it is lost."""
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise InvalidSetting("path", self.path, _EXPECTED)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(self._descriptor, 0o600)
            os.ftruncate(self._descriptor, 0)
        except BlockingIOError as error:
            raise InvalidSetting("path", self.path, "a file that no other recorder writes") from error
        except OSError as error:
            raise _refused(self.path, error) from error


def path_of(path: object) -> str:
    """Return a path as text.

    Raises:
        InvalidSetting: it is none.
    """
    try:
        return os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidSetting("path", type_of(path), _EXPECTED) from error


def _refused(path: str, error: OSError | ValueError) -> InvalidSetting:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return InvalidSetting("path", path, f"{_EXPECTED} ({reason})")
