from __future__ import annotations

import stat
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from feedmux.app.minting import Algorithm, CannotStoreKey, barong_claims, load, new_key, store
from feedmux.app.settings import Settings
from feedmux.app.wiring import authenticator
from feedmux.model.access import Identity
from feedmux.model.access_errors import InvalidKey

FAR = 99_999_999_999


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_new_key_signs_tokens_that_a_gateway_takes(algorithm: Algorithm, tmp_path: Path) -> None:
    key = new_key(algorithm)
    public = store(key, tmp_path / "key")
    again = load(tmp_path / "key")
    assert again.algorithm == algorithm
    for given in ({"jwt_public_key": key.setting}, {"jwt_public_key_file": str(public)}):
        by = authenticator(Settings.model_validate(given))
        for one in (key, again):
            assert by.identify(one.sign({"uid": "ID1", "exp": FAR}, "x")) == Identity("ID1", "", FAR)


def test_a_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    public = store(new_key(Algorithm.EDDSA), tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert public == tmp_path / "key.pub"
    assert "PRIVATE" not in public.read_text()


@pytest.mark.parametrize("taken", ["key", "key.pub"])
def test_no_key_is_overwritten_and_none_is_left_half(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(CannotStoreKey, match=f"{taken} is not written: it is there already"):
        store(new_key(Algorithm.EDDSA), tmp_path / "key")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "mine")]


def test_a_link_is_not_followed_to_what_it_points_at(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStoreKey):
        store(new_key(Algorithm.EDDSA), tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStoreKey, match="No such file or directory"):
        store(new_key(Algorithm.EDDSA), tmp_path / "none" / "key")


def test_the_private_key_of_barongs_tools_is_read(tmp_path: Path) -> None:
    key = new_key(Algorithm.EDDSA)
    seed = key.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    text = f"-----BEGIN PRIVATE KEY-----\n{b64encode(seed).decode()}\n-----END PRIVATE KEY-----\n"
    (tmp_path / "key").write_text(text)
    assert load(tmp_path / "key").public_pem == key.public_pem


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey, password: str = ""
) -> bytes:
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hunter2", "it holds no private key in PEM format"),
        (b"\xff", "it holds no private key in PEM format"),
        (new_key(Algorithm.EDDSA).public_pem, "it holds no private key in PEM format"),
        (pem(rsa.generate_private_key(65537, 1024)), "expected a key of Ed25519, RSA (at least 2048"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "expected a key of"),
        (pem(ed448.Ed448PrivateKey.generate()), "expected a key of"),
        (pem(ec.generate_private_key(ec.SECP256R1()), "sesame"), "it is encrypted"),
    ],
    ids=range(7),
)  # fmt: skip
def test_what_does_not_sign_tokens_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InvalidKey) as failed:
        load(tmp_path / "key")
    assert str(failed.value).startswith(f"--key: {tmp_path}/key cannot be used: {reason}")


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidKey, match="No such file or directory"):
        load(tmp_path / "key")


def test_the_claims_are_those_of_barong() -> None:
    assert barong_claims("ID1", "admin", now=100, expires_in=-10) == {
        "iat": 100, "exp": 90, "sub": "session", "iss": "barong", "aud": ["peatio", "barong"], "jti": "100",
        "uid": "ID1", "email": "id1@barong.io", "role": "admin", "level": 3, "state": "active",
        "referral_id": 1,
    }  # fmt: skip
    assert "role" not in barong_claims("ID1", "", now=100, expires_in=1)
