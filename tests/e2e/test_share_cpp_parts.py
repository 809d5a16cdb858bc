"""Parts of the client in C++: its records as Python reads them, its reader of rings, its CMake package."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

import feedmux
from feedmux.wire.local import LocalDecoder
from feedmux.wire.local_records import (
    CLIENT,
    Beat,
    Close,
    Hello,
    LogLevel,
    Message,
    Open,
    Send,
    Subscribe,
    Unsubscribe,
)
from support.children import Children
from support.cpp import INCLUDE, PLAIN, PROGRAMS, WARNINGS, WAYS, compiled, output_of, program_of
from support.documents import ROOT, blocks_of
from support.running import environment
from support.waiting import until

pytestmark = pytest.mark.e2e

RECORDS = 200_000
TEXTS = ["", "a", "ä", "€", "😀", "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff"]
BROKEN = [b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80"]
BROKEN += [b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"a\xc3", b"\xc3(", b"\xf0\x9f\x98"]


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("way", ["plain", "address"])
async def test_its_records_are_those_that_the_broker_reads(way: str) -> None:
    dice = random.Random(1)
    texts = [text.encode() for text in TEXTS] + BROKEN
    texts += [dice.randbytes(dice.randrange(1, 5)) for _ in range(5000)]
    texts += [
        bytes(dice.choice(b"\x41\x80\xbf\xc3\xe2\xed\x9f\xa0\xf0\x90\xf4\x8f") for _ in range(4))
        for _ in range(5000)
    ]
    given = "\n".join(text.hex() for text in texts)
    first, *said = await output_of(program_of("records", way), given=given + "\n")
    decoder = LocalDecoder(CLIENT)
    decoder.feed(bytes.fromhex(first))
    assert list(decoder.records()) == [
        Hello(4242, "näme"),
        Beat(),
        Open(
            1,
            "wss://example.com/v2",
            "key",
            (("A", "b"), ("C", "d")),
            ("json", "v1"),
            (Message(b"{}"), Message(b"\x01\xff", True)),
            "S",
        ),
        Close(2, 7),
        Send(7, 1, b"a\0b"),
        Subscribe(3, 7, 3, 0, "AAPL", b"sub", b"unsub"),
        Unsubscribe(4, 7, 0, "AAPL", b"sub"),
        LogLevel(5),
    ]
    refused, judged = said[:5], said[5:]
    words = ("4097 bytes", "not UTF-8", "16777217 bytes", "65 items", "16.25 MiB")
    assert all(word in line for word, line in zip(words, refused, strict=True)), refused
    assert [line == "1" for line in judged] == [is_utf8(text) for text in texts]


async def outcomes_of(
    program: Path, capacity: int, units: int, pace: int, *, until_torn: bool = False
) -> dict[str, int]:
    """Let a process write a ring as fast as it can, and the program read it."""
    children = Children()
    writer, control = await children.start("ring_writer.py", *map(str, (capacity, 1, RECORDS, units, pace)))
    ours, theirs = socket.socketpair()
    control.setblocking(True)
    _, lent, *_ = socket.recv_fds(control, 1, 3)
    with ours, theirs:
        passed = (theirs.fileno(), *lent)
        reader = await asyncio.create_subprocess_exec(
            program, *map(str, (*passed, units)), pass_fds=passed, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        for descriptor in lent:
            os.close(descriptor)
        assert reader.stdout is not None
        try:
            async with asyncio.timeout(120):
                assert await reader.stdout.readline() == b"ready\n"
                control.send(b"g")
                wanted = b"torn\n" if until_torn else b"enough\n"
                while (line := await reader.stdout.readline()) != wanted:
                    assert line
                control.send(b"s")
                await until(lambda: writer.lines, "everything is written", 120)
                ours.send(str(json.loads(writer.lines[0])["records"] - 1).encode())
                out, err = await reader.communicate()
        finally:
            if reader.returncode is None:
                reader.kill()
                await reader.wait()
            control.close()
            await children.close()
    assert b"Sanitizer" not in err, err.decode()
    found: dict[str, int] = json.loads(out.splitlines()[-1])
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("capacity", "units", "pace"),
    [(1 << 20, 23, 500), (4096, 23, 500), (1 << 16, 1500, 6)],
    ids=["wrap-around", "lapped", "large and lapped"],
)
async def test_only_what_is_acceptable_is_ever_read(capacity: int, units: int, pace: int, way: str) -> None:
    found = await outcomes_of(program_of("ring_reader", way), capacity, units, pace)
    assert found["whole"] >= 500
    assert {name: count for name, count in found.items() if count}.keys() <= {"whole", "lapped"}, found


async def test_without_the_second_look_torn_records_are_found(tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(INCLUDE, include)
    ring = include / "feedmux" / "local" / "ring.hpp"
    look = "if (is_late()) {  // what was copied may be torn\n"
    assert ring.read_text().count(look) == 1, (
        "the second look is written in another way now: change this test"
    )
    ring.write_text(ring.read_text().replace(look, "if (false) {\n"))
    program = compiled(PROGRAMS / "ring_reader.cpp", *WARNINGS, *PLAIN, include=include)
    found = await outcomes_of(program, 1 << 16, 1500, 6, until_torn=True)
    assert found["torn"]


def of_the_program(option: str) -> Path:
    """What ``feedmux share`` prints for this option."""
    command = [sys.executable, "-m", "feedmux", "share", option]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    return Path(said.stdout.rstrip("\n"))


def test_the_example_in_the_documents_compiles(tmp_path: Path) -> None:
    (block,) = (block for block in blocks_of(ROOT / "docs" / "local-cpp.md") if block.language == "cpp")
    source = tmp_path / "strategy.cpp"
    source.write_text(block.text)
    include = of_the_program("--include-dir")
    assert compiled(source, "-Wall", "-Wextra", "-Wpedantic", "-Werror", *PLAIN, include=include).exists()


def test_cmake_finds_the_package(tmp_path: Path) -> None:
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.fail("cmake is not here: install it (Debian: apt-get install cmake)")
    options = (
        "-S",
        str(PROGRAMS / "package"),
        "-B",
        str(tmp_path),
        f"-Dfeedmux_DIR={of_the_program('--cmake-dir')}",
    )
    for command in ([cmake, *options], [cmake, "--build", str(tmp_path)]):
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert said.returncode == 0, said.stdout + said.stderr
    assert (tmp_path / "drop_in").exists()


def test_the_version_of_the_package_is_ours() -> None:
    text = (ROOT / "cmake" / "feedmux-config-version.cmake").read_text()
    assert f"set(PACKAGE_VERSION {feedmux.__version__})" in text


def test_no_header_is_longer_than_a_module_may_be() -> None:
    sources = [*INCLUDE.rglob("*.h*"), *PROGRAMS.glob("*.cpp")]
    lines = {path.name: path.read_text().splitlines() for path in sources}
    assert len(lines) > 10
    assert not {name: len(text) for name, text in lines.items() if len(text) > 400}
    assert not [(name, line) for name, text in lines.items() for line in text if len(line) > 120]


def test_it_is_installed_with_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for folder in ("include", "cmake"):
        built = {
            path.relative_to(tmp_path / "feedmux") for path in (tmp_path / "feedmux" / folder).rglob("*.*")
        }
        assert built == {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.*")}
        assert built
