from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from feedmux.app.log import configure, configure_later, writes_json
from feedmux.app.secret import Secret
from feedmux.app.settings import Settings


class Screen(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def fail(reason: str) -> None:
    password = "hunt" + "er2"
    assert len(password) == 7
    raise ValueError(reason)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("log_json", "environment", "terminal", "json_lines"),
    [
        (None, "production", False, True),
        (None, "production", True, False),
        (None, "development", False, False),
        (None, "development", True, False),
        (True, "development", True, True),
        (False, "production", False, False),
    ],
)
def test_when_lines_are_json(
    log_json: bool | None, environment: str, terminal: bool, json_lines: bool
) -> None:
    settings = Settings(log_json=log_json, environment=environment)
    assert writes_json(settings, terminal=terminal) is json_lines


def test_a_standard_record_becomes_one_json_line_with_its_fields() -> None:
    stream = io.StringIO()
    configure(Settings(), stream)
    logging.getLogger("feedmux.feed").warning("lost %d of %s", 3, "linear", extra={"url": "ws://h", "n": 1})
    (line,) = lines(stream)
    moment = str(line.pop("timestamp"))
    assert moment.endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()) < 60
    assert line == {
        "level": "WARNING",
        "logger": "feedmux.feed",
        "message": "lost 3 of linear",
        "url": "ws://h",
        "n": 1,
    }


def test_a_structlog_event_looks_the_same() -> None:
    stream = io.StringIO()
    configure(Settings(), stream)
    structlog.get_logger("feedmux.app").info("started", port=8000)
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "logger", "message", "port"]
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "feedmux.app", "started")


def test_an_exception_comes_with_its_traceback_in_one_line() -> None:
    stream = io.StringIO()
    configure(Settings(), stream)
    try:
        fail("bad\nnews")
    except ValueError:
        logging.getLogger("x").exception("failed", extra={"n": 1})
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "logger", "message", "exception", "n"]
    assert str(line["exception"]).startswith("Traceback") and "ValueError: bad\nnews" in str(
        line["exception"]
    )


def test_values_that_are_no_json_and_secrets_do_not_break_a_line() -> None:
    stream = io.StringIO()
    configure(Settings(), stream)
    logging.getLogger("x").warning("odd", extra={"secret": Secret("hunter2"), "thing": {1}})
    (line,) = lines(stream)
    assert (line["secret"], line["thing"]) == ("***", "{1}")


def test_people_get_colours_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, coloured in ((Screen(), True), (io.StringIO(), False)):
        configure(Settings(log_json=False), stream)
        logging.getLogger("feedmux.x").info("started", extra={"port": 8000})
        assert ("\x1b[" in stream.getvalue()) is coloured
        assert "started" in stream.getvalue() and "8000" in stream.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Screen()
    configure(Settings(), stream)
    logging.getLogger("x").warning("plain")
    assert "\x1b[" not in stream.getvalue()


def test_tracebacks_for_people_show_no_local_variables() -> None:
    stream = Screen()
    configure(Settings(), stream)
    try:
        fail("bad news")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "ValueError: bad news" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        (Settings(), ["i", "w"]),
        (Settings(log_level="WARNING"), ["w"]),
        (Settings(log_level="WARNING", debug=True), ["d", "i", "w"]),
    ],
)
def test_level_and_debug_decide_what_is_logged(settings: Settings, seen: list[str]) -> None:
    stream = io.StringIO()
    configure(settings, stream)
    log = logging.getLogger("feedmux.x")
    log.debug("d")
    log.info("i")
    log.warning("w")
    assert [line["message"] for line in lines(stream)] == seen


def test_configuring_again_replaces_what_was_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(Settings(), first)
    configure(Settings(), second)
    logging.getLogger("x").warning("once")
    assert not first.getvalue()
    assert len(lines(second)) == 1


def test_what_is_configured_later_is_there_for_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_later(Settings(log_json=True, log_level="INFO"))
    logging.getLogger("feedmux.child").debug("not this one")
    assert type(logging.getLogger().handlers[0]).__name__ == "_FirstLine"
    for number in (1, 2):
        logging.getLogger("feedmux.child").info("said %d", number)
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["logger"], line["message"]) for line in found] == [
        ("feedmux.child", "said 1"),
        ("feedmux.child", "said 2"),
    ]
