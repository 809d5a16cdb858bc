from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.venue.deribit_auth import Credentials, Tokens, authentication, renewal

KEY = Credentials("me", "s3cret", scope="session:desk")


def as_json(params: object) -> str:
    return msgspec.json.encode(params).decode()


def test_a_signature_is_that_of_the_documents() -> None:
    params = authentication(KEY, 1_576_074_319_000, "1iqt2wls")
    expected = hmac.new(b"s3cret", b"1576074319000\n1iqt2wls\n", hashlib.sha256).hexdigest()
    assert params["signature"] == expected
    assert (params["grant_type"], params["data"], params["scope"]) == ("client_signature", "", "session:desk")
    assert "s3cret" not in as_json(params)


def test_a_secret_is_sent_only_where_that_is_wanted() -> None:
    params = authentication(msgspec.structs.replace(KEY, signs=False, scope=""), 0, "")
    assert params == {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s3cret"}


def test_secrets_never_show() -> None:
    tokens = Tokens("access-1", "refresh-1", 900, "connection")
    assert repr(tokens) == "Tokens(***, expires_in=900, scope='connection')"
    assert repr(KEY) == "Credentials(***)"
    assert renewal(tokens) == {"grant_type": "refresh_token", "refresh_token": "refresh-1"}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("client_id", {"client_id": ""}), ("client_id", {"client_id": None}), ("client_id", {"client_id": 5}),
        ("client_secret", {"client_secret": ""}), ("client_secret", {"client_secret": b"s3cret"}),
        ("client_secret", {"client_secret": ["s3cret"]}),
        ("client_secret", {"client_secret": "s3cret\udc80"}),
        ("signs", {"signs": "s3cret"}), ("signs", {"signs": None}), ("scope", {"scope": None}),
    ],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_and_not_shown(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Credentials(**{"client_id": "me", "client_secret": "s3cret", **wrong})
    assert caught.value.name == name
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"
    assert caught.value.__cause__ is None
