from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from feedmux.app.config import (
    InvalidConfiguration,
    load,
    notices,
    parse_pairs,
)
from feedmux.app.settings import Settings, fields
from feedmux.core.origin import EXPECTED

ROOT = Path(__file__).parents[2]

# The names and values that deployments of the Mudrex proxy have in their .env files.
MUDREX_ENV = """\
# Server
HOST=0.0.0.0
PORT=8000
DEBUG=false
ENVIRONMENT=production
# Redis
REDIS_URL=redis://default:hunter2@localhost:6379
REDIS_MAX_CONNECTIONS=20
REDIS_SOCKET_TIMEOUT=5.0
# Bybit
BYBIT_WS_URL=wss://stream.bybit.com/v5/public/linear
BYBIT_TESTNET=false
BYBIT_CATEGORY=linear
BYBIT_MAX_SYMBOLS_PER_SUBSCRIPTION=10
BYBIT_MAX_SYMBOLS_PER_CONNECTION=500
BYBIT_PING_INTERVAL=20.0
# Limits
MAX_SUBSCRIPTIONS_PER_CLIENT=100
MAX_CLIENTS_TOTAL=10000
CLIENT_IDLE_TIMEOUT=300.0
# Log
LOG_LEVEL=INFO
LOG_JSON=true
"""


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.lower() in fields():
            monkeypatch.delenv(name)
    return tmp_path


def problems(flags: dict[str, Any] | None = None, config: Path | None = None) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(flags, config=config)
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def test_without_any_source_the_defaults_hold() -> None:
    assert load() == Settings()


@pytest.mark.parametrize(
    ("sources", "port"),
    [
        ("", 8000),
        ("toml", 1),
        ("toml dotenv", 2),
        ("toml dotenv environment", 3),
        ("toml dotenv environment flag", 4),
        ("toml flag", 4),
        ("toml environment", 3),
        ("dotenv flag", 4),
    ],
)
def test_the_strongest_source_wins(
    sources: str, port: int, empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "toml" in sources:
        (empty_place / "feedmux.toml").write_text("port = 1")
    if "dotenv" in sources:
        (empty_place / ".env").write_text("PORT=2")
    if "environment" in sources:
        monkeypatch.setenv("PORT", "3")
    assert load({"port": 4 if "flag" in sources else None}).port == port


def test_sources_add_up(empty_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_place / "feedmux.toml").write_text('venues = ["bybit.spot"]\nPORT = 1\n')
    (empty_place / ".env").write_text("brand=acme\nOTHERS_KEY=x\n")
    monkeypatch.setenv("Log_Level", "debug")
    settings = load({"HOST": "127.0.0.1"})
    assert (settings.venues, settings.port, settings.brand) == (("bybit.spot",), 1, "acme")
    assert (settings.log_level, settings.host) == ("DEBUG", "127.0.0.1")


def test_a_named_toml_file_takes_the_place_of_the_one_found(empty_place: Path) -> None:
    (empty_place / "feedmux.toml").write_text("port = 1")
    other = empty_place / "other.toml"
    other.write_text("brand = 'acme'")
    settings = load(config=other)
    assert (settings.port, settings.brand) == (8000, "acme")


@pytest.mark.parametrize("text", ["on", "true", " True ", "1", "yes"])
def test_truth_has_many_spellings(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYBIT_TESTNET", text)
    assert load().bybit_testnet is True


def test_empty_values_of_the_environment_mean_not_set(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_place / ".env").write_text("REDIS_URL=\n")
    monkeypatch.setenv("PORT", "")
    assert load().model_fields_set == set()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ("*",)),
        (
            " https://App.example.com , b.example:3000,,null ",
            ("https://App.example.com", "b.example:3000", "null"),
        ),
    ],
)
def test_origins_of_web_pages_are_a_list(
    text: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_CORS_ORIGINS", text)
    assert load().api_cors_origins == origins


def test_all_problems_are_named_at_once_where_they_stand(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_place / "feedmux.toml").write_text('prot = 8000\nlog_level = "LOUD"\n')
    (empty_place / ".env").write_text("DEBUG=perhaps\nNOT_OURS=1\n")
    monkeypatch.setenv("PORT", "eighty")
    assert problems({"venues": ["kraken"], "drain-grase": "1"}) == [
        "--drain-grase is not a setting; did you mean --drain-grace?",
        "feedmux.toml: prot is not a setting; did you mean port?",
        "PORT: 'eighty' does not work; expected a whole number from 0 to 65535",
        ".env: DEBUG: 'perhaps' does not work; expected true or false",
        "--venue: ['kraken'] does not work; expected names out of bybit.linear, bybit.spot, "
        "bybit.inverse, deribit and alpaca, separated by commas",
        "feedmux.toml: log_level: 'LOUD' does not work; expected one of "
        "DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "65536", "a whole number from 0 to 65535"),
        ("drain_grace", "nan", "a number from 0 to 3600"),
        ("drain_grace", "-1", "a number from 0 to 3600"),
        ("bybit_category", "option", "one of linear, spot, inverse"),
        ("bybit_ws_url", "https://stream.bybit.com", "a URL that begins with ws:// or wss://"),
        ("bybit_ws_url", "ws://h:99999/linear", "a URL that begins with ws:// or wss://"),
        ("bybit_ws_url", "ws://", "a URL that begins with ws:// or wss://"),
        ("brand", "a brand", "1 to 32 of a-z, 0-9, _ and -"),
        ("log_json", "perhaps", "true, false or auto"),
        (
            "venues",
            "",
            "at least one market, or RABBITMQ_HOST beside it",
        ),
        ("deribit_ws_url", "https://www.deribit.com", "a URL that begins with ws:// or wss://"),
        ("api_cors_origins", "a.example, https://*.example.com", EXPECTED),
        ("dialect", "ranger", "one of op, rango"),
        ("deribit_request_rate", "3.4", "a number from 0.1 to 3.3"),
        ("deribit_reconnect_delay_max", "0.5", "a number not below DERIBIT_RECONNECT_DELAY_INITIAL"),
        ("alpaca_reconnect_delay_max", "0.5", "a number not below ALPACA_RECONNECT_DELAY_INITIAL"),
        ("alpaca_feed", "otc", "one of iex, sip, delayed_sip, test"),
        ("alpaca_ws_url", "https://alpaca.markets/{feed}", "a URL that begins with ws:// or wss://"),
        ("redis_compat", "rango", "one of off, mudrex"),
        ("bybit_reconnect_delay_max", "0.5", "a number not below BYBIT_RECONNECT_DELAY_INITIAL"),
    ],
)
def test_wrong_values_say_what_was_expected(name: str, value: str, expected: str) -> None:
    (problem,) = problems({name: value})
    assert problem.endswith(f": {value!r} does not work; expected {expected}")


