"""iceoryx2: publish-subscribe without overflow. A writer waits while the reader's buffer is full.

Its listeners have no descriptor in Python, so a reader that sleeps waits in a call, for the event that the
writer sends after each burst. A writer whose reader polls sends none.
"""

from __future__ import annotations

import ctypes
import os

import iceoryx2

from bench.hop.port import MESSAGE_BYTES, Reader, Writer

_BUFFER = 1_024


class Payload(ctypes.Structure):
    """A message."""

    _fields_ = (("content", ctypes.c_uint8 * MESSAGE_BYTES),)


class _Service:
    """What both halves open, whoever is first."""

    def __init__(self, name: str) -> None:
        iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
        builder = iceoryx2.NodeBuilder.new().signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
        self.node = builder.create(iceoryx2.ServiceType.Ipc)
        builder = self.node.service_builder(iceoryx2.ServiceName.new(name))
        self.data = (
            builder.publish_subscribe(Payload)
            .enable_safe_overflow(False)
            .subscriber_max_buffer_size(_BUFFER)
            .open_or_create()
        )
        self.event = self.node.service_builder(iceoryx2.ServiceName.new(name)).event().open_or_create()


class _Writer:
    def __init__(self, name: str, is_waking: bool) -> None:
        self._service = _Service(name)
        builder = self._service.data.publisher_builder()
        self._publisher = builder.backpressure_strategy(
            iceoryx2.BackpressureStrategy.RetryUntilDelivered
        ).create()
        self._notifier = self._service.event.notifier_builder().create()
        self.flush = self._notifier.notify if is_waking else None

    def write(self, message: bytes) -> None:
        sample = self._publisher.loan_uninit()
        ctypes.memmove(sample.payload_ptr, message, MESSAGE_BYTES)
        sample.assume_init().send()


class _Reader:
    read_many = None
    missed = ()
    descriptor = -1

    def __init__(self, name: str) -> None:
        self._service = _Service(name)
        self._subscriber = self._service.data.subscriber_builder().create()
        self._listener = self._service.event.listener_builder().create()

    def read(self) -> bytes | None:
        sample = self._subscriber.receive()
        return None if sample is None else ctypes.string_at(sample.payload_ptr, MESSAGE_BYTES)

    def wait(self) -> bytes:
        while (message := self.read()) is None:
            self._listener.blocking_wait()
        return message

    def lost(self) -> int:
        return 0

    def wake(self) -> None:
        raise NotImplementedError

    def rest(self) -> bool:
        raise NotImplementedError


def ends() -> tuple[str, str]:
    """The name of a service of this run."""
    return (name := f"feedmux/hop/{os.getpid()}"), name


def open_writer(end: str, reading: str) -> Writer:
    return _Writer(end, reading == "wait")


def open_reader(end: str, _reading: str) -> Reader:
    return _Reader(end)
