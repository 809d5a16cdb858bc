"""Certificates that are made for a test, and a client that checks them and sends every byte itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import trustme

from feedmux.edge.tls import TlsFiles
from support.frames import Frame
from support.raw import DEADLINE, UPGRADE, Raw

HOST = "127.0.0.1"


class Authority:
    """Issues certificates for 127.0.0.1 into files of a folder; its own is in ``ca.pem``."""

    def __init__(self, folder: Path, *, cert: str = "cert.pem", key: str = "key.pem") -> None:
        self._ca = trustme.CA()
        self.files = TlsFiles(str(folder / cert), str(folder / key))
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)
        self.shown = self.renew()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a listener that shows the certificate."""
        return {"TLS_CERT": self.files.cert, "TLS_KEY": self.files.key}

    def renew(self) -> bytes:
        """Put a new certificate in the place of the old one; its DER form."""
        issued = self._ca.issue_cert(HOST)
        issued.private_key_pem.write_to_path(self.files.key)
        chain = [pem.bytes() for pem in issued.cert_chain_pems]
        Path(self.files.cert).write_bytes(b"".join(chain))
        self.shown = ssl.PEM_cert_to_DER_cert(chain[0].decode())
        return self.shown

    def damage(self) -> None:
        """Leave only the beginning of the certificate."""
        Path(self.files.cert).write_bytes(Path(self.files.cert).read_bytes()[:200])

    def trusting(self) -> ssl.SSLContext:
        """What a client checks the certificate with."""
        return ssl.create_default_context(cadata=self._ca.cert_pem.bytes().decode())


class ServerCertificates:
    """The certificates that a server in the test's own process may show, good ones and bad ones.

    What :meth:`show` names counts from the next handshake on.
    """

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.good = self._ca.issue_cert(HOST)
        self.expired = self._ca.issue_cert(HOST, not_after=datetime.now(UTC) - timedelta(hours=1))
        self.of_another_name = self._ca.issue_cert("another.example")
        self.of_nobody = trustme.CA().issue_cert(HOST)
        self.self_signed = _self_signed()
        self.show(self.good)

    def show(self, certificate: trustme.LeafCert) -> None:
        """Show this one from now on."""
        certificate.configure_cert(self.context)

    def trusting(self) -> ssl.SSLContext:
        """What a client checks the certificate with."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context


def _self_signed() -> trustme.LeafCert:
    """A certificate that nobody but itself vouches for."""
    ca = trustme.CA()
    return trustme.LeafCert(ca.private_key_pem.bytes(), ca.cert_pem.bytes(), [])


class SecureRaw(Raw):
    """A :class:`Raw` over TLS; ``send`` and ``read`` are plaintext, ``sock`` is what is below it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.cipher: ssl.SSLObject

    @classmethod
    async def secured(cls, port: int, context: ssl.SSLContext, *, receive_buffer: int = 0) -> Self:
        """Connect and shake hands."""
        raw = await cls.connect(port, receive_buffer=receive_buffer)
        raw.cipher = context.wrap_bio(raw._incoming, raw._outgoing, server_hostname=HOST)
        try:
            await raw._shake()
        except (OSError, EOFError):
            raw.close()
            raise
        return raw

    @classmethod
    async def websocket(cls, port: int, context: ssl.SSLContext, *, receive_buffer: int = 0) -> Self:
        """Connect, shake hands and become a WebSocket."""
        raw = await cls.secured(port, context, receive_buffer=receive_buffer)
        await raw.send(UPGRADE)
        head = await raw.upgrade_answer()
        assert head.startswith(b"HTTP/1.1 101 "), head
        return raw

    @property
    def certificate(self) -> bytes | None:
        """What the server showed, in DER form."""
        return self.cipher.getpeercert(binary_form=True)

    async def send(self, data: bytes) -> None:
        self.cipher.write(data)
        await self.send_below(self._outgoing.read())

    async def send_below(self, data: bytes) -> None:
        """Send bytes past TLS."""
        await super().send(data)

    async def read(self, size: int = 65536) -> bytes:
        """Read something; nothing means that the server has ended, with or without a close notify."""
        while True:
            try:
                return self.cipher.read(size)
            except ssl.SSLWantReadError:
                data = await super().read(size)
            except ssl.SSLError:
                return b""
            if not data:
                return b""
            self._incoming.write(data)

    async def ends_well(self) -> bool:
        """Whether the server says that nothing follows before it ends; what comes until then is dropped."""
        while True:
            try:
                if not self.cipher.read(65536):
                    return True
            except ssl.SSLZeroReturnError:
                return True
            except ssl.SSLWantReadError:
                data = await super().read()
                if not data:
                    return False
                self._incoming.write(data)

    def read_nowait(self, size: int = 65536) -> list[Frame]:
        with contextlib.suppress(BlockingIOError):
            self._incoming.write(self._sock.recv(size))
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.cipher.read(65536):
                self._frames += self._reader.feed(data)
        frames = list(self._frames)
        self._frames.clear()
        return frames

    async def say_goodbye(self) -> None:
        """Send close notify."""
        with contextlib.suppress(ssl.SSLError):
            self.cipher.unwrap()
        await self.send_below(self._outgoing.read())

    async def _shake(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    self.cipher.do_handshake()
                except ssl.SSLWantReadError:
                    await self.send_below(self._outgoing.read())
                    data = await super().read()
                    if not data:
                        raise EOFError("the server ended during the handshake") from None
                    self._incoming.write(data)
                else:
                    await self.send_below(self._outgoing.read())
                    return
