"""Objects, a snapshot and its increments: who comes late has them whole, who waits gets the first one."""

from __future__ import annotations

import json

import pytest

from support.rabbitmq import RabbitServer
from support.rango_book import Copy, Engine
from support.rango_gateway import RangoClient, RangoGateway, Scene, token
from support.tokens import Signer


def snap(scene: Scene, body: object) -> str:
    """The message of a snapshot."""
    return json.dumps({f"{scene.market}.ob-snap": body}, separators=(",", ":"))


def inc(scene: Scene, body: object) -> str:
    """The message of an increment."""
    return json.dumps({f"{scene.market}.ob-inc": body}, separators=(",", ":"))


def status(scene: Scene, state: str, reason: str = "") -> str:
    """The message that tells of a book's state."""
    told = {"reason": reason} if reason else {}
    content = told | {"state": state, "stream": f"{scene.market}.ob-inc"}
    return json.dumps({"system.status": content}, separators=(",", ":"))


async def test_a_late_reader_gets_the_snapshot_and_the_increments_before_the_answer(scene: Scene) -> None:
    client = await scene.client()
    scene.say("public.*.ob-snap", {"sequence": 1})
    scene.say("public.*.ob-inc", {"sequence": 2})
    scene.say("public.*.ob-inc", {"sequence": 3})
    await has_come(scene)
    assert await client.subscribe(f"{scene.market}.ob-inc") == [f"{scene.market}.ob-inc"]
    parts = [snap(scene, {"sequence": 1}), inc(scene, {"sequence": 2}), inc(scene, {"sequence": 3})]
    assert client.seen[1:-1] == parts
    by_url = await scene.client("/?stream=*.ob-inc")
    assert by_url.seen[:-1] == parts


async def test_a_second_subscription_is_given_the_object_again(scene: Scene) -> None:
    scene.say("public.*.ob-snap", {"sequence": 1})
    scene.say("public.*.ob-inc", {"sequence": 2})
    await has_come(scene)
    client = await scene.client("/?stream=*.ob-inc")
    before = list(client.seen)
    assert await client.subscribe(f"{scene.market}.ob-inc") == [f"{scene.market}.ob-inc"]
    assert client.seen == before * 2


async def test_a_new_snapshot_replaces_what_is_kept_and_is_not_repeated_to_who_has_the_object(
    scene: Scene,
) -> None:
    client = await scene.client("/?stream=*.ob-inc,*.fence")
    scene.say("public.*.ob-snap", {"sequence": 1})
    scene.say("public.*.ob-inc", {"sequence": 2})
    scene.say("public.*.ob-snap", {"sequence": 2, "again": True})
    scene.say("public.*.ob-inc", {"sequence": 3})
    assert await client.until(scene.fence()) == [
        snap(scene, {"sequence": 1}),
        inc(scene, {"sequence": 2}),
        inc(scene, {"sequence": 3}),
    ]
    late = await scene.client("/?stream=*.ob-inc")
    assert late.seen[:-1] == [snap(scene, {"sequence": 2, "again": True}), inc(scene, {"sequence": 3})]


async def test_an_increment_without_a_snapshot_is_for_nobody(scene: Scene) -> None:
    client = await scene.client("/?stream=*.ob-inc,*.fence")
    scene.say("public.*.ob-inc", {"sequence": 1})
    assert await client.until(scene.fence()) == []
    late = await scene.client("/?stream=*.ob-inc")
    assert len(late.seen) == 1


async def test_the_first_snapshot_reaches_who_waits_for_it(scene: Scene) -> None:
    """Rango lost that: who subscribed before it never had a base."""
    client = await scene.client("/?stream=*.ob-inc,*.fence")
    scene.say("public.*.ob-snap", {"sequence": 7})
    scene.say("public.*.ob-inc", {"sequence": 8})
    assert await client.until(scene.fence()) == [snap(scene, {"sequence": 7}), inc(scene, {"sequence": 8})]


@pytest.mark.parametrize("kind", ["ob", "depth5", "balance", "x-snap"])
async def test_every_type_with_these_endings_is_an_object(scene: Scene, kind: str) -> None:
    scene.say(f"public.*.{kind}-snap", [1])
    scene.say(f"public.*.{kind}-inc", [2])
    await has_come(scene)
    client = await scene.client(f"/?stream=*.{kind}-inc")
    names = [f"{scene.market}.{kind}-snap", f"{scene.market}.{kind}-inc"]
    assert client.seen[:-1] == [f'{{"{names[0]}":[1]}}', f'{{"{names[1]}":[2]}}']


@pytest.mark.parametrize("scope", ["admin", "private"])
async def test_private_and_prefixed_objects_are_kept_too(scene: Scene, signer: Signer, scope: str) -> None:
    """Rango never keeps private ones, and sends a prefixed snapshot under the name of increments."""
    jwt, is_private = token(signer, scene.market, "admin"), scope == "private"
    scene.say(f"{scope}.*.balance-snap", {"sequence": 1})
    scene.say(f"{scope}.*.balance-inc", {"sequence": 2})
    fence = scene.fence(scene.market if is_private else "")
    reader = await scene.client("/?stream=fence,*.fence", jwt=jwt)
    scene.fence(scene.market if is_private else "")
    await reader.until(fence)
    stream = "balance-inc" if is_private else f"admin.{scene.market}.balance-inc"
    client = await scene.client(f"/?stream={stream}", jwt=jwt)
    name = "balance" if is_private else f"{scene.market}.balance"
    assert client.seen[:-1] == [f'{{"{name}-snap":{{"sequence":1}}}}', f'{{"{name}-inc":{{"sequence":2}}}}']


