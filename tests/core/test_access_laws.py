from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.access import Access
from feedmux.model.access import ANONYMOUS, Identity
from support.examples import EXAMPLES

NAMES = st.sampled_from(["", "a", "b", "ab", "a=b", "A", "a.b"])
"""Few enough to meet, and each with a beginning, an end or the capitals of another."""
GRANTS = st.dictionaries(NAMES, st.sets(NAMES, max_size=3), max_size=4)
IDENTITIES = st.builds(Identity, NAMES, NAMES)
SCOPES = st.one_of(st.just("public"), NAMES, NAMES.map("uid={}".format), NAMES.map("role={}".format))


@settings(max_examples=EXAMPLES)
@given(GRANTS, IDENTITIES, SCOPES)
def test_nothing_is_read_without_one_of_three_reasons(
    roles: dict[str, set[str]], identity: Identity, scope: str
) -> None:
    if Access.of(roles).may_read(identity, scope):
        is_own = identity.uid != "" and scope == f"uid={identity.uid}"
        is_granted = identity.role != "" and any(
            prefix != "" and scope == f"role={prefix}" and identity.role in names
            for prefix, names in roles.items()
        )
        assert scope == "public" or is_own or is_granted


@settings(max_examples=EXAMPLES)
@given(GRANTS, SCOPES)
def test_the_anonymous_read_what_is_public_and_nothing_else(roles: dict[str, set[str]], scope: str) -> None:
    assert Access.of(roles).may_read(ANONYMOUS, scope) is (scope == "public")


@settings(max_examples=EXAMPLES)
@given(GRANTS, NAMES.filter(bool), NAMES.filter(bool), NAMES.filter(bool))
def test_a_user_reads_his_own_and_a_role_what_names_it(
    roles: dict[str, set[str]], uid: str, role: str, prefix: str
) -> None:
    access = Access.of({**roles, prefix: {role}})
    assert access.may_read(Identity(uid, role), f"uid={uid}")
    assert access.may_read(Identity(uid, role), f"role={prefix}")


@settings(max_examples=EXAMPLES)
@given(GRANTS, GRANTS, IDENTITIES, SCOPES)
def test_a_grant_more_closes_nothing(
    roles: dict[str, set[str]], more: dict[str, set[str]], identity: Identity, scope: str
) -> None:
    both = {prefix: roles.get(prefix, set()) | more.get(prefix, set()) for prefix in roles | more}
    assert not Access.of(roles).may_read(identity, scope) or Access.of(both).may_read(identity, scope)
