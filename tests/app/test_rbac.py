from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from feedmux.app import rbac
from feedmux.app.config import InvalidConfiguration, load, origin, parse_pairs, read_layers
from feedmux.app.config_text import as_env, as_toml, shown
from feedmux.app.packed import pack, unpack
from feedmux.app.settings import Settings
from feedmux.core.access import Access
from feedmux.model.access import Identity


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(**sources: Any) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(**sources)
    return str(caught.value).splitlines()


def test_without_any_setting_no_prefix_is_open() -> None:
    assert load().rango_rbac == {}
    assert "rango_rbac" not in load().model_fields_set


@pytest.mark.parametrize("name", ["RANGO_RBAC_ADMIN", "rango_rbac_admin", "Rango_Rbac_Admin"])
@pytest.mark.parametrize("source", ["environment", ".env", "toml", "set", "flag"])
def test_every_source_opens_a_prefix_with_the_same_name(
    source: str, name: str, empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "admin, superadmin,,admin "
    flags, pairs = {}, {}
    match source:
        case "environment":
            monkeypatch.setenv(name, value)
        case ".env":
            (empty_place / ".env").write_text(f"{name}={value}\nOTHERS=1\n")
        case "toml":
            (empty_place / "feedmux.toml").write_text(f'{name} = "{value}"')
        case "set":
            pairs = parse_pairs([f"{name}={value}"])
        case _:
            flags = {name.replace("_", "-"): value}
    settings = load(flags, pairs=pairs)
    assert settings.rango_rbac == {"admin": ("admin", "superadmin")}
    assert settings.model_fields_set == {"rango_rbac"}
    assert Access.of(settings.rango_rbac).may_read(Identity("ID1", "superadmin"), "role=admin")


def test_sources_add_up_and_of_a_prefix_the_strongest_decides(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_place / "feedmux.toml").write_text(
        'rango_rbac_a = ["t1", "t2"]\nrango_rbac_b = "t"\nrango_rbac_c = "t"'
    )
    (empty_place / ".env").write_text("RANGO_RBAC_B=d\nRANGO_RBAC_C=d\nRANGO_RBAC_D=\n")
    monkeypatch.setenv("RANGO_RBAC_C", "e")
    monkeypatch.setenv("RANGO_RBAC_D", "")
    assert load().rango_rbac == {"a": ("t1", "t2"), "b": ("d",), "c": ("e",)}
    layer = origin(read_layers(), "rango_rbac")
    assert layer is not None and layer.origin == "environment"


def test_a_table_and_names_of_their_own_add_up_in_a_toml_file(empty_place: Path) -> None:
    (empty_place / "feedmux.toml").write_text('rango_rbac_a = "x"\n[rango_rbac]\nb = ["y"]\n')
    assert load().rango_rbac == {"a": ("x",), "b": ("y",)}


@pytest.mark.parametrize("name", ["RANGO_RBAC_BACK-OFFICE", "rango-rbac-back-office"])
def test_a_hyphen_in_a_prefix_stays_one(name: str) -> None:
    assert load(pairs={name: "x"}).rango_rbac == {"back-office": ("x",)}


def test_what_is_wrong_is_named_where_it_stands(empty_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_place / "feedmux.toml").write_text(
        'rango_rbac_a = ""\nrango_rbac_b = 7\nrango_rbac_c = ["x", 7]\n'
        '"rango_rbac_x.y" = "z"\nrango_rbac_fine = "f"'
    )
    monkeypatch.setenv("RANGO_RBAC_A.B", "x")
    monkeypatch.setenv("RANGO_RBAC_", "x")
    prefix = (
        "a prefix of 1 to 64 of a-z, 0-9, _ and - at the end of the name, none of public, global, private"
    )
    roles = "names of roles, separated by commas"
    assert set(problems(pairs={"RANGO_RBAC_Public": "x"})) == {
        f"feedmux.toml: rango_rbac_a: '' does not work; expected {roles}",
        f"feedmux.toml: rango_rbac_b: 7 does not work; expected {roles}",
        f"feedmux.toml: rango_rbac_c: ['x', 7] does not work; expected {roles}",
        f"feedmux.toml: rango_rbac_x.y: 'x.y' does not work; expected {prefix}",
        f"RANGO_RBAC_A.B: 'a.b' does not work; expected {prefix}",
        f"RANGO_RBAC_: '' does not work; expected {prefix}",
        f"--set RANGO_RBAC_Public: 'public' does not work; expected {prefix}",
    }


@pytest.mark.parametrize("value", ["admin=admin", 7, []])
def test_the_name_without_a_prefix_is_none(value: Any) -> None:
    assert problems(flags={"rango_rbac": value}) == [
        f"--rango-rbac: {value!r} does not work; expected names like RANGO_RBAC_<PREFIX>"
    ]


def test_the_roles_can_be_read_again_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANGO_RBAC_ADMIN", "x")
    assert rbac.read(read_layers()) == ({"admin": ("x",)}, [])
    monkeypatch.setenv("RANGO_RBAC_ADMIN", "x,y")
    monkeypatch.setenv("RANGO_RBAC_PUBLIC", "x")
    roles, wrong = rbac.read(read_layers())
    assert roles == {"admin": ("x", "y")}
    assert len(wrong) == 1


def test_files_that_are_printed_give_the_same_roles_back(tmp_path: Path) -> None:
    settings = load(pairs={"rango_rbac_admin": "a,b", "rango_rbac_back-office": "c"})
    assert shown("rango_rbac", settings) == "admin=a,b; back-office=c"
    assert "\nRANGO_RBAC_ADMIN=a,b\n" in as_env(settings)
    (tmp_path / "x.toml").write_text(as_toml(settings))
    assert load(config=tmp_path / "x.toml") == settings
    (tmp_path / ".env").write_text(as_env(settings))
    assert load() == settings
    assert "\n# RANGO_RBAC_<PREFIX>=\n" in as_env(Settings())
    assert tomllib.loads(as_toml(Settings())) == {}


def test_roles_travel_to_other_processes() -> None:
    settings = load(pairs={"rango_rbac_admin": "a,b"})
    assert unpack(pack(settings)).rango_rbac == settings.rango_rbac
