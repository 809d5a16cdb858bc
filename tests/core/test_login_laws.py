from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.login import NOBODY, PATIENCE_S, Login
from support.examples import EXAMPLES

CLIENTS = st.integers(1, 4)


class LoginModel(RuleBasedStateMachine):
    """Whoever is named is alive, and what is wanted follows exactly once after each opening."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[int] = []
        self.now = 0.0
        self.is_open = False
        self.owed = False
        """Whether subscriptions have to follow."""

    @initialize(has_opening=st.booleans())
    def begin(self, has_opening: bool) -> None:
        self.has_opening = has_opening
        self.login = Login(has_opening=has_opening)

    @rule(client=CLIENTS)
    def join(self, client: int) -> None:
        if client not in self.members:
            self.members.append(client)

    @rule(client=CLIENTS)
    def leave(self, client: int) -> None:
        if client not in self.members:
            return
        self.members.remove(client)
        named = self.login.left(client, list(self.members), self.now)
        assert named == NOBODY or named in self.members

    @rule()
    def reopen(self) -> None:
        if not self.members:
            return
        self.is_open = True
        named = self.login.opened_again(list(self.members), self.now)
        assert (named == NOBODY) == self.has_opening
        self.owed = not self.has_opening
        assert (self.login.until is not None) == self.owed

    @rule()
    def lose(self) -> None:
        self.is_open = self.owed = False
        self.login.lost()

    @rule(client=CLIENTS)
    def send(self, client: int) -> None:
        if client in self.members:
            self.login.spoke(client)

    @rule(client=CLIENTS)
    def subscribe(self, client: int) -> None:
        if client in self.members:
            was_named = client == self.login.named
            follows = self.login.subscribed(client)
            assert follows == (was_named and self.owed)
            self.owed = self.owed and not follows

    @rule(seconds=st.floats(0.0, 3.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        is_due = self.login.is_due(self.now)
        assert not (is_due and not self.owed)
        self.owed = self.owed and not is_due

    @invariant()
    def what_is_owed_has_a_time(self) -> None:
        if not hasattr(self, "login"):
            return
        assert (self.login.until is not None) == self.owed
        assert self.login.until is None or self.login.until <= self.now + PATIENCE_S
        assert self.login.named == NOBODY or self.login.named in self.members
        assert self.login.named == NOBODY or not self.has_opening


TestLogin = LoginModel.TestCase
TestLogin.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
