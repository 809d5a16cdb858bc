"""The scene of Rango's dialect with clients of the ``/ws`` protocol: the same exchange, tokens and roles."""

from __future__ import annotations

from typing import Any, Final

from feedmux.edge.session import Session, Surroundings
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.wire.notice import Notices
from feedmux.wire.place import Places
from feedmux.wire.stream import StreamFormat
from support.places import LINEAR
from support.rango import Client, Scene
from support.raw import request

PLACES: Final = Places("acme", [LINEAR], has_broker=True)


class WsClient(Client):
    """A connection without a socket, and what was sent through it."""

    def ask(self, op: str, *args: object, **more: object) -> list[Any]:
        """Send a request; what comes of it at once."""
        return self.say({"op": op, "args": args, **more})

    def subscribe(self, *streams: object, **options: object) -> list[Any]:
        return self.ask("subscribe", *streams, **({"options": options} if options else {}))

    def unsubscribe(self, *streams: object) -> list[Any]:
        return self.ask("unsubscribe", *streams)

    def log_in(self, token: str) -> list[Any]:
        return self.ask("auth", token)


class WsScene(Scene):
    """A hub, a bus and an exchange, and clients who come."""

    def __init__(self, *, statuses: bool = True, enforces_expiry: bool = True, **rules: int) -> None:
        super().__init__(enforces_expiry=enforces_expiry, **rules)
        self.ws = Surroundings(
            hub=self.hub,
            layout=StreamFormat(PLACES, statuses=statuses),
            places=PLACES,
            notices=Notices(PLACES.brand, statuses=statuses),
            rules=self.shared.rules,
            rights=self.rights,
        )

    def come(self, identity: Identity = ANONYMOUS, *streams: str) -> WsClient:
        """A client connects, and subscribes if it wants to; what it is told is still to be read."""
        client = WsClient()
        client.session = Session(client, outlet=client.outbox, shared=self.ws, identity=identity)
        client.session.begin()
        if streams:
            client.session.take(request("subscribe", *streams))
        return client

    def client(self, identity: Identity = ANONYMOUS, *streams: str) -> WsClient:
        """A client that has read what it was told first, and has all that it asked for."""
        client = self.come(identity, *streams)
        assert [answer["args"] for answer in client.told if "op" in answer] == [[*streams]] * bool(streams)
        return client
