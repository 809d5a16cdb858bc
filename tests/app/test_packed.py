from __future__ import annotations

import json
import subprocess
import sys

import pytest

from feedmux.app.packed import pack, unpack
from feedmux.app.secret import Secret
from feedmux.app.settings import Settings, fields
from support.running import environment

HIDDEN = "xyz" + "zy"


def test_what_is_unpacked_has_every_setting_as_it_was() -> None:
    given = Settings(
        venues=("bybit.spot", "deribit"),
        tls_cert="c",
        tls_key="k",
        tls_key_password=Secret(HIDDEN),
        port=0,
        rango_rbac={"secret": ("admin", "operator")},
    )
    found = unpack(json.loads(json.dumps(pack(given))))
    for name in fields():
        assert getattr(found, name) == getattr(given, name), name
        assert type(getattr(found, name)) is type(getattr(given, name)), name
    assert found.tls_key_password == Secret(HIDDEN)
    assert HIDDEN not in repr(found)


def test_what_is_unpacked_is_frozen() -> None:
    with pytest.raises(AttributeError):
        unpack(pack(Settings())).port = 1


def test_a_child_loads_nothing_that_it_does_not_need_to_serve() -> None:
    """Whoever waits for a worker's successor waits for all that it loads."""
    code = "import sys, feedmux.app.child; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment()
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "picows",
        "pydantic",
        "pydantic_settings",
        "typer",
        "rich",
        "structlog",
        "prometheus_client",
    }
