from __future__ import annotations

import contextlib
import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from feedmux.edge.auth import Authenticator
from feedmux.edge.claims import TokenRules
from feedmux.edge.keys import read_jwks, read_pem
from feedmux.model.access_errors import InvalidKey, TokenRefused
from support.examples import EXAMPLES
from support.tokens import TokenClock, claims, ed25519, part

SIGNER = ed25519()
GOOD = SIGNER.token()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["uid", "role", "exp", "nbf", "iat", "aud", "iss", "other"])
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "b64"]), JSON)
PARTS = st.one_of(st.binary(max_size=40), JSON).map(part)


def authenticator() -> Authenticator:
    return Authenticator(read_pem(SIGNER.pem, "x"), TokenRules(), clock=TokenClock())


@settings(max_examples=EXAMPLES)
@given(st.one_of(st.text(max_size=200), st.lists(PARTS, min_size=2, max_size=5).map(".".join)))
def test_what_nobody_signed_is_refused_by_name_whatever_it_is(token: str) -> None:
    by = authenticator()
    try:
        by.identify(token)
    except TokenRefused as refusal:
        assert by.statistics()["refused"] == {refusal.code: 1}
    else:
        raise AssertionError("nobody signed this")


@settings(max_examples=EXAMPLES)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from("AQgwz09-_.=+ \n"))
def test_no_character_of_a_token_can_be_changed(place: int, character: str) -> None:
    token = GOOD[:place] + character + GOOD[place + 1 :]
    assume(token != GOOD)
    with contextlib.suppress(TokenRefused):
        raise AssertionError(authenticator().identify(token))


@settings(max_examples=EXAMPLES)
@given(HEADERS, st.dictionaries(NAMES, JSON))
def test_a_signed_token_of_any_content_is_a_bounded_identity_or_refused(
    header: dict[str, object], content: dict[str, object]
) -> None:
    token = SIGNER.token(claims() | content, header=header)
    with contextlib.suppress(TokenRefused):
        identity = authenticator().identify(token)
        assert 0 < len(identity.uid) <= 128 and identity.uid.isprintable()
        assert len(identity.role) <= 128
        assert identity.expires_s > TokenClock().now_s


@settings(max_examples=EXAMPLES)
@given(
    st.one_of(
        st.text(),
        st.binary().map(lambda body: f"-----BEGIN PUBLIC KEY-----{part(body)}-----END PUBLIC KEY-----"),
    )
)
def test_any_text_is_a_key_or_an_error_by_name(text: str) -> None:
    with contextlib.suppress(InvalidKey):
        assert len(read_pem(text, "x")) == 1


@settings(max_examples=EXAMPLES)
@given(
    st.dictionaries(st.sampled_from(["kty", "crv", "x", "kid", "use", "alg", "key_ops", "n", "e", "y"]), JSON)
)
def test_any_json_is_a_set_of_keys_or_an_error_by_name(members: dict[str, object]) -> None:
    with contextlib.suppress(InvalidKey):
        assert len(read_jwks(json.dumps({"keys": [SIGNER.jwk | members]}), "x")) == 1