async def test_flat_and_nested_increments_pass_as_they_are(scene: Scene) -> None:
    client = await scene.client("/?stream=*.ob-inc,*.fence")
    bodies = ['{"asks":["15.0","22.1"],"sequence":2}', '{"bids":[["14.0","0"],["13.0","1"]],"sequence":3}']
    base = '{"asks":[],"bids":[["14.0","1.0"]],"sequence":1}'
    scene.say("public.*.ob-snap", base)
    for body in bodies:
        scene.say("public.*.ob-inc", body)
    told = [f'{{"{scene.market}.ob-inc":{body}}}' for body in bodies]
    assert (await client.until(scene.fence()))[1:] == told


async def test_ten_thousand_increments_later_a_reader_has_the_right_book(
    scene: Scene, rango: RangoGateway
) -> None:
    """Rango keeps and replays all of them, and closes a new client for being slow at the 257th."""
    early = await scene.client("/?stream=*.ob-inc,*.fence")
    engine, copy = Engine(scene), Copy()
    engine.show()
    for _ in range(100):
        engine.change(100)
        await follow(early, copy, scene.fence())
    assert copy.equals(engine)
    late = await scene.client("/?stream=*.ob-inc,*.fence")
    assert len(late.seen) - 1 <= 257
    latest = Copy()
    for text in late.seen[:-1]:
        latest.take(text)
    assert latest.equals(engine)
    engine.change(10)
    await follow(late, latest, scene.fence())
    assert latest.equals(engine)


async def test_several_large_books_in_one_url_are_no_reason_to_be_closed(scene: Scene) -> None:
    engines = [Engine(scene, f"public.*{number}.ob", number) for number in range(5)]
    for engine in engines:
        engine.show()
        engine.change(200)
    await has_come(scene)
    query = ",".join(f"*{number}.ob-inc" for number in range(5))
    client = await scene.client(f"/?stream={query}")
    assert len(client.seen) == 5 * 201 + 1
    for number, engine in enumerate(engines):
        copy = Copy()
        for text in client.seen[:-1]:
            if text.startswith(f'{{"{scene.market}{number}.'):
                copy.take(text)
        assert copy.equals(engine)


async def test_a_hole_in_the_numbers_is_told_and_mended_by_the_next_snapshot(scene: Scene) -> None:
    """Increments go on meanwhile, as with Rango: a client that counts sees the hole, too."""
    client = await scene.client("/?stream=*.ob-inc,*.fence")
    engine = Engine(scene)
    engine.show()
    engine.change()
    engine.skip()
    engine.change()
    told = await client.until(scene.fence())
    reason = "number 3 came where 2 was expected; the next snapshot makes it good"
    assert told[2] == status(scene, "stale", reason)
    assert '"sequence":3' in told[3]
    late = await scene.client("/?stream=*.ob-inc")
    assert late.seen[0] == status(scene, "stale", reason)
    engine.show()
    assert await client.until(scene.fence()) == [snap(scene, engine.snapshot()), status(scene, "live")]
    copy = Copy()
    copy.take(snap(scene, engine.snapshot()))
    engine.change(3)
    await follow(client, copy, scene.fence())
    assert copy.equals(engine)


async def test_after_a_lost_connection_a_book_is_stale_until_the_next_snapshot(
    scene: Scene, rabbitmq: RabbitServer, signer: Signer
) -> None:
    """Rango serves the old book as if nothing had happened."""
    client = await scene.client("/?stream=*.ob-inc,*.trades,*.fence")
    engine = Engine(scene)
    engine.show()
    engine.change(3)
    await client.until(scene.fence())
    for queue in rabbitmq.queues():
        if ".public." in queue:
            rabbitmq.delete_queue(queue)
    states: dict[str, list[str]] = {}
    while not {"live", "stale"} <= {last for told in states.values() for last in told[-1:]}:
        told = (await client.answer()).get("system.status", {})
        if told:
            states.setdefault(told["stream"].partition(".")[2], []).append(told["state"])
    assert [*dict.fromkeys(states["ob-inc"])] == ["reconnecting", "stale"]
    assert [*dict.fromkeys(states["trades"])] == ["reconnecting", "gap", "live"]
    engine.show()
    text = await client.recv()
    while ".ob-snap" not in text or '"sequence":3' not in text:
        text = await client.recv()
    assert await client.recv() == status(scene, "live")
    await scene.is_ready(token(signer, "READY"), "READY")


async def follow(client: RangoClient, copy: Copy, last: str) -> None:
    """Apply all messages up to one."""
    for text in await client.until(last):
        copy.take(text)


async def has_come(scene: Scene) -> None:
    """Wait until all that was published is in the gateway."""
    client = await scene.client("/?stream=*.fence")
    await client.until(scene.fence())
