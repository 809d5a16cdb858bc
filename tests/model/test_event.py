from __future__ import annotations

import msgspec

from feedmux.model.event import Envelope, EventKind, Gap, GapReason, Position, State, Status
from feedmux.model.topic import PUBLIC, Topic

TICKER = Topic(PUBLIC, "bybit", "linear", "ticker", "BTCUSDT")


def test_positions_order_by_epoch_then_seq() -> None:
    assert Position(1, 9) < Position(2, 0) < Position(2, 1)


def test_envelope_knows_its_position() -> None:
    envelope = Envelope(TICKER, 7, 3, EventKind.UPDATE, 0, 0, "", b"{}")
    assert envelope.position == Position(7, 3)


def test_gap_payload_speaks_of_from_and_to() -> None:
    assert msgspec.json.encode(Gap(813, 830, GapReason.SLOW)) == b'{"from":813,"to":830,"reason":"slow"}'


def test_status_without_a_reason_has_none() -> None:
    assert msgspec.json.encode(Status(State.LIVE)) == b'{"state":"live"}'
