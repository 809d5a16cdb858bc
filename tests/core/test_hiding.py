from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.core.hiding import SECRET_NAMES, Mask, secrets_in
from feedmux.model.errors import InvalidSetting

PLAIN = Mask()
KNOWING = Mask(["hunter22", 'qu"ote\\d', "sl/a sh+"])


@pytest.mark.parametrize(
    "payload",
    [
        b'{"topic":"tickers.BTCUSDT","data":{"lastPrice":"67000.10","size":1.50}}',
        b'{ "op" : "subscribe" , "args" : [ "trade:BTCUSDT" ] }',
        b'{"name":"a \\u00e9 \\\\ \\" b"}',
        b"",
        b"ping",
        b"\x00\xff\xfe",
        b'{"half":',
        b'{"key":"BTCUSDT","args":["x"]}',
        b'{"words":"author, token, secret and assign are words"}',
        b"[1.10,2e5,-0.0,123456789012345678901234567890]",
    ],
)
def test_what_holds_no_secret_is_returned_as_it_is(payload: bytes) -> None:
    assert KNOWING.payload(payload) is payload


@pytest.mark.parametrize(
    "name",
    [
        *sorted(SECRET_NAMES), "apiKey", "API-KEY", "Access_Token", "client.secret", "X-Api-Key", "passWord",
    ],
)  # fmt: skip
def test_the_whole_value_of_a_member_that_is_named_as_a_secret_is_hidden(name: str) -> None:
    for value in ("s3cr3t", 123456, ["s3cr3t"], {"a": {"b": "s3cr3t"}}, None, True):
        for message in ({name: value}, {"params": [{"deep": {name: value}}], "id": 1}):
            masked = json.loads(PLAIN.payload(json.dumps(message).encode()))
            assert masked == json.loads(json.dumps(message).replace(json.dumps(value), '"***"'))


def test_everything_else_of_such_a_message_stays_with_its_digits() -> None:
    before = b'{"price":67000.10,"big":123456789012345678901234567890,"token":'
    after = b',"\xc3\xa9":[null,true,1E-9]}'
    assert PLAIN.payload(before + b'"abcd"' + after) == before + b'"***"' + after


def test_a_name_is_seen_through_escapes() -> None:
    assert PLAIN.payload(rb'{"\u0074oken":"abcd"}') == b'{"token":"***"}'


def test_of_two_members_of_one_name_neither_is_written() -> None:
    assert b"abcd" not in PLAIN.payload(b'{"a":{"token":"abcd"},"a":1}')
    assert b"abcd" not in PLAIN.payload(b'{"token":"abcd","token":"***"}')


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ({"op": "auth", "args": ["key", 17, "sig"]}, {"op": "auth", "args": ["***", "***", "***"]}),
        (
            {"op": "login", "args": [{"apiKey": "k", "passphrase": "p", "timestamp": "1", "sign": "s"}]},
            {
                "op": "login",
                "args": [{"apiKey": "***", "passphrase": "***", "timestamp": "1", "sign": "***"}],
            },
        ),
        (
            {"action": "auth", "key": "k", "secret": "s"},
            {"action": "auth", "key": "***", "secret": "***"},
        ),
        (
            {"method": "public/auth", "params": {"grant_type": "client_credentials", "client_secret": "s"}},
            {"method": "public/auth", "params": {"grant_type": "client_credentials", "client_secret": "***"}},
        ),
    ],
)
def test_requests_to_authenticate_hide_what_has_no_name(message: object, masked: object) -> None:
    assert json.loads(PLAIN.payload(json.dumps(message).encode())) == masked


def test_json_in_a_string_of_json_is_masked_too() -> None:
    inner = json.dumps({"access_token": "abcd", "a": 1})
    masked = json.loads(PLAIN.payload(json.dumps({"body": inner, "n": 2}).encode()))
    assert json.loads(masked["body"]) == {"access_token": "***", "a": 1}
    assert masked["n"] == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"login hunter22 please",
        b'{"note":"my hunter22!"}',
        b'{"hunter22":1}',
        b'{"hunter22":{"token":1}}',
        b'{"note":"qu\\"ote\\\\d"}',
        b'{"note":"qu\\u0022ote\\\\d"}',
        b"a=1&b=sl%2Fa%20sh%2B",
        b"a=1&b=sl/a sh+",
        b"\xff\xfe hunter22 \x00",
        b'half {"qu\\"ote\\\\d',
    ],
)
def test_a_known_secret_is_hidden_wherever_it_stands(payload: bytes) -> None:
    masked = KNOWING.payload(payload)
    assert b"***" in masked
    for secret in (b"hunter22", b"ote\\\\d", b"sl/a", b"sl%2F"):
        assert secret not in masked


