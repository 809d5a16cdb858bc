from __future__ import annotations

from typing import Any

import pytest

from feedmux.edge.endpoint import Entry, Opening
from feedmux.edge.http import Reply
from feedmux.edge.paths import Offer, paths
from feedmux.edge.rango_session import RangoSession
from feedmux.edge.session import Session
from feedmux.model.access import ANONYMOUS
from support.named import ALICE, identify
from support.rango import Client
from support.ws_scene import PLACES, WsScene

BEARER = ("authorization", "Bearer alice")


def offer(**more: Any) -> Offer:
    scene = WsScene()
    shared = scene.ws
    return Offer(
        hub=scene.hub, places=PLACES, layout=shared.layout, rules=shared.rules, rights=scene.rights, **more
    )


def come(offered: Offer, path: str, *headers: tuple[str, str]) -> Session | RangoSession:
    """The session of who is let in."""
    found = paths(offered)
    endpoint = found.endpoints.get(path, found.catch_all)
    assert endpoint is not None
    entry = endpoint.admit(Opening.of(path, headers))
    assert isinstance(entry, Entry)
    client = Client()
    session = entry.make_session(client, client.outbox)
    assert isinstance(session, Session | RangoSession)
    return session


def test_where_rango_is_not_spoken_there_is_one_path() -> None:
    found = paths(offer())
    assert (list(found.endpoints), found.catch_all) == (["/ws"], None)


@pytest.mark.parametrize("is_everywhere", [True, False])
def test_ws_keeps_its_path_wherever_rango_is_spoken(is_everywhere: bool) -> None:
    offered = offer(speaks_rango=True, is_rango_everywhere=is_everywhere)
    assert isinstance(come(offered, "/ws"), Session)
    assert isinstance(come(offered, "/public"), RangoSession)
    assert (paths(offered).catch_all is not None) == is_everywhere


@pytest.mark.parametrize("path", ["/ws", "/public"])
def test_a_token_says_on_every_path_who_a_client_is_where_there_is_a_key(path: str) -> None:
    offered = offer(speaks_rango=True, identify=identify)
    assert come(offered, path, BEARER).identity == ALICE
    assert come(offered, path).identity == ANONYMOUS
    refusal = paths(offered).endpoints[path].admit(Opening.of(path, [("authorization", "Bearer bob")]))
    assert isinstance(refusal, Reply)
    assert refusal.status == 401


def test_where_there_is_no_key_no_token_is_looked_at() -> None:
    assert come(offer(), "/ws", ("authorization", "Bearer bob")).identity == ANONYMOUS


def test_sessions_of_all_paths_have_the_same_rights() -> None:
    offered = offer(speaks_rango=True)
    sessions = [come(offered, "/ws"), come(offered, "/public")]
    assert {id(session._shared.rights) for session in sessions} == {id(offered.rights)}
