"""The documents say what is: every block of code is tried, every link leads somewhere."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import runpy
import signal
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from feedmux.app import census, rbac
from feedmux.app.cli import load_command
from feedmux.app.config import load
from feedmux.app.exposition import prometheus
from feedmux.app.settings import fields
from feedmux.core.ring import HEADER_BYTES, RingWriter, segment_bytes
from feedmux.edge.login import Objection
from feedmux.model.access_errors import TokenCode
from feedmux.model.event import EventKind
from feedmux.sim import (
    alpaca,
    alpaca_control,
    control,
    deribit,
    deribit_control,
    deribit_session,
    options,
)
from feedmux.sim.alpaca_options import DEMO
from feedmux.wire import envelope, op, rango
from support.census import SHARED, elsewhere, whole_figures
from support.certificates import Authority
from support.debian import debian_program
from support.documents import (
    ROOT,
    Block,
    Command,
    anchors,
    blocks,
    code_spans,
    commands,
    documents,
    is_like,
    links,
    prose,
    table,
)
from support.measurements import measurement, point
from support.processes import Gateway, Running, Stage, Venue, stage
from support.tokens import claims, ed25519

SHOWN_URL = "ws://127.0.0.1:8000/ws"
DERIBIT_URL = "ws://127.0.0.1:9001/ws/api/v2"
ALPACA_URL = "ws://127.0.0.1:9002/v2/iex"
ALPACA_LOGIN = {"APCA_API_KEY_ID": DEMO.key, "APCA_API_SECRET_KEY": DEMO.secret}
SIMULATORS = ROOT / "docs" / "simulators.md"
PATHS = ("/", "/ready", "/health", "/stats", "/metrics")
METRICS = ("Every metric", "RabbitMQ", "Redis", "Tokens", "Scrapes and processes")
"""The headings of the tables in which they are."""
RANGO = {"RANGER_HOST": "127.0.0.1", "RANGER_PORT": "0", "METRICS_PORT": "0", "RABBITMQ_HOST": "127.0.0.1"}
"""Where `feedmux rango` listens, and that its RabbitMQ is no stranger's."""
OTHER_CAPITALS = {
    "DERIBIT_CLIENT_ID",
    "DERIBIT_CLIENT_SECRET",
    "FEEDMUX_SHARE_NAME",
    "F_SEAL_FUTURE_WRITE",
    "F_SEAL_GROW",
    "F_SEAL_SEAL",
    "F_SEAL_SHRINK",
    "PROT_READ",
    "REDIS_",
    "TCP_NODELAY",
    "SO_RCVBUF",
    "SO_REUSEPORT",
    "SO_SNDBUF",
}
"""Capitals in the prose: the kernel's, a C++ program's, the beginning of several settings' names."""


def of(*languages: str) -> list[Any]:
    """The blocks of these languages, as parameters."""
    return [pytest.param(block, id=block.name) for block in blocks() if block.language in languages]


def each_document(rule: Callable[[Path], None]) -> Callable[[], None]:
    """Make one test of a rule for documents: it names every document that breaks it."""

    def test() -> None:
        broken = []
        for path in documents():
            try:
                rule(path)
            except AssertionError as error:
                broken.append(f"{path.relative_to(ROOT).as_posix()}: {error}")
        assert not broken, "\n".join(broken)

    test.__name__, test.__doc__ = rule.__name__, rule.__doc__
    return test


# What every block must be


def check_bash(block: Block) -> None:
    for command in commands(block):
        assert all(map(is_setting, command.environment)), command
        assert command.program in PROGRAMS, f"nobody knows how to try {command.program}"
        PROGRAMS[command.program](command)


def is_setting(name: str) -> bool:
    """Whether there is a setting of this name, in any case; those of prefixes have many."""
    return rbac.attribute(name) in fields() or rbac.attribute(name).startswith(rbac.BEGINNING)


def check_json(block: Block) -> None:
    json.loads(block.text)


def check_toml(block: Block) -> None:
    assert block.text.startswith("# feedmux.toml\n")


def check_env(block: Block) -> None:
    assert block.text.startswith("# .env\n")


def check_python(block: Block) -> None:
    ast.parse(block.text)


