from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from feedmux.client.carrier import Carrier
from feedmux.client.registry import Registry
from feedmux.core.reconnect import State
from feedmux.model.errors import Duplicate, IllegalEvent, InvalidSetting, Overflow
from feedmux.model.ports import Statistics
from support.loops import on_asyncio
from support.peers import make_link, raw_server, says
from support.waiting import until


class Door:
    """A member: open until it is shut. Not hashable, as a value may be."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self._shut = asyncio.Event()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Door)

    @property
    def state(self) -> str:
        return "shut" if self._shut.is_set() else "open"

    def statistics(self) -> Statistics:
        return {"messages": 3}

    async def wait_closed(self) -> None:
        await self._shut.wait()

    def shut(self) -> None:
        self._shut.set()


class Broken(Door):
    async def wait_closed(self) -> None:
        await super().wait_closed()
        raise RuntimeError("the hinges")


class Stubborn(Door):
    async def wait_closed(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await super().wait_closed()


class RunningLink:
    """The member that a link with its task makes."""

    def __init__(self, link: Carrier) -> None:
        self.link = link
        self._task = asyncio.create_task(link.run())

    @property
    def state(self) -> State:
        return self.link.state

    def statistics(self) -> Statistics:
        return self.link.statistics()

    async def wait_closed(self) -> None:
        await asyncio.wait([self._task])


@on_asyncio
async def test_members_are_found_by_name_and_by_themselves() -> None:
    async with Registry[Door]() as registry:
        one, other = Door(), Door()
        registry.add("one", one, {"venue": "bybit"})
        registry.add("other", other)
        assert registry.get("one") is one
        assert registry.get("nobody") is None
        assert registry.name_of(other) == "other"
        assert registry.name_of(Door()) is None, "it is that very member"
        assert registry.metadata("one") == {"venue": "bybit"}
        assert registry.metadata("other") == registry.metadata("nobody") == {}
        assert "one" in registry
        assert len(registry) == 2


@on_asyncio
async def test_who_ends_is_taken_out_and_its_name_is_free() -> None:
    async with Registry[Door]() as registry:
        door = Door()
        registry.add("door", door, {"a": 1})
        door.shut()
        await until(lambda: len(registry) == 0)
        assert registry.name_of(door) is None
        assert registry.metadata("door") == {}
        registry.add("door", Door())
        assert registry.statistics()["ever"] == 2


@on_asyncio
async def test_who_has_ended_before_is_taken_out_in_a_later_turn() -> None:
    async with Registry[Door]() as registry:
        door = Door()
        door.shut()
        registry.add("door", door)
        assert registry.get("door") is door
        await until(lambda: len(registry) == 0)


@on_asyncio
async def test_a_name_twice_and_a_member_twice_are_refused() -> None:
    async with Registry[Door]() as registry:
        door = Door()
        registry.add("door", door)
        with pytest.raises(Duplicate) as caught:
            registry.add("door", Door())
        assert caught.value.name == "door"
        with pytest.raises(Duplicate, match="'door'"):
            registry.add("window", door)
        assert list(registry) == [("door", door)]


@on_asyncio
async def test_the_limit_is_a_named_error_and_room_comes_back() -> None:
    async with Registry[Door](limit=1) as registry:
        door = Door()
        registry.add("one", door)
        with pytest.raises(Overflow, match="its bound is 1 members"):
            registry.add("two", Door())
        door.shut()
        await until(lambda: len(registry) == 0)
        registry.add("two", Door())


@on_asyncio
async def test_it_may_change_while_it_is_walked() -> None:
    async with Registry[Door]() as registry:
        for name in "abc":
            registry.add(name, Door())
        seen = []
        for name, _ in registry:
            seen.append(name)
            registry.remove("b")
            registry.add(f"{name}2", Door())
        assert seen == ["a", "b", "c"]
        assert [name for name, _ in registry] == ["a", "c", "a2", "b2", "c2"]


@on_asyncio
async def test_the_view_of_members_follows_every_change() -> None:
    async with Registry[Door]() as registry:
        members, door = registry.members, Door()
        registry.add("door", door)
        assert members["door"] is door
        assert registry.remove("door") is door
        assert not members
        with pytest.raises(TypeError):
            members["x"] = door  # type: ignore[index]


@on_asyncio
async def test_who_was_removed_and_added_again_does_not_go_with_the_old_watch() -> None:
    async with Registry[Door]() as registry:
        old, new = Door(), Door()
        registry.add("door", old)
        assert registry.remove("door") is old
        assert registry.remove("door") is None
        registry.add("door", new)
        old.shut()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert registry.get("door") is new


@on_asyncio
async def test_who_was_removed_takes_nobody_else_with_it_even_if_its_watch_cannot_be_cancelled() -> None:
    async with Registry[Door]() as registry:
        registry.add("door", Stubborn())
        await asyncio.sleep(0)
        registry.remove("door")
        new = Door()
        registry.add("door", new)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert registry.get("door") is new


@on_asyncio
async def test_leaving_the_block_forgets_everybody_and_ends_nobody() -> None:
    door = Door()
    async with Registry[Door]() as registry:
        registry.add("door", door)
    assert door.state == "open"
    assert len(registry) == 0
    with pytest.raises(IllegalEvent):
        registry.add("door", door)
    await registry.close()


@on_asyncio
async def test_a_member_whose_end_fails_is_taken_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with Registry[Door]() as registry:
        door = Broken()
        registry.add("door", door)
        door.shut()
        await until(lambda: len(registry) == 0)
    assert [record.message for record in caplog.records] == [
        "waiting for the end of 'door' failed; it is no longer registered"
    ]


@on_asyncio
async def test_statistics_name_every_member() -> None:
    async with Registry[Door](limit=9) as registry:
        registry.add("door", Door())
        assert registry.statistics() == {
            "members": 1,
            "ever": 1,
            "limit": 9,
            "by_name": {"door": {"state": "open", "messages": 3}},
        }
        assert repr(registry) == "<Registry of 1>"


async def test_a_link_is_a_member_until_it_is_closed() -> None:
    async with raw_server(says()) as port, Registry[RunningLink]() as registry:
        link, user = make_link(f"ws://127.0.0.1:{port}/")
        registry.add("link", RunningLink(link), {"port": port})
        await user.saw("opened")
        statistics = registry.statistics()["by_name"]
        assert isinstance(statistics, dict)
        assert (statistics["link"]["state"], statistics["link"]["opens"]) == ("open", 1)
        link.close()
        await until(lambda: "link" not in registry)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", True, [5]])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"limit: .* expected a number of members, or None"):
        Registry(limit=limit)


async def test_what_cannot_be_registered_is_refused_by_name() -> None:
    wrong: list[tuple[str, Any, Any, Any]] = [
        ("name", "", Door(), {}), ("name", 5, Door(), {}), ("name", ["a"], Door(), {}),
        ("member", "a", None, {}),
        ("member", "a", "link", {}), ("member", "a", Door, {}), ("metadata", "a", Door(), None),
        ("metadata", "a", Door(), [("x", 1)]),
    ]  # fmt: skip
    async with Registry[Door]() as registry:
        for setting, name, member, metadata in wrong:
            with pytest.raises(InvalidSetting) as caught:
                registry.add(name, member, metadata)
            assert caught.value.name == setting
        assert len(registry) == 0


@pytest.mark.parametrize("name", [None, 5, ["a"], {"a": 1}, "nobody"])
async def test_nobody_has_a_name_that_is_none(name: Any) -> None:
    async with Registry[Door]() as registry:
        registry.add("a", Door())
        assert (registry.get(name), registry.remove(name), name in registry) == (None, None, False)
        assert registry.metadata(name) == {}
        assert len(registry) == 1
