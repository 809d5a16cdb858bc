"""Remember what Redis refuses, for as long as it does: a right that is granted heals it, without a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feedmux.bus.redis_config import RedisRefused


class Refusals:
    """What Redis refuses of one end of a bus.

    An end says something, or asks again for what was refused, each beat: what was not refused for a few
    of them is allowed now.

    Args:
        monotonic: seconds on a clock that never goes back.
        memory_s: so long after the last refusal all is well again.
    """

    def __init__(self, monotonic: Callable[[], float], memory_s: float) -> None:
        self._monotonic, self._memory_s = monotonic, memory_s
        self._until = 0.0
        self._trouble = ""
        self._channels: dict[bytes, None] = {}

    def note(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """Redis refuses something about these channels."""
        self._until, self._trouble = self._monotonic() + self._memory_s, str(error)
        self._channels.update(dict.fromkeys(channels))

    def again(self) -> list[bytes]:
        """The channels to try again; they are forgotten until they are refused again."""
        channels = list(self._channels)
        self._channels.clear()
        return channels

    @property
    def trouble(self) -> str:
        """What is refused, in a sentence; empty: nothing."""
        return self._trouble if self._monotonic() < self._until else ""
