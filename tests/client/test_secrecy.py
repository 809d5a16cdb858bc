from __future__ import annotations

import msgspec
import pytest

from feedmux.client.secrecy import Confidence, Secrecy, learn_config, sounds_secret
from feedmux.client.settings import LinkConfig
from feedmux.model.errors import AuthenticationFailed, CallFailed

SECRET = "s3cr3t-1"


class Friend:
    """Answers with a token, and remembers when it was told what."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    async def request(self, method: str, params: object = None, /) -> object:
        self.log.append((method, params))
        return {"access_token": "a-token", "expires_in": "in a while"}

    async def send(self, message: object, /) -> None:
        self.log.append(message)


def test_what_is_given_is_hidden_however_it_is_spelled() -> None:
    secrecy = Secrecy([SECRET, "pass/word", "abc", ""])
    assert secrecy.text(f"x {SECRET} pass%2Fword abc") == "x *** *** abc"
    assert secrecy.text('{"password":"whatever"}') == '{"password":"***"}'
    assert secrecy.value({"a": [SECRET, 5], "token": "t"}) == {"a": ["***", 5], "token": "***"}
    assert repr(secrecy) == "<Secrecy of 2 texts>"


def test_a_text_of_the_other_side_is_masked_before_it_is_cut() -> None:
    secrecy = Secrecy([SECRET])
    text = secrecy.scrub("x" * 195 + SECRET + "\x1b\n" + "y" * 100)
    assert text == "x" * 195 + "***??"


def test_what_is_suspected_is_no_certainty() -> None:
    secrecy = Secrecy(["BTC-PERPETUAL"])
    secrecy.add(["100ms"], certain=[SECRET])
    assert secrecy.certain == {SECRET}
    secrecy.learn(["learnt-1", "abc"])
    assert secrecy.certain == {SECRET, "learnt-1"}
    assert secrecy.text(f"BTC-PERPETUAL 100ms {SECRET} learnt-1") == "*** *** *** ***"


def test_of_what_passes_the_latest_is_remembered() -> None:
    secrecy = Secrecy([SECRET])
    for number in range(200):
        secrecy.learn([f"token-{number}", f"token-{number}"])
    assert len(secrecy.certain) == 64
    assert secrecy.text(f"token-199 token-100 {SECRET}") == "*** token-100 ***"


async def test_what_is_said_in_confidence_is_learnt_before_it_is_said() -> None:
    log: list[object] = []
    confidence = Confidence(Friend(log), log.append)
    params = {"who": "somebody", "proof": SECRET, "n": 5, "type": "by key"}
    answer = await confidence.request("login", params)
    assert answer == {"access_token": "a-token", "expires_in": "in a while"}
    await confidence.send(f"LOGIN {SECRET}")
    assert log == [
        {"somebody", SECRET},
        ("login", params),
        {"a-token"},
        {f"LOGIN {SECRET}", SECRET},
        f"LOGIN {SECRET}",
    ]


@pytest.mark.parametrize(
    ("header", "hidden", "certain"),
    [
        (("X-Api-Key", SECRET), {SECRET}, {SECRET}),
        (("Authorization", f"Bearer {SECRET}"), {SECRET, "Bearer"}, {SECRET, f"Bearer {SECRET}"}),
        (("Cookie", f"session={SECRET}; theme=dark"), {SECRET}, {SECRET, f"session={SECRET}; theme=dark"}),
        (("Sec-WebSocket-Protocol", f"json, {SECRET}"), {SECRET, "json,"}, {SECRET, f"json, {SECRET}"}),
        (("Origin", "https://example.com"), {"https://example.com"}, set()),
    ],
)
def test_headers_are_hidden_by_their_words(
    header: tuple[str, str], hidden: set[str], certain: set[str]
) -> None:
    secrecy = Secrecy()
    learn_config(secrecy, LinkConfig(headers=(header,)))
    assert secrecy.certain == certain
    assert all(secrecy.text(word) == "***" for word in hidden)


def test_a_proxys_user_is_hidden() -> None:
    secrecy = Secrecy()
    learn_config(secrecy, LinkConfig(proxy="http://some%20body:s3cr%2Ft@proxy:80"))
    assert secrecy.certain == {"some%20body", "some body", "s3cr%2Ft", "s3cr/t"}


@pytest.mark.parametrize(
    ("name", "is_so"),
    [("api_key", True), ("listenKey", True), ("X-Signature", True), ("depth", False), ("streams", False)],
)
def test_a_name_tells_what_it_holds(name: str, is_so: bool) -> None:
    assert sounds_secret(name) is is_so


def test_an_error_is_cleansed_with_all_that_led_to_it() -> None:
    secrecy = Secrecy([SECRET])
    error = AuthenticationFailed("a platform", f"it said {SECRET}")
    cause = error.__cause__ = CallFailed("login", 1, f"no {SECRET}", {"you": [SECRET]})
    first = cause.__context__ = ValueError(f"what is {SECRET}?", 5, SECRET.encode())
    error.add_note(f"a note on {SECRET}")
    secrecy.cleanse(error)
    shown = [repr(each) + str(each) + repr(vars(each)) for each in (error, cause, first)]
    assert not any(SECRET in text for text in shown)
    assert str(error) == "a platform does not accept the credentials: it said ***"
    assert cause.data == {"you": ["***"]}
    assert first.args == ("what is ***?", 5, b"***")


class Stubborn(Exception):
    """Somebody's error, which lets nobody change it."""

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError(name)


def test_an_error_that_cannot_be_cleansed_is_left_alone() -> None:
    error = Stubborn("x")
    error.__dict__["note"] = SECRET
    Secrecy([SECRET]).cleanse(error)
    assert str(error) == "x"


def test_what_is_nested_without_end_is_hidden_whole() -> None:
    value: object = SECRET
    for _ in range(100_000):
        value = [value]
    assert Secrecy([SECRET]).value(value) == "***"
    assert msgspec.json.encode(Secrecy([SECRET]).value([[1]])) == b"[[1]]"
