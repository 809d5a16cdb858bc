from __future__ import annotations

from pathlib import Path

import pytest

from feedmux.app.config import InvalidConfiguration, load
from feedmux.app.config_text import as_env, as_toml, shown
from feedmux.app.settings import Settings
from feedmux.app.urls import is_url


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)


def problem(**given: str) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        load(pairs=given)
    return str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "",
        "keys.json",
        "/etc/feedmux/keys.json",
        "https://id.example/jwks",
        "https://id.example:8443/jwks?a=b",
        "http://127.0.0.1:9000/jwks",
        "http://localhost/jwks",
        "http://[::1]/jwks",
    ],
)
def test_keys_come_from_a_file_or_from_where_nobody_is_between(place: str) -> None:
    assert load(pairs={"jwt_jwks": place}).jwt_jwks == place
    assert is_url(place) == place.startswith("http")


@pytest.mark.parametrize(
    "place",
    [
        "http://id.example/jwks",
        "http://127.0.0.1.id.example/jwks",
        "http://localhost.example/",
        "http://10.0.0.1/jwks",
        "https://",
        "https:///jwks",
        "https://id.example:99999/jwks",
        "ftp://id.example/jwks",
        "file:///etc/keys.json",
    ],
)
def test_keys_do_not_come_from_where_somebody_may_be_between(place: str) -> None:
    assert problem(jwt_jwks=place) == (
        f"--set jwt_jwks: {place!r} does not work; expected a path, or a URL without a user that begins "
        "with https:// (http:// only to this machine)"
    )


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    said = problem(jwt_jwks="https://bob:hunter2@id.example/jwks")
    assert "'https://***@id.example/jwks' does not work" in said
    assert "hunter2" not in problem(bybit_ws_url="http://bob:hunter2@id.example")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"jwt_public_key": "hunter2", "jwt_public_key_file": "/x"}, "jwt_public_key_file"),
        ({"jwt_public_key": "hunter2", "jwt_jwks": "/x"}, "jwt_jwks"),
        ({"jwt_public_key_file": "/y", "jwt_jwks": "/x"}, "jwt_jwks"),
    ],
)
def test_keys_have_one_source(given: dict[str, str], named: str) -> None:
    assert problem(**given) == (
        f"--set {named}: '/x' does not work; expected nothing, because another of JWT_PUBLIC_KEY, "
        "JWT_PUBLIC_KEY_FILE and JWT_JWKS is set"
    )


def test_a_key_is_never_printed() -> None:
    settings = Settings(jwt_public_key="hunter2")  # type: ignore[arg-type]
    printed = [repr(settings), as_toml(settings), as_env(settings), shown("jwt_public_key", settings)]
    assert "hunter2" not in "".join(printed)
