"""A fork of the test that is another process, or another user."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Self


class Child:
    """A fork of this process that does one thing; it says a line when it is done and lives until killed."""

    def __init__(self, work: Callable[[], str], uid: int | None = None) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                if uid is not None:
                    os.setgid(uid)
                    os.setuid(uid)
                os.write(writing, work().encode() + b"\n")
                signal.pause()
            except BaseException as error:  # noqa: BLE001 - a child must never come back
                os.write(writing, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading) as lines:
            self.line = lines.readline().strip()

    def kill(self) -> None:
        """End it at once; twice is allowed."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
