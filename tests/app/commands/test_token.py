from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from feedmux.app.minting import Algorithm, barong_claims, new_key, store
from support.key_server import key_server
from support.tokens import Signer, ed25519, jwks, part

pytestmark = pytest.mark.e2e

SOURCE = Path(__file__).parents[3] / "src"
Result = subprocess.CompletedProcess[str]


def token(*args: str, cwd: Path, stdin: str = "") -> Result:
    """Run ``feedmux token``."""
    return subprocess.run(
        [sys.executable, "-m", "feedmux", "token", *args],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def signed(cwd: Path, **claims: Any) -> str:
    """A token of a new key, which is written to ``key``; None leaves a claim out."""
    key = new_key(Algorithm.EDDSA)
    store(key, cwd / "key")
    usual = barong_claims("IDABC0000001", "member", now=int(time.time()), expires_in=3600)
    return key.sign({name: value for name, value in (usual | claims).items() if value is not None})


def members(text: str, place: int) -> Any:
    """What stands in one part of a token."""
    piece = text.strip().split(".")[place]
    return json.loads(urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))


def inspected(cwd: Path, text: str, *args: str) -> Result:
    """What is shown of a token by somebody who has its public key; its signature never is."""
    result = token("inspect", *args, "--set", "jwt_public_key_file=key.pub", cwd=cwd, stdin=text)
    signature = text.strip().rpartition(".")[2]
    assert len(signature) < 8 or signature not in result.stdout + result.stderr
    return result


def test_a_token_that_was_made_is_taken_by_a_gateway_with_the_setting_that_was_shown(tmp_path: Path) -> None:
    made = token("mint", "--new-key", "key", "--uid", "ID7", "--role", "ops", cwd=tmp_path)
    first, setting = made.stderr.splitlines()
    assert first == "The private key is in key, the public one in key.pub. For a gateway:"
    assert made.stdout.count("\n") == 1
    roles = ["--set", "rango_rbac_admin=ops", "--set", "rango_rbac_sys=root"]
    shown = token("inspect", "--set", setting, *roles, cwd=tmp_path, stdin=made.stdout)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert '  alg  "EdDSA"\n' in shown.stdout
    assert '\n  uid          "ID7"\n' in shown.stdout
    assert "\nsignature 64 bytes, not shown\n" in shown.stdout
    verdict = shown.stdout.partition("\naccepted\n")[2].splitlines()
    assert verdict[0].strip() == 'uid "ID7", role "ops"'
    assert verdict[1].strip() == "reads what is public, its own streams, and of the prefixes: admin"
    assert verdict[2].strip().startswith("until 20") and verdict[2].endswith(("in 60 min", "in 59 min"))


@pytest.mark.parametrize(("algorithm", "size"), [("EdDSA", 64), ("RS256", 256), ("es256", 64)])
def test_keys_of_every_algorithm_are_made_and_used_again(algorithm: str, size: int, tmp_path: Path) -> None:
    one = token("mint", "--new-key", "key", "--alg", algorithm, cwd=tmp_path).stdout
    other = token("mint", "--key", "key", "--kid", "x", cwd=tmp_path).stdout
    assert members(one, 0)["alg"].lower() == algorithm.lower()
    assert members(other, 0)["kid"] == "x"
    shown = inspected(tmp_path, other)
    assert shown.returncode == 0, shown.stdout
    assert f"signature {size} bytes, not shown" in shown.stdout


def test_claims_can_be_set_and_taken_out(tmp_path: Path) -> None:
    more = ["level=4", "state=banned", 'aud="one"', "exp=null", "email=null"]
    words = [word for claim in more for word in ("--claim", claim)]
    text = token("mint", "--new-key", "key", "--role", "", *words, cwd=tmp_path).stdout
    claims = members(text, 1)
    assert (claims["level"], claims["state"], claims["aud"]) == (4, "banned", "one")
    assert not {"exp", "email", "role"} & set(claims)
    shown = inspected(tmp_path, text)
    assert "no role" in shown.stdout
    assert shown.stdout.endswith("until the connection ends\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            (),
            "--key: '' does not work; expected the file of a private key, or --new-key to make one; not both",
        ),
        (("--key", "a", "--new-key", "b"), "--key: 'a' does not work; expected the file of a private key"),
        (("--key", "none"), "--key: none cannot be used: No such file or directory"),
        (
            ("--key", "key", "--alg", "RS256"),
            "--alg: 'RS256' does not work; expected EdDSA, for which key is",
        ),
        (("--key", "key", "--claim", "level"), "--claim: 'level' does not work; expected NAME=JSON"),
        (("--new-key", "key"), "key is not written: it is there already, and no key is ever overwritten"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(args: tuple[str, ...], said: str, tmp_path: Path) -> None:
    signed(tmp_path)
    before = (tmp_path / "key").read_text()
    result = token("mint", *args, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"feedmux: {said}")
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "key").read_text() == before


