"""The broker as a process among others: elections, users, deaths, limits and signals."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from support.child import Child
from support.running import environment
from support.share_client import FAILED, IS_CLOSED, ShareClient, hello, place, record
from support.share_scene import ShareScene, share_scene, wait_until

NOBODY = 65534
NEEDS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


@pytest.fixture(name="scene")
def _scene() -> Iterator[ShareScene]:
    with share_scene() as scene:
        yield scene


def feedmux(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "feedmux", *args],
        env=environment(more),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_of_twenty_who_start_at_once_one_is_the_broker(scene: ShareScene) -> None:
    brokers = [scene.spawn("--linger", "30") for _ in range(20)]
    client = scene.client()
    pid = json.loads(client.ask(1))["pid"]
    losers = [broker for broker in brokers if broker.process.pid != pid]
    assert len(losers) == 19
    ends = [broker.end() for broker in losers]
    assert ends == 19 * [(0, f"feedmux: a broker '{scene.name}' is there already\n")]
    assert json.loads(client.ask(1))["pid"] == pid


def test_it_loads_nothing_that_it_does_not_need_to_start(scene: ShareScene) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "feedmux", "share", "--name", scene.name]
    result = subprocess.run(
        [*command, "--linger", "0.01", "--beat", "0.01"],
        env=environment(), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "feedmux.share.broker" in loaded
    heavy = {"typer", "click", "pydantic", "rich", "structlog", "prometheus_client", "websockets", "jwt"}
    assert not loaded & heavy


# Users


@NEEDS_ROOT
def test_another_user_is_sent_away_without_a_word(scene: ShareScene) -> None:
    scene.spawn()
    client = scene.client()
    number, *_ = client.open(scene.url)
    ours = os.getuid()

    def intrude() -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(place(scene.name, ours))
            try:
                sock.sendall(hello() + record(5, struct.pack("<QBI", number, 0, 8), b"intruder"))
                return repr(sock.recv(100))
            except (ConnectionResetError, BrokenPipeError):
                return "b''"

    with Child(intrude, NOBODY) as intruder:
        assert intruder.line == "b''"
    assert json.loads(client.ask(1))["refused"] == 1
    client.send(number, b"friend")
    scene.upstream.hears("friend")


@NEEDS_ROOT
def test_a_place_that_another_user_holds_is_named(scene: ShareScene) -> None:
    sock = socket.socket(socket.AF_UNIX)
    ours = os.getuid()

    def squat() -> str:
        sock.bind(place(scene.name, ours))
        sock.listen()
        return "there"

    with Child(squat, NOBODY) as squatter:
        sock.close()
        assert squatter.line == "there"
        is_named_everywhere(scene)


def is_named_everywhere(scene: ShareScene) -> None:
    expected = (
        f"feedmux: the place of the broker '{scene.name}' is held by the user {NOBODY}; "
        "choose another --name\n"
    )
    code, text = scene.spawn().end()
    assert (code, text) == (1, expected)
    for command in ("status", "stop"):
        result = feedmux("share", command, "--name", scene.name)
        assert (result.returncode, result.stderr) == (1, expected)


# Deaths


def test_a_client_that_is_killed_releases_what_it_wanted(scene: ShareScene) -> None:
    scene.spawn()
    friend = scene.client()
    number, *_ = friend.open(scene.url)

    kept: list[ShareClient] = []

    def live() -> str:
        client = ShareClient.welcomed(scene.name)
        kept.append(client)  # who is forgotten would hang up before it is killed
        client.open(scene.url)
        client.subscribe(number, "BTC", b"want BTC", b"stop BTC")
        client.subscribe(number, "ETH", b"want ETH", b"stop ETH")
        client.open(scene.url, key="its own")
        return "ready"

    with Child(live) as child:
        assert child.line == "ready"
        assert friend.subscribe(number, "ETH", b"want ETH") == 1
    scene.upstream.hears("want BTC", "want ETH", "stop BTC")
    wait_until(lambda: scene.upstream.codes == [1000])


def test_a_broker_that_is_killed_leaves_nothing_in_the_way(scene: ShareScene) -> None:
    broker = scene.spawn()
    client = scene.client()
    *_, ring, _ = client.open(scene.url)
    scene.upstream.say("before")
    assert ring.message() == b"before"
    broker.process.kill()
    assert client.wait_end() == []
    broker.end()  # the system gives its address back last
    wait_until(lambda: scene.upstream.open == 0)
    scene.spawn()
    assert scene.client().open(scene.url)[1] == 1


# Ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_peace(scene: ShareScene, number: signal.Signals) -> None:
    broker = scene.spawn()
    *_, ring, _ = scene.client().open(scene.url)
    broker.process.send_signal(number)
    assert broker.end() == (0, "")
    assert ring.wait().what == IS_CLOSED
    assert scene.upstream.codes == [1000]


def test_it_ends_by_itself_when_nobody_needs_it(scene: ShareScene) -> None:
    broker = scene.spawn("--linger", "0.3", "--beat", "0.05")
    client = scene.client()
    client.open(scene.url)
    client.close()
    assert broker.end() == (0, "")


def test_it_is_shown_and_stopped_by_commands(scene: ShareScene) -> None:
    broker = scene.spawn()
    client = scene.client()
    number, *_ = client.open(scene.url + "?token=very-secret")
    client.subscribe(number, "BTC", b"want")
    shown = feedmux("share", "status", "--name", scene.name)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"broker {scene.name}, process {broker.process.pid}" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["1", str(os.getpid()), "test", "1"] in rows
    assert ["1", f"{scene.url}?***", "open", "1", "1", "0", "1", "–"] in rows
    told = feedmux("share", "status", "--name", scene.name, "--json")
    assert json.loads(told.stdout)["pid"] == broker.process.pid
    stopped = feedmux("share", "stop", "--name", scene.name)
    assert (stopped.returncode, stopped.stdout) == (0, f"the broker '{scene.name}' has ended\n")
    assert broker.end() == (0, "")
    again = feedmux("share", "stop", "--name", scene.name)
    assert (again.returncode, again.stdout) == (0, f"no broker '{scene.name}': none is running\n")
    shown = feedmux("share", "status", "--name", scene.name)
    assert (shown.returncode, shown.stderr) == (1, f"feedmux: no broker '{scene.name}': none is running\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--name", "a/b"], "name: 'a/b' does not work"),
        (["--linger", "0"], "linger_s: 0.0 does not work"),
        (["--ring-bytes", "1099511627776"], "ring_bytes: 1099511627776 does not work"),
        (["--ring-bytes", "many"], "Invalid value for '--ring-bytes'"),
        (["--nmae", "x"], "No such option"),
    ],
)
def test_options_that_cannot_work_are_named(options: list[str], said: str) -> None:
    result = feedmux("share", *options)
    assert result.returncode == 2
    assert said in result.stderr


# Bad input


def test_garbage_ends_the_connection_it_came_on_and_no_other(scene: ShareScene) -> None:
    scene.spawn()
    friend = scene.client()
    number, _, ring, _ = friend.open(scene.url)
    for garbage in (os.urandom(5000), bytes(5000), b"\xff" * 5000, hello() + os.urandom(5000), b"\r\n\r\n"):
        stranger = scene.stranger()
        try:
            stranger.say(garbage)
            stranger.sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert {said.fields[0] for said in stranger.wait_end() if said.kind == FAILED} <= {0}
    friend.send(number, b"still here")
    scene.upstream.hears("still here")
    scene.upstream.say("so am I")
    assert ring.message() == b"so am I"


def test_without_memory_for_a_ring_it_says_so_and_goes_on(scene: ShareScene) -> None:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, 1024 * 1024))

    scene.spawn(preexec_fn=bound)
    client = scene.client()
    request = client.begin_open(scene.url)
    failed, code, reason = client.failed()
    assert (failed, code) == (request, "NO_MEMORY")
    assert "8392704 bytes of shared memory cannot be had" in reason
    assert json.loads(client.ask(1))["websockets"] == []
    assert scene.upstream.requests == []


def test_without_descriptors_it_says_so_and_goes_on(scene: ShareScene) -> None:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    scene.spawn(preexec_fn=bound)
    client = scene.client()
    opened, failed = 0, None
    while failed is None:
        client.begin_open(scene.url, key=str(opened))
        said = client.hear()
        assert said is not None
        if said.kind == FAILED:
            failed = said.fields
        else:
            opened += 1
    assert opened
    assert failed[1] in {"NO_MEMORY", "CONNECT_FAILED"}
    client.leave()
    wait_until(lambda: scene.upstream.open == 0)
    client.begin_open(scene.url, key="again")
    said = client.hear()
    assert said is not None
    assert said.kind != FAILED


def test_an_upstream_that_refuses_is_named_and_may_be_asked_again(scene: ShareScene) -> None:
    scene.spawn()
    client = scene.client()
    scene.upstream.status = HTTPStatus.UNAUTHORIZED
    request = client.begin_open(scene.url)
    failed, code, reason = client.failed()
    assert (failed, code) == (request, "CONNECT_FAILED")
    assert reason == "the server answered HTTP 401 Unauthorized; check the credentials"
    scene.upstream.status = None
    assert client.open(scene.url)[1] == 1


def test_a_message_of_five_megabytes_comes_through_a_ring_of_eight(scene: ShareScene) -> None:
    scene.spawn()
    first, second = scene.client(), scene.client()
    rings = [client.open(scene.url)[2] for client in (first, second)]
    for size in (5_000_000, 10, 5_000_000, 3_900_000):
        message = os.urandom(size)
        scene.upstream.say(message)
        assert [ring.message() == message for ring in rings] == [True, True]
    assert {ring.missed for ring in rings} == {0}


def test_it_stays_small(scene: ShareScene) -> None:
    broker = scene.spawn()
    clients = [scene.client() for _ in range(20)]
    rings = [client.open(scene.url, last_by="s")[2] for client in clients]
    for number in range(200):
        scene.upstream.say(json.dumps({"s": number, "x": "y" * 100_000}))
        assert len({len(ring.message()) for ring in rings}) == 1
    assert broker.status("VmHWM") < 64 * 1024