def check_text(block: Block) -> None:
    """Only bytes are shown so: those of an envelope, or of a ring."""
    if block.path.name == "ring.md":
        segment = bytearray(segment_bytes(1024))
        writer = RingWriter(segment)
        writer.write(b"hello")
        writer.flush()
        assert bytes.fromhex(block.text) == segment[HEADER_BYTES : HEADER_BYTES + 32]
        return
    read = envelope.decode(bytes.fromhex(block.text))
    assert (read.topic.text, read.kind) == ("public:bybit:linear:ticker:BTCUSDT:", EventKind.UPDATE)


def check_yaml(block: Block) -> None:
    """Prometheus' own files: where to scrape, and rules over metrics that exist."""
    content = yaml.safe_load(block.text)
    known = {row.name for row in metrics_table()}
    match block.text.splitlines()[0]:
        case "# prometheus.yml":
            assert set(content) == {"scrape_configs", "rule_files"}
        case "# feedmux.rules.yml":
            for rule in (rule for group in content["groups"] for rule in group["rules"]):
                assert set(rule) == {"alert", "expr", "for", "annotations"}
                used = re.findall(r"\bfeedmux_\w+", rule["expr"])
                assert used and {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} <= known, rule
        case first:
            raise AssertionError(first)


class MetricRow(NamedTuple):
    """What the reference says of a metric."""

    name: str
    kind: str
    labels: set[str]
    meaning: str


def metrics_table() -> list[MetricRow]:
    """Every metric, as the reference has it."""
    page = ROOT / "docs" / "reference" / "metrics.md"
    rows = [row for heading in METRICS for row in table(page, heading)]
    return [
        MetricRow(name.strip("`"), kind, set(re.findall(r"\w+", labels)), meaning)
        for name, kind, labels, _, meaning, _ in rows
    ]


def metrics_served(text: str) -> list[MetricRow]:
    """The same of what a gateway has answered; the meaning is its help."""
    return [
        MetricRow(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
            family.documentation,
        )
        for family in text_string_to_metric_families(text)
    ]


def test_the_reference_of_the_metrics_is_what_the_code_says() -> None:
    """Names, types and labels; and each meaning begins with the words that Prometheus is told."""
    feeds = [SHARED, elsewhere() | {"market": "spot"}]
    code = metrics_served(prometheus(census.snapshot(whole_figures(feeds=feeds))).decode())
    written = {row.name: row for row in metrics_table()}
    assert len(written) == len(metrics_table()), "a metric is there twice"
    assert set(written) == {row.name for row in code}
    for row in code:
        there = written[row.name]
        assert (there.kind, there.labels) == (row.kind, row.labels), row.name
        words = row.meaning.removesuffix(".")
        assert there.meaning.lower().startswith(words.lower()), f"{row.name}: {words}"


def check_cpp(block: Block) -> None:
    """Its headers are ours; tests/e2e/test_share_cpp_parts.py compiles it."""
    included = re.findall(r"^#include <(feedmux/\S+)>$", block.text, re.MULTILINE)
    assert included
    assert all((ROOT / "include" / name).is_file() for name in included)


def check_cmake(block: Block) -> None:
    """It names what our package offers; tests/e2e/test_share_cpp_parts.py builds with it."""
    offered = (ROOT / "cmake" / "feedmux-config.cmake").read_text()
    assert all(f"add_library({name} " in offered for name in re.findall(r"feedmux::\w+", block.text))


LANGUAGES: dict[str, Callable[[Block], None]] = {
    "bash": check_bash,
    "cmake": check_cmake,
    "cpp": check_cpp,
    "env": check_env,
    "json": check_json,
    "python": check_python,
    "text": check_text,
    "toml": check_toml,
    "yaml": check_yaml,
}


@pytest.mark.parametrize("block", [pytest.param(block, id=block.name) for block in blocks()])
def test_every_block_is_in_a_language_that_is_tried(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block.name}: {block.language!r}"
    LANGUAGES[block.language](block)


@pytest.mark.parametrize("block", of("toml", "env"))
def test_settings_load(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in fields():
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ("feedmux.toml" if block.language == "toml" else ".env")).write_text(block.text)
    said = {line.partition("=")[0].strip().lower() for line in block.text.splitlines() if "=" in line}
    assert load().model_fields_set == said


# What a command may be


def check_make(command: Command) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in command.args if "=" not in word} <= targets


def check_feedmux(command: Command) -> None:
    name, *rest = command.args
    if name in ("--version", "--help"):
        return
    parsed = load_command(name)
    context = parsed.make_context(name, list(rest))
    if hasattr(parsed, "resolve_command"):
        inner, subcommand, words = parsed.resolve_command(context, list(rest))
        subcommand.make_context(inner, words, parent=context)