def test_alpaca_is_not_served_by_nobody_and_no_part_of_a_key_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (problem,) = problems({"venues": "alpaca"})
    assert "APCA_API_KEY_ID" in problem
    assert problem.endswith("expected the id of an API key, because VENUES has alpaca")
    monkeypatch.setenv("APCA_API_KEY_ID", "AKSOMEBODY")
    (problem,) = problems({"venues": "alpaca"})
    assert problem.endswith("expected the secret of APCA_API_KEY_ID, because VENUES has alpaca")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "tö\np-secret")
    (problem,) = problems({"venues": "alpaca"})
    assert problem == "APCA_API_SECRET_KEY: *** does not work; expected a text of printable ASCII characters"
    monkeypatch.setenv("APCA_API_SECRET_KEY", "top-secret")
    settings = load({"venues": "alpaca"})
    assert settings.apca_api_secret_key.reveal() == "top-secret"
    assert "top-secret" not in repr(settings)
    assert "AKSOMEBODY" not in repr(settings)


def test_what_needs_redis_says_that_there_is_none() -> None:
    (problem,) = problems({"redis_compat": "mudrex"})
    assert "'mudrex' does not work; expected off, because REDIS_URL is not set" in problem


def test_delays_in_the_wrong_order_name_the_longest_even_if_it_is_the_default() -> None:
    (problem,) = problems({"bybit_reconnect_delay_initial": 90})
    assert problem.startswith("BYBIT_RECONNECT_DELAY_MAX: 60.0 does not work")


@pytest.mark.parametrize(
    ("given", "missing", "expected"),
    [
        ("tls_cert", "TLS_KEY", "the path of its private key, because TLS_CERT is set"),
        ("tls_key", "TLS_CERT", "the path of the certificate, because TLS_KEY is set"),
    ],
)
def test_a_certificate_without_its_key_and_a_key_without_it_name_what_is_missing(
    given: str, missing: str, expected: str
) -> None:
    assert problems({given: "/one.pem"}) == [f"{missing}: '' does not work; expected {expected}"]
    assert load({"tls_cert": "/one.pem", "tls_key": "/one.pem"}).tls_cert == "/one.pem"


def test_the_password_of_the_key_is_not_shown() -> None:
    settings = load({"tls_key_password": "open sesame"})
    assert "sesame" not in repr(settings)
    assert settings.tls_key_password.reveal() == "open sesame"


def test_a_name_like_no_setting_is_told_where_to_look(empty_place: Path) -> None:
    (empty_place / "feedmux.toml").write_text("xyzzy = 'secret'")
    assert problems() == [
        "feedmux.toml: xyzzy is not a setting; `feedmux config print` lists all of them",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "a readable file"), (b"port = ", "valid TOML"), (b"\xff", "valid TOML")],
)
def test_a_toml_file_that_cannot_be_read_is_one_problem(
    content: bytes | None, expected: str, empty_place: Path
) -> None:
    path = empty_place / "x.toml"
    if content is not None:
        path.write_bytes(content)
    (problem,) = problems(config=path)
    assert expected in problem


