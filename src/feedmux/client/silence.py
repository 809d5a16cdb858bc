"""Watch a connection and its channels for silence, as far as there are limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feedmux.client.settings import LinkConfig
from feedmux.core.vigil import Step, Vigil

_WHOLE: Final = "the connection"
_SLOWEST_S: Final = 1.0


class Silence:
    """Two vigils (:mod:`feedmux.core.vigil`): over the connection itself, and over its channels.

    Args:
        config: the limits; without them nothing is watched.
    """

    def __init__(self, config: LinkConfig) -> None:
        limits = [limit for limit in (config.silence_s, config.channel_silence_s) if limit is not None]
        self.interval_s = min(_SLOWEST_S, min(limits) / 4) if limits else 0.0
        """How often to look, seconds; 0: never."""
        self._whole = _vigil(config.silence_s, config.ping_timeout_s)
        self._channels = _vigil(config.channel_silence_s, config.ping_timeout_s)

    def restart(self, now: float) -> None:
        """A new connection: it carries nothing yet."""
        if self._whole is not None:
            self._whole.watch(_WHOLE, now)
        if self._channels is not None:
            self._channels.restart(now)

    def changed(self, there: Sequence[str], gone: Sequence[str], now: float) -> None:
        """The connection holds other channels. One that was only renewed is watched on: will it help?"""
        if self._channels is None:
            return
        for channel in gone:
            self._channels.forget(channel)
        for channel in there:
            if channel not in self._channels:
                self._channels.watch(channel, now)

    def heard(self, channel: str, now: float) -> None:
        """Something came, of a channel or of none; runs per message."""
        if self._whole is not None:
            self._whole.heard(_WHOLE, now)
        if channel and self._channels is not None:
            self._channels.heard(channel, now)

    def answered(self, now: float) -> list[str] | None:
        """The probe was answered; returns the channels that are to be renewed, None for all."""
        silent = self._channels.answered(now) if self._channels is not None else []
        return None if self._whole is not None and self._whole.answered(now) else silent

    def check(self, now: float) -> tuple[Step | None, str]:
        """Return the gravest thing that is to be done, and about what."""
        found = [
            item for vigil in (self._whole, self._channels) if vigil is not None for item in vigil.check(now)
        ]
        for wanted in (Step.RECONNECT, Step.PROBE):
            for step, key in found:
                if step is wanted:
                    return step, key
        return None, ""


def _vigil(limit_s: float | None, grace_s: float) -> Vigil | None:
    return None if limit_s is None else Vigil(limit_s, grace_s)
