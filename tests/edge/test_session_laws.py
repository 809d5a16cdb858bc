from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.access import ANONYMOUS, Identity
from support.examples import EXAMPLES
from support.rango import Roles
from support.ws_scene import PLACES, WsClient, WsScene

PUBLIC = ["a.b", "c.d"]
PREFIXED = {"admin.a.b": "admin", "staff.a.b": "staff"}
PRIVATE = ["order", "trade"]
NAMES = st.lists(st.sampled_from([*PUBLIC, *PREFIXED, *PRIVATE, "x.*"]), min_size=1, max_size=5)
ROLES = {"admin": {"admin"}, "member": {"staff"}, "boss": {"admin", "staff"}, "": set[str]()}
ROLE_NAMES = st.sets(st.sampled_from(["admin", "member", "boss"]))
KEYS = {
    "public.a.b": "a.b",
    "public.c.d": "c.d",
    "admin.a.b": "admin.a.b",
    "staff.a.b": "staff.a.b",
    "private.U.order": "order",
    "private.U.trade": "trade",
    "private.W.order": "",
}
STEPS = st.one_of(
    st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), NAMES),
    st.tuples(st.just("log in"), st.sampled_from([*ROLES, "another user"])),
    st.tuples(st.just("publish"), st.sampled_from([*KEYS])),
    st.tuples(st.just("grant"), st.tuples(ROLE_NAMES, ROLE_NAMES)),
)


class Model:
    """What a client has and may have, in the simplest words."""

    def __init__(self) -> None:
        self.uid = self.role = ""
        self.opened = {"admin": {"admin", "boss"}, "staff": {"member", "boss"}}
        self.has: set[str] = set()

    def may_have(self, name: str) -> bool:
        if name in PRIVATE:
            return self.uid != ""
        return name in PUBLIC or (name in PREFIXED and self.role in self.opened[PREFIXED[name]])

    def look_again(self) -> set[str]:
        """Lose what may not be had any more; what that was."""
        lost = {name for name in self.has if not self.may_have(name)}
        self.has -= lost
        return lost


@given(steps=st.lists(STEPS, min_size=4, max_size=16))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_client_has_what_it_asked_for_and_may_have_and_gets_nothing_else(
    steps: list[tuple[str, Any]],
) -> None:
    scene, model = WsScene(), Model()
    grant(scene, model)
    scene.tokens = {f"token of {role}": Identity("U", role) for role in ROLES}
    scene.tokens["token of another user"] = Identity("V", "boss")
    client = scene.client(ANONYMOUS)
    for step, what in steps:
        take(scene, client, model, step, what)
        held = {PLACES.parse(f"stream:{name}", model.uid) for name in model.has}
        assert scene.exchange.held == held == set(scene.hub.topics())
        assert client.session.subscriptions == len(held)
    client.close(1000, "")
    assert scene.exchange.held == set()


def grant(scene: WsScene, model: Model) -> None:
    scene.rights.access = Roles(**{prefix: " ".join(roles) for prefix, roles in model.opened.items()})


def take(scene: WsScene, client: WsClient, model: Model, step: str, what: Any) -> None:
    """Take a step, and compare what comes of it with the model."""
    args = [f"stream:{name}" for name in what] if step in {"subscribe", "unsubscribe"} else []
    if step == "publish":
        scene.exchange.publish(what, 7)
        is_mine = KEYS[what] in model.has and (KEYS[what] not in PRIVATE or model.uid == "U")
        came = [(message["stream"], message["data"]) for message in client.told]
        assert came == ([(f"acme.rabbitmq.{KEYS[what]}", 7)] if is_mine else [])
    elif step == "grant":
        model.opened = dict(zip(("admin", "staff"), what, strict=True))
        grant(scene, model)
        client.session.recheck()
        assert lost(client.told) == model.look_again()
    elif step == "log in":
        first, *ended = client.log_in(f"token of {what}")
        uid, role = ("V", "boss") if what == "another user" else ("U", what)
        assert (first["op"] == "auth") == (model.uid in ("", uid))
        if first["op"] == "auth":
            model.uid, model.role = uid, role
        assert lost(ended) == model.look_again()
    elif step == "unsubscribe":
        named = [name for name in dict.fromkeys(what) if name in model.has]
        model.has -= set(named)
        assert client.ask(step, *args)[0]["args"] == [f"stream:{name}" for name in named]
    else:
        (answer,) = client.subscribe(*args)
        allowed = [name for name in what if model.may_have(name)]
        model.has |= set(allowed)
        assert answer["args"] == [f"stream:{name}" for name in allowed]
        assert len(answer["rejected"] or []) == len(what) - len(allowed)


def lost(told: list[Any]) -> set[str]:
    """The streams that have ended."""
    assert all(message["data"]["state"] == "refused" for message in told)
    return {message["stream"].removeprefix("acme.rabbitmq.") for message in told}
