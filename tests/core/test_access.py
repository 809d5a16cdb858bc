from __future__ import annotations

import pytest

from feedmux.core.access import Access
from feedmux.model.access import ANONYMOUS, Identity

ACCESS = Access.of({"admin": ["admin", "superadmin"], "sys": ("ops",), "closed": []})
USER = Identity("ID1", "member")
ADMIN = Identity("ID2", "admin")


@pytest.mark.parametrize(
    ("identity", "scope", "may"),
    [
        (ANONYMOUS, "public", True),
        (USER, "public", True),
        (USER, "uid=ID1", True),
        (USER, "uid=ID2", False),
        (USER, "uid=id1", False),
        (USER, "uid=ID", False),
        (USER, "uid=ID10", False),
        (USER, "uid=ID1=", False),
        (ADMIN, "uid=ID1", False),
        (ANONYMOUS, "uid=ID1", False),
        (ANONYMOUS, "uid=", False),
        (ADMIN, "role=admin", True),
        (Identity("ID3", "superadmin"), "role=admin", True),
        (ADMIN, "role=sys", False),
        (ADMIN, "role=Admin", False),
        (ADMIN, "role=closed", False),
        (ADMIN, "role=unheard-of", False),
        (ADMIN, "role=", False),
        (USER, "role=admin", False),
        (Identity("ID4"), "role=admin", False),
        (Identity("", "admin"), "role=admin", False),
        (ADMIN, "admin", False),
        (ADMIN, "", False),
        (ADMIN, "Public", False),
        (ADMIN, "group=admin", False),
    ],
)
def test_who_reads_what(identity: Identity, scope: str, may: bool) -> None:
    assert ACCESS.may_read(identity, scope) is may


def test_a_uid_is_compared_whole_whatever_signs_it_holds() -> None:
    identity = Identity("a=b", "")
    assert Access().may_read(identity, "uid=a=b")
    assert not Access().may_read(identity, "uid=a")


def test_an_empty_role_or_prefix_opens_nothing() -> None:
    careless = Access.of({"admin": ["", "ops"], "": ["ops"]})
    assert careless == Access.of({"admin": ["ops"]})
    assert not careless.may_read(Identity("ID1", ""), "role=admin")
    assert not careless.may_read(Identity("ID1", "ops"), "role=")


def test_what_it_was_made_from_can_change_without_it() -> None:
    roles = {"admin": {"ops"}}
    access = Access.of(roles)
    roles["admin"].add("member")
    assert not access.may_read(USER, "role=admin")