def test_an_env_file_that_is_no_text_is_one_problem(empty_place: Path) -> None:
    (empty_place / ".env").write_bytes(b"PORT=\xff\n")
    (problem,) = problems()
    assert problem.startswith(".env: '.env' does not work; expected a readable file")


def test_pairs_are_overrides_and_flags_are_stronger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    assert load(pairs={"PORT": "2", "drain-grace": "3"}).port == 2
    settings = load({"port": 4, "host": None}, pairs={"PORT": "2", "drain-grace": "3"})
    assert (settings.port, settings.drain_grace) == (4, 3.0)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("NOPE=1", "--set NOPE is not a setting; `feedmux config print` lists all of them"),
        ("Prot=1", "--set Prot is not a setting; did you mean port?"),
        ("drain-grase=1", "--set drain-grase is not a setting; did you mean drain_grace?"),
        ("PORT=eighty", "--set PORT: 'eighty' does not work; expected a whole number from 0 to 65535"),
        ("NODE_NAME=" + "n" * 51, f"--set NODE_NAME: {'n' * 51!r} does not work; "
         "expected a name of at most 50 characters"),
        ("=1", "--set: '=1' does not work; expected NAME=VALUE"),
        ("redis_ulr=redis://:hunter2@h", "--set redis_ulr is not a setting; did you mean redis_url?"),
        ("redis_url=hunter2", "--set redis_url: *** does not work; expected a URL that begins with "
         "redis://, rediss:// or unix://, e.g. redis://user:password@host:port/database"),
    ],
)  # fmt: skip
def test_a_wrong_pair_is_named_as_it_was_written(pair: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        load(pairs=parse_pairs([pair]))
    assert str(caught.value) == said


def test_pairs_are_read() -> None:
    assert parse_pairs(["PORT=1", "redis_url=redis://h?a=b"]) == {"PORT": "1", "redis_url": "redis://h?a=b"}
    with pytest.raises(InvalidConfiguration, match="--set: 'PORT' does not work; expected NAME=VALUE"):
        parse_pairs(["PORT"])


def test_no_error_and_no_repr_shows_a_secret(empty_place: Path) -> None:
    (empty_place / "feedmux.toml").write_text('redis_ulr = "redis://:hunter2@h"')
    texts = problems({"redis_url": "https://:hunter2@h"})
    assert texts == [
        "feedmux.toml: redis_ulr is not a setting; did you mean redis_url?",
        "--redis-url: *** does not work; expected a URL that begins with redis://, rediss:// or unix://, "
        "e.g. redis://user:password@host:port/database",
    ]
    settings = Settings(redis_url="redis://:hunter2@h")  # type: ignore[arg-type]
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert settings.redis_url.reveal() == "redis://:hunter2@h"


def test_an_env_file_of_the_mudrex_proxy_works_and_names_what_does_nothing(empty_place: Path) -> None:
    (empty_place / ".env").write_text(MUDREX_ENV)
    settings = load()
    assert settings.log_json is True
    assert settings.venues == ("bybit.linear",)
    names = [line.split(" was set and does nothing: ")[0] for line in notices(settings)]
    assert names == [
        "BYBIT_MAX_SYMBOLS_PER_CONNECTION",
    ]
    assert "hunter2" not in "".join(notices(settings))


def test_our_env_example_is_the_defaults_and_starts_without_a_word(empty_place: Path) -> None:
    (empty_place / ".env").write_text((ROOT / ".env.example").read_text())
    settings = load()
    assert settings == Settings()
    assert notices(settings) == ()


def test_our_env_example_has_every_name_of_the_mudrex_proxy(empty_place: Path) -> None:
    lines = [line.removeprefix("# ") for line in (ROOT / ".env.example").read_text().splitlines()]
    mudrex = [line.split("=")[0] for line in MUDREX_ENV.splitlines() if "=" in line]
    assert set(mudrex) <= {line.split("=")[0] for line in lines if "=" in line}
    (empty_place / ".env").write_text("\n".join(line for line in lines if line.split("=")[0].isupper()))
    idle = {line.split(" was set")[0] for line in notices(load())}
    assert idle == {
        "REDIS_RETRY_ON_TIMEOUT",
        "BYBIT_MAX_SYMBOLS_PER_CONNECTION",
    }  # fmt: skip


MAIN = "wss://stream.bybit.com/v5/public/"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bybit_testnet": True}, False),
        ({"bybit_category": "spot"}, False),
        ({"bybit_ws_url": MAIN + "linear"}, False),
        ({"bybit_ws_url": MAIN + "linear", "bybit_testnet": True}, True),
        ({"bybit_ws_url": MAIN + "spot"}, True),
        ({"bybit_ws_url": "ws://127.0.0.1:1/v5/public/spot"}, False),
    ],
)
def test_a_bybit_url_that_is_overruled_is_worth_one_line(given: dict[str, Any], says: bool) -> None:
    lines = notices(Settings(**given))
    assert len(lines) == says
    assert all(line.startswith("BYBIT_WS_URL=wss://stream.bybit.com/v5/public/") for line in lines)
