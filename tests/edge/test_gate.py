from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedmux.core.origin import Origins
from feedmux.edge.dialogue import Peer
from feedmux.edge.endpoint import Entry, Opening
from feedmux.edge.gate import Gate
from feedmux.edge.http import Reply
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.ports import Outlet
from support.echo import Echo
from support.named import ALICE, Expired, identify

HOST = ("host", "ws.example.com")
FOREIGN = ("origin", "https://elsewhere.example")


def opening(*headers: tuple[str, str], target: str = "/private?stream=a") -> Opening:
    return Opening.of(target, (HOST, *headers))


class Guests:
    """Remembers who was let in, and how."""

    def __init__(self) -> None:
        self.served: list[tuple[str, Identity]] = []

    def serve(self, opening: Opening, identity: Identity) -> Callable[[Peer, Outlet], Echo]:
        self.served.append((opening.query, identity))
        return Echo


def refusal(verdict: Entry | Reply) -> tuple[int, Any, dict[str, str]]:
    """Status, code and headers; the body says what is wrong in a sentence."""
    assert isinstance(verdict, Reply)
    assert isinstance(verdict.body, dict)
    assert len(verdict.body["error"]) > 20
    return verdict.status, verdict.body["code"], dict(verdict.headers)


def test_who_asks_for_nothing_special_lets_everybody_in() -> None:
    guests = Guests()
    verdict = Gate(guests.serve).admit(opening(FOREIGN, ("authorization", "Bearer nonsense")))
    assert verdict == Entry(Echo)
    assert guests.served == [("stream=a", ANONYMOUS)]


def test_a_page_that_may_not_is_refused_and_nobody_is_asked_who_he_is() -> None:
    guests = Guests()
    for origins in (Origins(), Origins(["https://app.example.com"])):
        gate = Gate(guests.serve, origins=origins, identify=identify)
        verdict = gate.admit(opening(FOREIGN, ("authorization", "Bearer expired")))
        assert refusal(verdict) == (403, "ORIGIN_REFUSED", {})
    assert guests.served == []


@pytest.mark.parametrize(
    ("origins", "headers", "is_allowed"),
    [
        (Origins(), [], True),
        (Origins(), [("origin", "https://ws.example.com")], True),
        (Origins(), [("origin", "https://ws.example.com"), HOST], False),
        (Origins(["elsewhere.example"]), [FOREIGN], True),
        (Origins(["elsewhere.example"]), [FOREIGN, FOREIGN], False),
        (Origins(["elsewhere.example"]), [], True),
        (Origins(["*"]), [("origin", "null")], True),
    ],
)
def test_what_a_page_is_and_where_it_was_sent_to_must_not_be_in_doubt(
    origins: Origins, headers: list[tuple[str, str]], is_allowed: bool
) -> None:
    verdict = Gate(Guests().serve, origins=origins).admit(opening(*headers))
    assert isinstance(verdict, Entry) is is_allowed


@pytest.mark.parametrize("is_private", [False, True])
def test_a_token_that_holds_is_let_in_as_whom_it_names_and_one_that_does_not_is_refused(
    is_private: bool,
) -> None:
    guests = Guests()
    gate = Gate(guests.serve, identify=identify, is_private=is_private)
    assert isinstance(gate.admit(opening(("authorization", "Bearer alice"))), Entry)
    assert guests.served == [("stream=a", ALICE)]
    verdict = gate.admit(opening(("authorization", "Bearer bob")))
    challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert refusal(verdict) == (401, "TOKEN_EXPIRED", challenge)
    assert isinstance(verdict, Reply)
    assert verdict.body == {"error": str(Expired()), "code": "TOKEN_EXPIRED"}


def test_nobody_is_somebody_who_may_not_come_where_all_have_to_say_who_they_are() -> None:
    guests = Guests()
    assert isinstance(Gate(guests.serve, identify=identify).admit(opening()), Entry)
    assert guests.served == [("stream=a", ANONYMOUS)]
    private = Gate(guests.serve, identify=identify, is_private=True)
    assert refusal(private.admit(opening())) == (401, "TOKEN_MISSING", {"WWW-Authenticate": "Bearer"})


def test_without_a_key_nobody_gets_in_where_all_have_to_say_who_they_are() -> None:
    private = Gate(Guests().serve, is_private=True)
    verdict = private.admit(opening(("authorization", "Bearer alice")))
    assert refusal(verdict) == (401, "TOKENS_NOT_CHECKED", {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize(
    ("offers", "spoken"),
    [
        ([], None),
        (["bearer, alice"], "bearer"),
        (["bearer", "alice"], "bearer"),
        (["chat ,\tbearer"], "bearer"),
        (["Bearer, alice"], None),
        (["chat, bearer2"], None),
    ],
)
def test_the_subprotocol_that_carries_a_token_is_the_one_that_is_spoken(
    offers: list[str], spoken: str | None
) -> None:
    asked = opening(*(("sec-websocket-protocol", offer) for offer in offers))
    verdict = Gate(Guests().serve, identify=lambda opening: ALICE).admit(asked)
    assert isinstance(verdict, Entry)
    assert verdict.subprotocol == spoken
    verdict = Gate(Guests().serve).admit(asked)
    assert isinstance(verdict, Entry)
    assert verdict.subprotocol is None, "no token is looked at"


def test_the_bound_of_messages_is_handed_on() -> None:
    verdict = Gate(Guests().serve, max_message_bytes=512).admit(opening())
    assert verdict == Entry(Echo, None, 512)