@pytest.mark.parametrize(
    ("claims", "settings", "code", "reason"),
    [
        ({"exp": int(time.time()) - 7200}, [], "TOKEN_EXPIRED", "it expired 2 h ago"),
        ({"uid": None}, [], "TOKEN_NO_UID", "it does not say whose it is (uid)"),
        (
            {},
            ["--set", "jwt_issuer=me"],
            "TOKEN_WRONG_ISSUER",
            "it was not made by whom this gateway trusts (iss)",
        ),
    ],
    ids=["expired", "no uid", "another issuer"],
)
def test_a_refusal_is_shown_as_a_client_gets_it(
    claims: dict[str, Any], settings: list[str], code: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("Bearer " + signed(tmp_path, **claims))
    result = token("inspect", "token", *settings, "--set", "jwt_public_key_file=key.pub", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.endswith(f"\nrefused  {code}\n         {reason}\n")


def test_without_any_key_the_settings_are_named(tmp_path: Path) -> None:
    result = token("inspect", cwd=tmp_path, stdin=signed(tmp_path))
    assert result.returncode == 1
    assert "TOKEN_NO_KEYS" in result.stdout
    assert result.stdout.endswith("set JWT_PUBLIC_KEY, JWT_PUBLIC_KEY_FILE or JWT_JWKS\n")


DEEP = b"[" * 3000
STRANGE = Signer(ed25519().key, "EdDSA").token(
    {"uid": "\x1b[2J\u202e[bold]", "exp": 1e300, "iat": "x", "nbf": True, "\x07": [1]},
    header={"x5u": "\x1b]0;"},
)


@pytest.mark.parametrize(
    "text",
    ["", "hunter2", "....", f"{part([1])}.{part(7)}.x", f"{part({})}.{part(DEEP)}.x", STRANGE, "\x1b[2J"],
    ids=range(7),
)
def test_whatever_is_no_token_is_refused_and_a_terminal_is_safe(text: str, tmp_path: Path) -> None:
    signed(tmp_path)
    result = inspected(tmp_path, text)
    assert (result.returncode, result.stderr) == (1, "")
    assert "refused  TOKEN_" in result.stdout
    assert result.stdout.replace("\n", "").isascii() and result.stdout.replace("\n", "").isprintable()


def test_a_token_in_the_command_line_is_not_repeated(tmp_path: Path) -> None:
    text = signed(tmp_path)
    result = token("inspect", text, cwd=tmp_path)
    assert result.returncode == 2
    assert "what stands in a command line can be seen by others" in result.stderr
    assert not any(piece in result.stderr for piece in text.split("."))
    assert (
        "'none' does not work; expected a file (No such file" in token("inspect", "none", cwd=tmp_path).stderr
    )


async def test_keys_at_a_url_are_asked_for(tmp_path: Path) -> None:
    signer = ed25519("one")
    content = {"uid": "ID1"}
    async with key_server() as server:
        server.give(jwks(signer))
        args = ("inspect", "--set", f"jwt_jwks=http://127.0.0.1:{server.port}/keys")
        result = await asyncio.to_thread(token, *args, cwd=tmp_path, stdin=signer.token(content))
        assert result.returncode == 0, result.stdout + result.stderr
        server.give("", status="500 Oops")
        result = await asyncio.to_thread(token, *args, cwd=tmp_path, stdin=signer.token(content))
        assert result.returncode == 1
        said = f"http://127.0.0.1:{server.port}/keys does not give keys: it answers 500, no keys"
        assert result.stderr == f"feedmux: {said}\n"


def test_a_terminal_gets_colours_and_is_asked_for_what_is_missing(tmp_path: Path) -> None:
    text = signed(tmp_path) + "\n"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "feedmux", "token", "inspect", "--set", "jwt_public_key_file=key.pub"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    os.write(master, text.encode() + b"\x04")
    _, err = process.communicate(timeout=30)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert (process.returncode, err) == (0, b"Paste a token, then press Enter and Ctrl-D.\n")
    assert "\x1b[1;32maccepted\x1b[0m" in shown


def test_settings_that_cannot_work_end_every_command_that_reads_them(tmp_path: Path) -> None:
    for command in (["token", "inspect"], ["config", "check"], ["serve", "--port", "0"]):
        result = subprocess.run(
            [sys.executable, "-m", "feedmux", *command, "--set", "jwt_public_key=hunter2"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            input="",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == (
            "feedmux: JWT_PUBLIC_KEY cannot be used: it holds no PEM, nor base64 of one; "
            "expected a public key of Ed25519, RSA or P-256\n"
        )
