from __future__ import annotations

from feedmux.model.access import Identity
from feedmux.wire import op
from feedmux.wire.notice import Notices

NOTICES = Notices("acme")
NOW_NS = 1_700_000_000_123_999_999


def test_how_a_token_is_has_the_form_of_a_data_message() -> None:
    identity = Identity("U1", "", 1_700_000_060.25)
    assert NOTICES.expiring(identity, "soon", NOW_NS) == (
        b'{"type":"auth","data":{"state":"expiring","reason":"soon","expires":1700000060250},'
        b'"timestamp":1700000000123,"source":"acme"}'
    )
    assert NOTICES.expired(Identity("U1"), "over", "CODE", NOW_NS) == (
        b'{"type":"auth","data":{"state":"expired","reason":"over"},'
        b'"timestamp":1700000000123,"source":"acme"}'
    )


def test_tokens_are_answered_as_the_protocol_answers() -> None:
    assert NOTICES.taken(Identity("U1")) == op.authenticated(Identity("U1"))
    assert NOTICES.refused("why", "CODE") == op.not_authenticated("why", "CODE")


def test_a_stream_that_is_closed_to_a_client_is_told_as_a_status_of_no_epoch() -> None:
    assert NOTICES.closed("acme.rabbitmq.a.\u2603", "why", NOW_NS) == (
        b'{"stream":"acme.rabbitmq.a.\\u2603","type":"status","data":{"state":"refused","reason":"why"},'
        b'"timestamp":1700000000123,"source":"acme","epoch":0}'
    )
    assert Notices("acme", statuses=False).closed("acme.rabbitmq.a.b", "why", NOW_NS) is None