def check_curl(command: Command) -> None:
    url = command.args[-1]
    assert url.removeprefix("http://127.0.0.1:8000") in PATHS or url == "http://127.0.0.1:4242/metrics"


def check_docker(command: Command) -> None:
    match command.args:
        case ["build", "-t", "feedmux", "."]:
            assert (ROOT / "Dockerfile").exists()
        case ["compose", "up", "--build"]:
            assert (ROOT / "docker-compose.yml").exists()
        case ["compose", "-f", file, "up", "--build", *more]:
            services = yaml.safe_load((ROOT / file).read_text())["services"]
            assert [word.partition("=")[0] in services for word in more[1::2]] == [True] * (len(more) // 2)
            assert set(more[::2]) <= {"--scale"}
        case ["run", "--rm", "-p", "8000:8000", *more, "feedmux"]:
            check_variables(more)
        case ["run", "--rm", "-p", "8080:8080", *more, "feedmux", "feedmux", "rango"]:
            assert "PORT=8080" in more, "the image's health check asks PORT"
            check_variables(more)
        case _:
            raise AssertionError(command)


def check_variables(words: list[str]) -> None:
    """What a container is given with -e."""
    assert set(words[::2]) <= {"-e"}
    assert all(is_setting(word.partition("=")[0]) for word in words[1::2])


def check_copy(command: Command) -> None:
    source, _ = command.args
    assert (ROOT / source).exists()


def check_interpreter(command: Command) -> None:
    match command.args:
        case ["-m", "pytest", *rest]:
            wanted = [word for word in rest if word.startswith("tests")]
            assert wanted and all((ROOT / word).exists() for word in wanted)
        case [script, *_]:
            compile((ROOT / script).read_text(), script, "exec")
        case _:
            raise AssertionError(command)


def check_script(command: Command) -> None:
    assert os.access(ROOT / command.words[0], os.X_OK)


def check_ulimit(command: Command) -> None:
    assert command.args[0] == "-n" and command.args[1].isdecimal()


def check_cat(command: Command) -> None:
    assert not command.args


PROGRAMS: dict[str, Callable[[Command], None]] = {
    "make": check_make,
    "feedmux": check_feedmux,
    "curl": check_curl,
    "docker": check_docker,
    "cp": check_copy,
    ".venv/bin/python": check_interpreter,
    "scripts/start.sh": check_script,
    "ulimit": check_ulimit,
    "cat": check_cat,
}


# What stands between the blocks


@each_document
def test_links_lead_to_what_is_there(path: Path) -> None:
    for link in links(path):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_every_document_is_reached_from_the_readme() -> None:
    reached, front = set[Path](), [ROOT / "README.md"]
    while front:
        path = front.pop()
        if path not in reached:
            reached.add(path)
            places = {(path.parent / link.partition("#")[0]).resolve() for link in links(path)}
            front += [place for place in places if place.suffix == ".md"]
    assert set(documents()) <= reached, set(documents()) - reached


@each_document
def test_files_that_are_named_exist(path: Path) -> None:
    for span in code_spans(path):
        if re.fullmatch(r"(src|tests|docs|scripts|bench)/[\w./-]+", span):
            assert (ROOT / span).exists(), span


@each_document
def test_settings_that_are_named_exist(path: Path) -> None:
    codes = {*op.Code, *rango.Code, *TokenCode, *Objection}
    known = {name.upper() for name in fields()} | codes | OTHER_CAPITALS
    for span in code_spans(path):
        name = span.partition("=")[0]
        if re.fullmatch(r"[A-Z]+_[A-Z_]+", name):
            assert name in known or is_setting(name), f"{name} is neither a setting nor a code"


@pytest.mark.parametrize("name", ["terminal.svg", "architecture.svg"])
def test_pictures_are_whole_and_load_nothing_from_elsewhere(name: str) -> None:
    text = (ROOT / "docs" / "pictures" / name).read_text("utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"(href|src)=|url\((?!#)|@import|@font-face", text)


# What was measured


CHARTS = "scripts/charts.py"
UNIT = r"\d[\d.,]*\s?(ms|µs|ns|s\b|%|MB|KB|M/s|deliveries/s|messages/s)"


def charts() -> dict[str, Any]:
    """The names of the script that makes the figures of docs/benchmarks.md."""
    return runpy.run_path(str(ROOT / CHARTS))


def test_figures_of_the_benchmarks_are_those_of_the_newest_stored_result() -> None:
    script = charts()
    path, page, picture = script["newest"](), script["PAGE"].read_text("utf-8"), script["PICTURE"]
    assert page == script["put"](page, script["section"](path)), f"run {CHARTS}"
    drawn = script["latency_over_load"](script["read"](path)) if path else None
    assert (picture.read_text("utf-8") if picture.exists() else None) == drawn, f"run {CHARTS}"


def test_the_benchmarks_claim_nothing_else() -> None:
    script = charts()
    text = prose(script["PAGE"]) + "\n"
    before, _, rest = text.partition(script["BEGIN"])
    made, _, after = rest.partition(script["END"])
    assert made
    assert not re.search(UNIT, before + after)
    assert script["newest"]() or made == script["NOTHING"]
    assert not re.search(UNIT, script["NOTHING"])


def test_stored_loads_are_named_by_day_host_and_commit() -> None:
    script = charts()
    for path in script["RESULTS"].glob("*-load.json"):
        assert path.name == script["stored_name"](script["read"](path))


def test_a_stored_result_becomes_a_table_and_a_picture(tmp_path: Path) -> None:
    script = charts()
    measured = measurement(
        point(rate=5000.0, deliveries_per_s=1e6, cpu_us_per_delivery=0.5), point(latency=None)
    )
    for day in (1, 2):
        one = msgspec.structs.replace(measured, at=f"2026-01-0{day}T00:00:00+00:00")
        (tmp_path / script["stored_name"](one)).write_bytes(one.encode())
    path = script["newest"](tmp_path)
    assert path.name == "2026-01-02-0123abcd-c0ffee1234-load.json"
    made = script["section"](path)
    assert "| 5,000 | 1,000,000 | 0 | 1.00 | 2.00 | 3.00 | 0.50 |" in made
    assert "| – | 10 | 0 | – | – | – | – |" in made
    page = script["PAGE"].read_text("utf-8")
    assert script["put"](script["put"](page, made), script["section"](script["newest"]())) == page


def test_decisions_are_numbered_without_a_hole() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    for number, page in enumerate(pages, 1):
        lines = page.read_text("utf-8").splitlines()
        assert page.name.startswith(f"{number:03}-")
        assert lines[0].startswith(f"# {number:03} ")
        headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
        assert headings == ["Context", "Decision", "Rejected", "Consequences"]


# The rest needs a venue and a gateway


WITH_EVERYTHING = {
    "RABBITMQ_HOST": "127.0.0.1",
    "RABBITMQ_PORT": 9,
    "JWT_PUBLIC_KEY": ed25519().pem,
    "LOCAL": "on",
    "LOCAL_NAME": f"docs-{os.getpid()}",
}
"""What lets a gateway say all that it can say of RabbitMQ, which is away, of tokens and of local programs."""


@asynccontextmanager
async def scene(set_up: Stage, **settings: object) -> AsyncIterator[tuple[Venue, Gateway]]:
    """A simulated venue that pushes candles often, and a gateway on it."""
    venue = await set_up.venue("--kline-rate", "10")
    yield venue, await set_up.gateway(venue.url, **settings)


@pytest.fixture(scope="module")
def real() -> list[Any]:
    """Real messages of every kind that the documents show."""

    async def collect() -> list[Any]:
        async with stage() as set_up:
            return [message async for message in real_messages(set_up)]

    return asyncio.run(collect())


async def real_messages(set_up: Stage) -> AsyncIterator[Any]:
    """Provoke one of each kind."""
    async with scene(set_up, **WITH_EVERYTHING) as (venue, gateway):
        client = await set_up.client(gateway)
        yield await client.subscribe("ticker:BTCUSDT", "kline:1h:BTCUSDT", "trade:BTCUSDT", "tickers.*")
        yield await client.wait(lambda m: m.get("type") == "snapshot" and "ticker" in m["stream"])
        for kind in ("ticker", "kline", "trade"):
            yield await client.wait(partial(is_update_of, kind))
        chooser = await set_up.client(gateway)
        options = {"max_rate": 7, "conflate": True, "fields": ["price", "bid"], "snapshot": True}
        yield await chooser.ask({"op": "subscribe", "args": ["ticker:BTCUSDT"], "options": options})
        yield await chooser.wait(partial(is_update_of, "ticker"))
        yield (await gateway.get("/health")).body
        yield await gateway.stats()
        await venue.do("cut")
        yield await client.status("reconnecting")
        yield await client.wait(lambda m: m.get("type") == "gap")
        yield await client.ask({"op": "ping"})
        yield await client.ask({"op": "dance"})
        yield await client.ask({"op": "unsubscribe", "args": ["ticker:BTCUSDT"]})
    async for message in real_messages_of_deribit(set_up):
        yield message
    async for message in real_messages_of_alpaca(set_up):
        yield message
    async for message in real_messages_about_tokens(set_up):
        yield message
    async for message in real_messages_of_rango(set_up):
        yield message
    nowhere = await set_up.gateway("ws://127.0.0.1:9/v5/public/linear", SUBSCRIBE_TIMEOUT=0)
    yield await (await set_up.client(nowhere)).subscribe("ticker:BTCUSDT")


async def real_messages_about_tokens(set_up: Stage) -> AsyncIterator[Any]:
    """Of a gateway that has a key, to who shows tokens."""
    signer, url = ed25519(), "ws://127.0.0.1:9/v5/public/linear"
    gateway = await set_up.gateway(url, JWT_PUBLIC_KEY=signer.pem, JWT_WARNING=3600)
    client = await set_up.client(gateway)
    good = signer.token(claims(iat=None, exp=int(time.time()) + 600))
    for token in (good, ed25519().token(claims(iat=None, exp=None))):
        yield await client.ask({"op": "auth", "args": [token]})
    yield await client.wait(lambda m: m.get("type") == "auth")


async def real_messages_of_deribit(set_up: Stage) -> AsyncIterator[Any]:
    """What is not like Bybit's."""
    venue = await set_up.deribit("--rate", "20")
    gateway = await set_up.gateway(venue.url, VENUES="deribit", DERIBIT_WS_URL=venue.url)
    client = await set_up.client(gateway)
    await client.subscribe("ticker:BTC-28DEC29-80000-C", "trade:BTC-PERPETUAL")
    for kind in ("ticker", "trade"):
        yield await client.wait(partial(is_update_of, kind))


async def real_messages_of_alpaca(set_up: Stage) -> AsyncIterator[Any]:
    """What is not like the others'."""
    venue = await set_up.alpaca("--candle-speed", "600")
    gateway = await set_up.gateway(venue.url, VENUES="alpaca", ALPACA_WS_URL=venue.url, **ALPACA_LOGIN)
    client = await set_up.client(gateway)
    await client.subscribe("ticker:AAPL", "kline:1m:AAPL", "trade:AAPL")
    for kind in ("ticker", "kline", "trade"):
        yield await client.wait(partial(is_update_of, kind))
    for verb, name in (("correct", "corrected"), ("cancel", "cancelled")):
        await venue.do(verb, symbol="AAPL", **({"price": 230.5} if verb == "correct" else {}))
        yield await client.wait(lambda m: is_update_of("trade", m) and name in m["data"][0])  # noqa: B023


async def real_messages_of_rango(set_up: Stage) -> AsyncIterator[Any]:
    """What Rango does not have, said by a gateway whose RabbitMQ is away."""
    signer = ed25519()
    running = await set_up.run("rango", env=RANGO | {"RABBITMQ_PORT": "9", "JWT_PUBLIC_KEY": signer.pem})
    match = await running.line(r"Listening on ws://127\.0\.0\.1:(\d+)/ws")
    jwt = signer.token({"uid": "U1", "role": "admin", "exp": int(time.time()) + 3600})
    async with connect(f"ws://127.0.0.1:{match[1]}/?stream=eurusd.trades") as socket:
        await socket.send(json.dumps({"event": "auth", "token": jwt}))
        message: dict[str, Any] = {}
        while "system.auth" not in message:
            message = json.loads(await socket.recv())
            yield message


def is_update_of(kind: str, message: Any) -> bool:
    return message.get("type") == "update" and f".{kind}." in message["stream"]


@pytest.mark.e2e
@pytest.mark.parametrize("block", of("json"))
def test_examples_have_the_keys_of_real_messages(block: Block, real: list[Any]) -> None:
    example = json.loads(block.text)
    if "do" in example:
        answers = (
            deribit_control.obey(deribit.DeribitSim(), block.text),
            alpaca_control.obey(alpaca.AlpacaSim(), block.text),
        )
        assert any(b'"ok":true' in answer for answer in answers), answers
        return
    if "event" in example:
        assert isinstance(rango.decode(block.text.encode()), rango.Auth)
        return
    is_valid = not isinstance(op.decode(block.text.encode(), takes_tokens=True), op.Invalid)
    is_request = is_valid and set(example) <= {"op", "args", "options"}
    assert is_request or any(is_like(example, message) for message in real), f"nothing real is like {example}"


def programs(*, of_gateway: bool) -> list[Any]:
    """The Python blocks that speak to a gateway, or those that stand alone, as parameters."""
    pages = ("client.md", "local.md", "simulators.md")  # these have tests of their own
    elsewhere = {ROOT / "docs" / page for page in pages}
    others = [each for each in of("python") if each.values[0].path not in elsewhere]
    return [each for each in others if (SHOWN_URL in each.values[0].text) == of_gateway]


@pytest.mark.e2e
@pytest.mark.parametrize("block", programs(of_gateway=False))
async def test_programs_that_stand_alone_print_what_stands_behind_their_prints(
    block: Block, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "dev",
        "-c",
        block.text,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        async with asyncio.timeout(30):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert b"Warning" not in errors, errors.decode()
    promised = re.findall(r"^ *print\(.*\)  # (.+)$", block.text, re.MULTILINE)
    assert promised
    assert sorted(output.decode().splitlines()) == sorted(promised)


async def started(block: Block, shown: str, url: str) -> Running:
    """Run a program of a document, at another address than the one that it shows."""
    assert shown in block.text
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        "-c",
        block.text.replace(shown, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Running(process, block.name)


@pytest.mark.e2e
@pytest.mark.parametrize("block", programs(of_gateway=True))
async def test_programs_run_against_a_live_gateway(block: Block) -> None:
    """A program ends by itself, or goes on: then it must have written five lines."""
    async with stage() as set_up, scene(set_up) as (_, gateway):
        program = await started(block, SHOWN_URL, gateway.url)
        try:
            await program.line(r"^mudrex\.futures\.ticker\.BTCUSDT \{'symbol': 'BTCUSDT', 'price': '[0-9.]+'")
            await program.line(r"^mudrex\.futures\.trade\.ETHUSDT \[")
        finally:
            await program.dispose()
        assert "Traceback" not in program.text


def simulated(url: str) -> list[Any]:
    """The Python blocks that speak to a simulator at that address, as parameters."""
    shown = [each for each in of("python") if each.values[0].path == SIMULATORS]
    return [each for each in shown if url in each.values[0].text]


def test_every_program_on_the_page_of_simulators_speaks_to_one() -> None:
    shown = [each for each in of("python") if each.values[0].path == SIMULATORS]
    assert len(shown) == len(simulated(DERIBIT_URL)) + len(simulated(ALPACA_URL)) == 2


async def ran_against(block: Block, shown: str, venue: str, announced: str) -> Running:
    """Run a program to its end beside the simulator that it speaks to."""
    async with stage() as set_up:
        running = await set_up.run("sim", venue, "--port", "0")
        found = await running.line(rf"simulated {announced}: (ws://\S+)")
        program = await started(block, shown, found[1])
        try:
            assert await program.end() == 0, program.text
        finally:
            await program.dispose()
    return program


@pytest.mark.e2e
@pytest.mark.parametrize("block", simulated(DERIBIT_URL))
async def test_programs_run_against_a_simulated_deribit(block: Block) -> None:
    program = await ran_against(block, DERIBIT_URL, "deribit", "Deribit")
    assert "filled" in program.text
    assert "BTC-PERPETUAL 100.0" in program.output


@pytest.mark.e2e
@pytest.mark.parametrize("block", simulated(ALPACA_URL))
async def test_programs_run_against_a_simulated_alpaca(block: Block) -> None:
    program = await ran_against(block, ALPACA_URL, "alpaca", "Alpaca")
    assert program.text.count('"success"') == 2
    assert len(re.findall(r"^AAPL [0-9.]+ [0-9]+ \S+Z$", program.text, re.MULTILINE)) >= 5


def test_the_simulators_know_what_their_page_says() -> None:
    """Methods and verbs are listed whole; paths and options that are named exist."""
    for scope in ("public", "private"):
        cells = [row[1] for row in tables(SIMULATORS, f"| {scope} methods | |")]
        named = {f"{scope}/{name}" for cell in cells for name in re.findall(r"`(\w+)`", cell)}
        assert named == {name for name in deribit_session.METHODS if name.startswith(scope)}
    verbs = [row[0] for row in tables(SIMULATORS, "| verb | fields | what it does |")]
    assert {name for cell in verbs for name in re.findall(r"`(\w+)`", cell)} == set(deribit_control.VERBS)
    verbs = [row[0] for row in tables(SIMULATORS, "| verb | fields | what the simulated Alpaca does |")]
    assert {name for cell in verbs for name in re.findall(r"`(\w+)`", cell)} == set(alpaca_control.VERBS)
    assert set(control.VERBS) - {"state"} <= set(deribit_control.VERBS) & set(alpaca_control.VERBS)
    paths = {span for span in code_spans(SIMULATORS) if span.startswith("/")}
    served = {deribit.PATH, *alpaca.PATHS}
    assert paths == served | {f"/v5/public/{name}" for name in options.MARKETS}
    named = {name for text in code_spans(SIMULATORS) for name in re.findall(r"--[a-z-]+", text)}
    assert named - {"--help"} <= {name for command in simulator_commands() for name in command}


def tables(path: Path, head: str) -> list[tuple[str, ...]]:
    """The rows of the table that begins with this line."""
    lines = prose(path).splitlines()
    first = lines.index(head) + 2
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip().strip("|").split("|")))
    return rows


def simulator_commands() -> list[set[str]]:
    """The options of each simulator."""
    group = load_command("sim")
    return [
        {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for command in group.commands.values()
    ]


def feedmux_commands() -> list[Any]:
    """Every feedmux command of every document, as parameters."""
    return [
        pytest.param(command, id=f"{block.name} {' '.join(command.args)}")
        for block in blocks()
        if block.language == "bash"
        for command in commands(block)
        if command.program == "feedmux"
    ]


def replaced(words: list[str], option: str, value: str) -> list[str]:
    """``words`` with this value of an option, added if it was not there."""
    if option in words:
        at = words.index(option)
        return [*words[: at + 1], value, *words[at + 2 :]]
    return [*words, option, value]


@pytest.mark.e2e
@pytest.mark.parametrize("command", feedmux_commands())
async def test_commands_do_what_they_are_shown_for(command: Command, tmp_path: Path) -> None:
    for block in blocks():
        if block.language in ("toml", "env"):
            (tmp_path / ("feedmux.toml" if block.language == "toml" else ".env")).write_text(block.text)
    Authority(tmp_path, cert="fullchain.pem", key="privkey.pem")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ed25519-key.pub").write_text(ed25519().raw_pem)
    async with stage() as set_up:
        await TRIALS[command.args[0]](set_up, command, str(tmp_path))


async def try_serve(set_up: Stage, command: Command, cwd: str) -> None:
    """It listens, and ends when it is told to."""
    venue = await set_up.venue()
    nowhere = "ws://127.0.0.1:9/ws/api/v2"
    urls = {"BYBIT_WS_URL": venue.url, "DERIBIT_WS_URL": nowhere, "ALPACA_WS_URL": nowhere}
    if "REDIS_URL" in command.environment:
        urls["REDIS_URL"] = "redis://127.0.0.1:9"  # that of nobody: a node serves without it, too
    env = command.environment | {"HOST": "127.0.0.1", "PORT": "0"} | urls
    words = replaced(command.args, "--port", "0") if "--port" in command.args else command.args
    running = await set_up.run(*words, "--set", "log_level=INFO", env=env, cwd=cwd)
    scheme = "wss" if "tls_cert=fullchain.pem" in words else "ws"
    await running.line(rf"Listening on {scheme}://127\.0\.0\.1:\d+/ws")
    assert await running.stop() == 0


async def try_sim(set_up: Stage, command: Command, cwd: str) -> None:
    """It says where it is."""
    running = await set_up.run(*replaced(command.args, "--port", "0"), cwd=cwd)
    await running.line(r"ws://127\.0\.0\.1:\d+/(v5/public/linear|ws/api/v2|v2/iex)")


async def try_tail(set_up: Stage, command: Command, cwd: str) -> None:
    """It writes as many messages as it was asked for."""
    others = {}
    if any("@deribit" in word for word in command.args):
        others = {"VENUES": "bybit.linear,deribit", "DERIBIT_WS_URL": (await set_up.deribit()).url}
    if any("@alpaca" in word for word in command.args):
        others = {
            "VENUES": "bybit.linear,alpaca",
            "ALPACA_WS_URL": (await set_up.alpaca()).url,
        } | ALPACA_LOGIN
    tls = (
        {"TLS_CERT": f"{cwd}/fullchain.pem", "TLS_KEY": f"{cwd}/privkey.pem"}
        if "--ca" in command.args
        else {}
    )
    async with scene(set_up, **({"VENUES": "bybit.linear,bybit.spot"} | others | tls)) as (_, gateway):
        url = gateway.url.replace("ws:", "wss:") if tls else gateway.url
        words = replaced(replaced(command.args, "--url", url), "--count", "2")
        running = await set_up.run(*words, cwd=cwd)
        assert await running.end() == 0, running.text
    assert len([line for line in running.output if line.startswith('{"stream":')]) == 2


async def try_bench(set_up: Stage, command: Command, cwd: str) -> None:
    """It measures, on a smaller scale, and nothing is lost."""
    words = command.args
    for option, value in (("--clients", "20"), ("--seconds", "0.5"), ("--rates", "50")):
        words = replaced(words, option, value) if option in words else words
    async with scene(set_up) as (_, gateway):
        words = [gateway.url if word.startswith("ws://") else word for word in words]
        running = await set_up.run(*words, "--warmup", "0.2", cwd=cwd)
        assert await running.end(60) == 0, running.text
    assert "deliveries" in running.text


async def try_demo(set_up: Stage, command: Command, cwd: str) -> None:
    """A node is killed, and another one follows."""
    words = replaced(replaced(command.args, "--port", "0"), "--kill-after", "0.2")
    running = await set_up.run(*words, env=debian_program("redis-server", ["redis-server"]).in_path, cwd=cwd)
    await running.line(r"'s clients: `reconnecting` after .* s, prices after .* s$", 60)
    assert await running.stop(signal.SIGINT) == 0


async def try_and_end(set_up: Stage, command: Command, cwd: str) -> None:
    """It does its work and ends well."""
    running = await set_up.run(*command.args, cwd=cwd)
    assert await running.end() == 0, running.text


async def try_rango(set_up: Stage, command: Command, cwd: str) -> None:
    """It listens, whether its RabbitMQ is there or not, and ends when it is told to."""
    env = command.environment | RANGO
    running = await set_up.run(*command.args, "--set", "log_level=INFO", env=env, cwd=cwd)
    await running.line(r"Listening on ws://127\.0\.0\.1:\d+/ws")
    assert await running.stop() == 0


TRIALS = {
    "serve": try_serve,
    "demo": try_demo,
    "rango": try_rango,
    "token": try_and_end,
    "sim": try_sim,
    "tail": try_tail,
    "bench": try_bench,
    "config": try_and_end,
    "--version": try_and_end,
    "--help": try_and_end,
}


@pytest.mark.e2e
async def test_the_demo_shows_prices_and_ends(tmp_path: Path) -> None:
    """What `make demo` runs, where there is no terminal: a line per stream and second."""
    assert "$(BIN)/feedmux demo\n" in (ROOT / "Makefile").read_text()
    async with stage() as set_up:
        running = await set_up.run("demo", "--port", "0", "--seconds", "3", cwd=str(tmp_path))
        assert await running.end() == 0, running.text
    for stream in ("ticker BTCUSDT", "ticker DOGEUSDT", "kline 1m BTCUSDT", "trade ETHUSDT"):
        assert re.search(rf"^{stream} +[0-9.]+", running.text, re.MULTILINE), running.text


@pytest.mark.e2e
async def test_paths_and_metrics_that_are_named_are_served() -> None:
    named = {
        re.split(r"[ {]", span)[0]
        for path in documents()
        for span in code_spans(path)
        if re.match(r"feedmux_[a-z_]+( |\{|$)", span)
    }
    assert named
    settings = {**WITH_EVERYTHING, "REDIS_URL": "redis://127.0.0.1:9"}
    async with stage() as set_up, scene(set_up, **settings) as (_, gateway):
        client = await set_up.client(gateway)
        await client.subscribe("ticker:BTCUSDT")
        for path in PATHS:
            assert (await gateway.get(path)).status == 200
        text = (await gateway.get("/metrics")).body
    served, written = metrics_served(text), {row.name: row for row in metrics_table()}
    assert {row.name for row in served} == set(written)
    assert named <= set(written), "a document names a metric that there is not"
    for row in served:
        assert (row.kind, row.labels - written[row.name].labels) == (written[row.name].kind, set()), row.name