@pytest.mark.parametrize(
    ("payload", "masked"),
    [
        (b'{"id":1,"access_token":"abcd', b'{"id":1,"access_token":***'),
        (b'{"id":1,"apiKey" : {"a":"abcd"', b'{"id":1,"apiKey" : ***'),
        (b'data: {"token":"abcd"}', b'data: {"token":***'),
    ],
)
def test_what_names_a_secret_and_is_no_json_is_cut(payload: bytes, masked: bytes) -> None:
    assert PLAIN.payload(payload) == masked


def test_json_that_is_too_deep_to_read_is_cut() -> None:
    payload = b'{"a":' * 100_000 + b'{"token":"abcd"}' + b"}" * 100_000
    masked = PLAIN.payload(payload)
    assert b"abcd" not in masked
    assert masked.endswith(b'{"token":***')


def test_texts_are_masked_like_messages() -> None:
    assert KNOWING.text("the reason is hunter22") == "the reason is ***"
    assert KNOWING.text("harmless") == "harmless"
    assert KNOWING.text("\ud800 hunter22") == "***"


def test_names_of_ones_own_take_the_place_of_the_known_ones() -> None:
    mask = Mask(names=["pin"])
    assert mask.payload(b'{"PIN":"1234","token":"BTC"}') == b'{"PIN":"***","token":"BTC"}'
    assert Mask(names=[]).payload(b'{"token":"BTC"}') == b'{"token":"BTC"}'


@pytest.mark.parametrize("wrong", ["hunter22", b"hunter22", None, 5, [b"hunter22"], [None], [["hunter22"]]])
def test_what_is_no_list_of_texts_is_refused_and_not_shown(wrong: Any) -> None:
    for name, argument in (("secrets", "secrets"), ("secret_names", "names")):
        with pytest.raises(InvalidSetting) as caught:
            Mask(**{argument: wrong})
        assert caught.value.name == name
        assert "hunter22" not in f"{caught.value!s} {caught.value!r}"


def test_a_secret_that_is_found_everywhere_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidSetting) as caught:
        Mask(["abc"])
    assert "abc" not in str(caught.value)
    assert Mask([""]).payload(b"abc") == b"abc"


def test_a_secret_from_an_environment_that_is_no_utf8_is_hidden() -> None:
    assert Mask(["s3cr\udcff\udcfet"]).payload(b"a s3cr\xff\xfet b") == b"a *** b"


def test_it_does_not_show_what_it_hides() -> None:
    assert "hunter22" not in repr(KNOWING)


def test_values_are_hidden_as_messages_are_and_are_the_same_when_nothing_is() -> None:
    value = {"data": [{"note": "hunter22", "n": 1}], "token": "x"}
    assert KNOWING.value(value) == {"data": [{"note": "***", "n": 1}], "token": "***"}
    plain = {"data": [1, None, "text"]}
    assert KNOWING.value(plain) is plain


def test_a_mask_that_knows_more_still_knows_the_rest() -> None:
    more = KNOWING.knowing(["hunter33"])
    assert more.payload(b"hunter22 hunter33") == b"*** ***"
    assert KNOWING.payload(b"hunter33") == b"hunter33"


@pytest.mark.parametrize(
    ("message", "named", "everything"),
    [
        ({"method": "public/auth", "params": {"client_secret": "hunter22"}}, {"hunter22"}, {"hunter22"}),
        ({"op": "auth", "args": ["the-key", 17, "hunter22"]}, {"the-key", "hunter22"}, {"hunter22"}),
        ({"op": "login", "key": "a-key-is"}, {"a-key-is"}, {"a-key-is"}),
        ({"op": "subscribe", "args": ["ticker.BTC"]}, set(), {"ticker.BTC"}),
        ({"channel": "ticker.BTC-PERPETUAL", "who": "hunter22"}, set(), {"hunter22"}),
        ({"a": [{"b": {"token": ["t-one", "t2"]}}]}, {"t-one"}, set()),
        ('{"op":"auth","args":["hunter22"]}', {"hunter22"}, {"hunter22"}),
        (b'{"password":"hunter22"}', {"hunter22"}, {"hunter22"}),
        ("LOGIN me hunter22", set(), {"LOGIN me hunter22", "hunter22"}),
        (b"LOGIN \xff hunter22", set(), {"LOGIN \ufffd hunter22", "hunter22"}),
        (None, set(), set()),
        (17, set(), set()),
        (["hunter22", 5], set(), {"hunter22"}),
    ],
)
def test_what_may_be_secret_in_a_message_is_found(
    message: object, named: set[str], everything: set[str]
) -> None:
    assert secrets_in(message) == named
    assert secrets_in(message, everything=True) == everything


def test_what_is_too_short_is_not_looked_for() -> None:
    assert secrets_in({"token": "USDT"}) == {"USDT"}
    assert secrets_in({"token": "USDT"}, shortest=8) == set()


def test_a_message_that_is_nested_without_end_is_searched_to_its_end() -> None:
    message: object = {"token": "hunter22"}
    for _ in range(100_000):
        message = [message]
    assert secrets_in(message) == {"hunter22"}
