from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.access import ANONYMOUS, Identity
from feedmux.wire.rango_topic import stream_topic
from support.examples import EXAMPLES
from support.rango import Client, Roles, Scene

PUBLIC = ["a.b", "c.d"]
PREFIXED = {"admin.a.b": "admin", "staff.a.b": "staff"}
PRIVATE = ["order", "trade"]
NAMES = st.lists(st.sampled_from([*PUBLIC, *PREFIXED, *PRIVATE, "x" * 300]), min_size=1, max_size=5)
ROLES = {"admin": {"admin"}, "member": {"staff"}, "boss": {"admin", "staff"}, "": set[str]()}
KEYS = {
    "public.a.b": "a.b",
    "public.c.d": "c.d",
    "admin.a.b": "admin.a.b",
    "staff.a.b": "staff.a.b",
    "private.U.order": "order",
    "private.U.trade": "trade",
    "private.V.order": "",
}
STEPS = st.one_of(
    st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), NAMES),
    st.tuples(st.just("log in"), st.sampled_from([*ROLES])),
    st.tuples(st.just("publish"), st.sampled_from([*KEYS])),
)
MOST = 4


class Model:
    """What a client has and may have, in the simplest words."""

    def __init__(self) -> None:
        self.uid = self.role = ""
        self.has: list[str] = []

    def may_have(self, name: str) -> bool:
        if name in PRIVATE:
            return self.uid != ""
        return name in PUBLIC or (name in PREFIXED and PREFIXED[name] in ROLES[self.role])

    @property
    def listed(self) -> list[str]:
        return sorted(self.has, key=PRIVATE.__contains__)

    def subscribe(self, names: list[str]) -> bool:
        wanted = [name for name in dict.fromkeys(names) if self.may_have(name)]
        if len(set(names)) > MOST or len({*wanted, *self.has}) > MOST:
            return False
        self.has += [name for name in wanted if name not in self.has]
        return True

    def log_in(self, role: str) -> None:
        self.uid, self.role = "U", role
        self.has = [name for name in self.has if self.may_have(name)]


@given(steps=st.lists(STEPS, min_size=4, max_size=16))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_client_has_what_it_asked_for_and_may_have_and_gets_nothing_else(
    steps: list[tuple[str, Any]],
) -> None:
    scene, model = Scene(max_subscriptions=MOST), Model()
    scene.rights.access = Roles(admin="admin boss", staff="member boss")
    scene.tokens = {f"token of {role}": Identity("U", role) for role in ROLES}
    client = scene.client(ANONYMOUS)
    for step, what in steps:
        take(scene, client, model, step, what)
        held = {stream_topic(name, model.uid) for name in model.has}
        assert scene.exchange.held == held == set(scene.hub.topics())
        assert client.session.subscriptions == len(held)
    client.close(1000, "")
    assert scene.exchange.held == set()


def take(scene: Scene, client: Client, model: Model, step: str, what: Any) -> None:
    """Take a step, and compare what comes of it with the model."""
    if step == "publish":
        scene.exchange.publish(what, 7)
        name = KEYS[what]
        body = name.split(".", 1)[1] if name in PREFIXED else name
        assert client.told == ([{body: 7}] if name in model.has else [])
    elif step == "log in":
        model.log_in(what)
        first, *ended = client.log_in(f"token of {what}")
        assert first == {"system.auth": {"state": "ok"}}
        assert all(told["system.status"]["state"] == "refused" for told in ended)
    elif step == "unsubscribe":
        model.has = [name for name in model.has if name not in what]
        assert client.unsubscribe(*what) == [
            {"success": {"message": "unsubscribed", "streams": model.listed}}
        ]
    elif model.subscribe(what):
        assert client.subscribe(*what)[-1] == {"success": {"message": "subscribed", "streams": model.listed}}
    else:
        (told,) = client.subscribe(*what)
        assert told["code"] == "LIMIT_EXCEEDED"
