"""Messages with some fields of ``data`` alone: a format around another one.

A value is taken apart once for all sets of fields, and each set's frame is put together once,
from the texts that the venue wrote: nothing inside a field is decoded.
"""

from __future__ import annotations

import msgspec

from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import Format
from feedmux.model.topic import Topic

Parts = dict[str, msgspec.Raw]
"""The fields of an object, in its order, each as its text."""

_VALUES = frozenset({EventKind.SNAPSHOT, EventKind.UPDATE})

_decode = msgspec.json.Decoder(Parts | list[Parts]).decode
_encode = msgspec.json.Encoder().encode


class Dissection:
    """The last payload that was taken apart, shared by all sets of fields of one format."""

    __slots__ = ("_parts", "_payload")

    def __init__(self) -> None:
        self._payload = b""
        self._parts: Parts | list[Parts] | None = None

    def of(self, payload: bytes) -> Parts | list[Parts] | None:
        """The parts of ``data``: an object, or a list of them; None when it is neither."""
        if payload is not self._payload:
            self._payload = payload
            try:
                self._parts = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._parts = None
        return self._parts


class FieldsFormat:
    """Another format's messages, with some fields of ``data`` alone.

    ``data`` that is neither an object nor a list of objects goes as it is, and so do gaps and
    statuses. It keeps nothing of a topic; the last frame is kept for other rows of this set.

    Args:
        whole: the other format.
        fields: the names, at least one; those that a value does not have are absent.
        dissection: shared with the other sets of that format.
    """

    __slots__ = ("__weakref__", "_dissection", "_envelope", "_frame", "_whole", "fields")

    def __init__(self, whole: Format, fields: frozenset[str], dissection: Dissection) -> None:
        self.fields = fields
        self._whole = whole
        self._dissection = dissection
        self._envelope: Envelope | None = None
        self._frame: bytes | None = None

    def frame(self, envelope: Envelope, /) -> bytes | None:
        """One shared frame for all clients of this set of fields."""
        if envelope is not self._envelope:
            self._frame = self._whole.frame(self._projected(envelope))
            self._envelope = envelope
        return self._frame

    def only(self, fields: frozenset[str], /) -> Format:
        """Another set of fields of the same format."""
        return self._whole.only(fields)

    def forget(self, topic: Topic, /) -> None:
        """Nothing is kept for a topic."""

    def _projected(self, envelope: Envelope) -> Envelope:
        if envelope.kind not in _VALUES:
            return envelope
        parts = self._dissection.of(envelope.payload)
        if parts is None:
            return envelope
        kept = self._kept(parts) if isinstance(parts, dict) else [self._kept(part) for part in parts]
        return msgspec.structs.replace(envelope, payload=_encode(kept))

    def _kept(self, parts: Parts) -> Parts:
        fields = self.fields
        return {name: text for name, text in parts.items() if name in fields}
