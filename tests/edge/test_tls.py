from __future__ import annotations

import hashlib
import logging
import ssl
from pathlib import Path

import msgspec
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from feedmux.edge.tls import InvalidCertificate, Tls, TlsFiles
from support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def problem(files: TlsFiles) -> str:
    with pytest.raises(InvalidCertificate) as failed:
        Tls(files)
    return str(failed.value)


def encrypt(path: str, password: bytes) -> None:
    key = load_pem_private_key(Path(path).read_bytes(), None)
    Path(path).write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    )


def test_a_context_takes_tls_1_2_and_newer_and_names_the_certificate(authority: Authority) -> None:
    tls = Tls(authority.files)
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.context.options & ssl.OP_NO_RENEGOTIATION
    assert tls.fingerprint.replace(":", "").lower() == hashlib.sha256(authority.shown).hexdigest()


@pytest.mark.parametrize("setting", ["TLS_CERT", "TLS_KEY"])
def test_a_file_that_is_not_there_or_cannot_be_read_is_named(authority: Authority, setting: str) -> None:
    field = setting.removeprefix("TLS_").lower()
    folder = str(Path(authority.files.cert).parent)
    for path, reason in (("/none/such.pem", "No such file or directory"), (folder, "Is a directory")):
        assert problem(msgspec.structs.replace(authority.files, **{field: path})) == (
            f"{setting}: {path} cannot be used: {reason}"
        )


def test_files_that_hold_something_else_are_named(authority: Authority) -> None:
    cert, key = authority.files.cert, authority.files.key
    assert problem(TlsFiles(key, key)) == (
        f"TLS_CERT: {key} cannot be used: it holds no certificate in PEM format"
    )
    assert problem(TlsFiles(cert, cert)) == (
        f"TLS_KEY: {cert} cannot be used: it holds no private key in PEM format"
    )


def test_a_key_of_another_certificate_is_said_so(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(other)
    assert problem(TlsFiles(authority.files.cert, str(other))) == (
        f"TLS_KEY: {other} cannot be used: it does not belong to the certificate in TLS_CERT"
    )


def test_a_damaged_file_is_named(authority: Authority) -> None:
    whole_key, whole_cert = Path(authority.files.key).read_bytes(), Path(authority.files.cert).read_bytes()
    Path(authority.files.key).write_bytes(whole_key[: len(whole_key) // 2])
    assert problem(authority.files).startswith(f"TLS_KEY: {authority.files.key} cannot be used: ")
    Path(authority.files.key).write_bytes(whole_key)
    Path(authority.files.cert).write_bytes(whole_cert[: len(whole_cert) // 2])
    assert problem(authority.files) == (
        f"TLS_CERT: {authority.files.cert} cannot be used: its certificate is damaged"
    )


def test_an_encrypted_key_is_read_with_its_password_and_never_asked_for(authority: Authority) -> None:
    encrypt(authority.files.key, b"open sesame")
    assert "it is encrypted, and TLS_KEY_PASSWORD is not set" in problem(authority.files)
    wrong = msgspec.structs.replace(authority.files, password="close sesame")
    assert "it is encrypted, and TLS_KEY_PASSWORD is not the right one" in problem(wrong)
    assert "sesame" not in problem(wrong) + repr(wrong)
    Tls(msgspec.structs.replace(authority.files, password="open sesame"))


def test_both_may_stand_in_one_file(authority: Authority) -> None:
    both = Path(authority.files.cert)
    both.write_bytes(Path(authority.files.key).read_bytes() + both.read_bytes())
    assert Tls(TlsFiles(str(both), str(both))).fingerprint == Tls(authority.files).fingerprint


def test_a_reload_takes_the_new_certificate_and_says_so(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tls = Tls(authority.files)
    context, fingerprint = tls.context, tls.fingerprint
    authority.renew()
    assert tls.reload()
    assert tls.context is not context
    assert tls.fingerprint != fingerprint
    assert caplog.messages == [f"The TLS certificate was loaded again: SHA-256 {tls.fingerprint}"]


def test_a_broken_reload_keeps_what_there_was_and_says_so_in_one_line(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    tls = Tls(authority.files)
    context, fingerprint = tls.context, tls.fingerprint
    key = Path(authority.files.key).read_bytes()
    authority.renew()
    Path(authority.files.key).write_bytes(key)
    assert not tls.reload()
    assert (tls.context, tls.fingerprint) == (context, fingerprint)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is None
    assert record.getMessage() == (
        "The TLS certificate stays the old one: "
        f"TLS_KEY: {authority.files.key} cannot be used: it does not belong to the certificate in TLS_CERT"
    )
