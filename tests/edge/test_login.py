from __future__ import annotations

import pytest

from feedmux.edge.login import EXPIRED, NEVER, Login, Rights, identity_of, known, renewed
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.errors import Refused
from support.hubs import ScriptedTime
from support.rango import Roles

ALICE = Identity("ALICE", "member", 1300.0)


class Talk:
    """A connection and the words of a dialect: everything that is said is kept."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def answer(self, payload: bytes, /) -> None:
        self.said.append((payload.decode(),))

    def remind(self, delay: float, /) -> None:
        raise AssertionError("a connection asks for the deadline itself")

    def close(self, code: int, reason: str) -> None:
        self.said.append((code, reason))

    def taken(self, identity: Identity, /) -> bytes:
        raise AssertionError("a session says so itself")

    def refused(self, reason: str, code: str, /) -> bytes:
        raise AssertionError("a session says so itself")

    def expiring(self, identity: Identity, reason: str, time_ns: int, /) -> bytes:
        return f"{identity.uid} at {time_ns // 10**9}: {reason}".encode()

    def expired(self, identity: Identity, reason: str, code: str, time_ns: int, /) -> bytes:
        return f"{identity.uid} at {time_ns // 10**9}: {code}, {reason}".encode()


def refuse(token: str) -> Identity:
    raise Refused("the token", "it is a test")


def rights(time: ScriptedTime, *, enforces_expiry: bool = True, warning_s: float = 60.0) -> Rights:
    return Rights(
        access=Roles(),
        clock=time,
        authenticate={"alice": ALICE, "bob": Identity("BOB")}.__getitem__,
        enforces_expiry=enforces_expiry,
        warning_s=warning_s,
    )


SOON = "the token expires soon; send a new one, or this connection will be closed"


def test_a_client_is_warned_once_and_closed_when_its_token_expires() -> None:
    time, talk, login = ScriptedTime(), Talk(), Login(ALICE)
    terms = rights(time)
    for seconds, deadline, said in (
        (0, 1240.0, []),
        (239, 1240.0, []),
        (1, 1300.0, [(f"ALICE at 1240: {SOON}",)]),
        (59, 1300.0, []),
        (1, NEVER, [("ALICE at 1300: TOKEN_EXPIRED, the token has expired",), (EXPIRED, "Token expired")]),
    ):
        time.goes(seconds)
        login.look(terms, talk, talk, time.monotonic())
        assert (login.deadline, talk.said) == (deadline, said)
        talk.said.clear()


@pytest.mark.parametrize(
    ("identity", "enforces_expiry"), [(Identity("ALICE"), True), (ALICE, False), (Identity(), True)]
)
def test_what_does_not_expire_is_not_looked_at(identity: Identity, enforces_expiry: bool) -> None:
    time, talk, login = ScriptedTime(), Talk(), Login(identity)
    time.goes(10_000)
    login.look(rights(time, enforces_expiry=enforces_expiry), talk, talk, time.monotonic())
    assert (login.deadline, talk.said) == (NEVER, [])


def test_nobody_is_warned_where_nobody_is_to_be() -> None:
    time, talk, login = ScriptedTime(), Talk(), Login(ALICE)
    time.goes(299.9)
    login.look(rights(time, warning_s=0.0), talk, talk, time.monotonic())
    assert (login.deadline, talk.said) == (1300.0, [])


def test_a_token_makes_somebody_of_nobody_and_renews_the_login_of_its_user() -> None:
    terms = rights(ScriptedTime())
    for login in (None, Login(Identity("ALICE", "admin", 1100.0))):
        found = renewed(login, "alice", terms)
        assert isinstance(found, Login)
        assert found is not login
        assert found.identity == ALICE


def test_a_token_that_is_another_users_or_proves_nothing_or_is_not_asked_for_renews_nothing() -> None:
    terms = rights(ScriptedTime())
    another = "the token is another user's; open another connection with it"
    assert renewed(Login(ALICE), "bob", terms) == (another, "OTHER_USER")
    terms.authenticate = refuse
    assert renewed(None, "alice", terms) == ("the token was refused: it is a test", Refused.code)
    terms.authenticate = None
    assert renewed(None, "alice", terms) == ("this server takes no tokens in messages", "AUTH_DISABLED")


def test_nothing_is_kept_of_who_is_nobody() -> None:
    assert known(ANONYMOUS) is None
    assert identity_of(None) == ANONYMOUS
    login = known(ALICE)
    assert identity_of(login) == ALICE
    assert not hasattr(login, "__dict__")
