"""The certificate that the listener shows, and how it is replaced while clients are connected.

A reload makes a new context and puts it in the place of the old one only when the files have
turned out to be good: connections keep the context that they were made with, so nobody is
dropped, and files that are broken or half written change nothing.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from pathlib import Path
from typing import Final

import msgspec

from feedmux.model.errors import LocalError

log = logging.getLogger("feedmux.tls")

_ALPN: Final = ["http/1.1"]
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
_KEY: Final = "PRIVATE KEY-----"
_ENCRYPTED: Final = ("BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")


class InvalidCertificate(LocalError):
    """The listener cannot use a certificate or its key.

    Args:
        setting: which of the two files it is about.
        path: where it is.
        reason: what is wrong with it.
    """

    code = "INVALID_CERTIFICATE"

    def __init__(self, setting: str, path: str, reason: str) -> None:
        super().__init__(setting, path, reason)
        self.setting, self.path, self.reason = setting, path, reason

    def __str__(self) -> str:
        return f"{self.setting}: {self.path} cannot be used: {self.reason}"


class TlsFiles(msgspec.Struct, frozen=True):
    """Where the certificate and its key are.

    Args:
        cert: PEM file of the certificate, then of those that lead to its authority.
        key: PEM file of its private key.
        password: of the key, if it is encrypted; never shown.
    """

    cert: str
    key: str
    password: str = ""

    def __repr__(self) -> str:
        return f"TlsFiles(cert={self.cert!r}, key={self.key!r}, password={'***' if self.password else ''!r})"


class Tls:
    """What new connections are secured with.

    Args:
        files: read now, and again with every :meth:`reload`. Blocks on small files.

    Raises:
        InvalidCertificate: they cannot be used.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.context, self.fingerprint = _load(files)
        self.failed = 0
        """Handshakes that were begun and came to nothing."""

    def reload(self) -> bool:
        """Read the files again, for connections that are accepted from now on; log the outcome.

        Returns:
            False when they cannot be used: then the certificate stays the one it was.
        """
        try:
            self.context, self.fingerprint = _load(self._files)
        except InvalidCertificate as error:
            log.error("The TLS certificate stays the old one: %s", error)  # noqa: TRY400 - one line says it
            return False
        log.info("The TLS certificate was loaded again: SHA-256 %s", self.fingerprint)
        return True


def _load(files: TlsFiles) -> tuple[ssl.SSLContext, str]:
    """Read both files into a context of their own, and name the certificate."""
    cert, key = _read("TLS_CERT", files.cert), _read("TLS_KEY", files.key)
    if _BEGIN not in cert:
        raise InvalidCertificate("TLS_CERT", files.cert, "it holds no certificate in PEM format")
    if _KEY not in key:
        raise InvalidCertificate("TLS_KEY", files.key, "it holds no private key in PEM format")
    # Python's own defaults of ciphers and options; TLS 1.2 is said here, whatever OpenSSL is set to.
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a write never has to wait for the peer
    context.set_alpn_protocols(_ALPN)
    try:
        # A password that is not asked for does no harm; without one OpenSSL would ask the terminal.
        context.load_cert_chain(files.cert, files.key, lambda: files.password)
        return context, _fingerprint(cert)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _explained(files, key, error) from None


def _read(setting: str, path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError as error:
        raise InvalidCertificate(setting, path, error.strerror or str(error)) from None


def _explained(files: TlsFiles, key: str, error: Exception) -> InvalidCertificate:
    """Say which of the two files it is; OpenSSL's own words often name neither."""
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return InvalidCertificate("TLS_KEY", files.key, "it does not belong to the certificate in TLS_CERT")
    if any(mark in key for mark in _ENCRYPTED):
        wanted = "is not the right one" if files.password else "is not set"
        return InvalidCertificate("TLS_KEY", files.key, f"it is encrypted, and TLS_KEY_PASSWORD {wanted}")
    if not _is_chain(files.cert):
        return InvalidCertificate("TLS_CERT", files.cert, "its certificate is damaged")
    said = reason.lower().replace("_", " ") or "its private key is damaged"
    return InvalidCertificate("TLS_KEY", files.key, said)


def _is_chain(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):
        return False
    return True


def _fingerprint(cert: str) -> str:
    """The SHA-256 of the first certificate, as browsers and ``openssl x509 -fingerprint`` show it."""
    first = _BEGIN + cert.partition(_BEGIN)[2].partition(_END)[0] + _END
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).digest().hex(":").upper()
