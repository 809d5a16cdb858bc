from __future__ import annotations

from pathlib import Path

import pytest

from feedmux.app.cli import load_command
from feedmux.model.errors import FeedmuxError, LocalError
from support.running import SOURCE

pytestmark = pytest.mark.e2e

NOWHERE = "ws://127.0.0.1:9/ws"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children run the package under test; no file of this machine configures anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


def failure(*args: str) -> FeedmuxError:
    """Run ``feedmux bench``; how it fails."""
    with pytest.raises(FeedmuxError) as caught:
        load_command("bench").main(list(args), standalone_mode=False)
    return caught.value


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["http://127.0.0.1/ws"], "URL: 'http://127.0.0.1/ws' does not work; expected ws://HOST[:PORT]/PATH"),
        ([NOWHERE, "--rates", "5"], "--rates: '5' does not work; expected no URL beside it"),
        ([NOWHERE, "--set", "port=5"], "--set: 'port=5' does not work; expected no URL beside it"),
        (["--rates", "5,x"], "--rates: '5,x' does not work; expected messages per second"),
        (["--rates", "0"], "--rates: '0' does not work; expected messages per second"),
        (["--clients", "0"], "--clients: 0 does not work; expected a number from 1 to 1000000"),
        (["--topics", ", ,"], "--topics: 0 does not work; expected 1 to 4096 topics"),
        (["--topics-file", "none.txt"], "--topics-file: 'none.txt' does not work; expected a text file"),
        (["--slow", "0.6", "--stop-reading", "0.4"], "--slow: 0.6 does not work; expected a share"),
        (["--json", "no/such.json"], "no/such.json cannot be written: there is no folder no"),
        (
            ["--set", "LOG-LEVEL=ERROR"],
            "--set: 'log_level=ERROR' does not work; expected none of bybit_ws_url",
        ),
        (["--set", "max_clinets=3"], "--max-clinets is not a setting; did you mean --max-clients-total?"),
    ],
)
def test_what_cannot_be_asked_for_is_our_callers_mistake(args: list[str], sentence: str) -> None:
    error = failure(*args)
    assert isinstance(error, LocalError)
    assert str(error).startswith(sentence)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([NOWHERE], f"no connection to {NOWHERE}: Connection refused"),
        (["--clients", "1000000"], "the gateway needs 1,000,128 open files and may have"),
        (["--topics", "kline:1h:BTCUSDT"], "kline:1h:BTCUSDT was refused: bybit.linear refused it"),
    ],
)
def test_what_fails_is_one_sentence(args: list[str], sentence: str) -> None:
    error = failure(*args)
    assert not isinstance(error, LocalError)
    assert str(error).startswith(sentence)
    assert "\n" not in str(error)


def test_topics_may_stand_in_a_file() -> None:
    Path("topics.txt").write_text("trade:AUSDT\ntrade:BUSDT trade:AUSDT\n\ndance:CUSDT\n")
    assert str(failure("--topics-file", "topics.txt", "--clients", "1")).startswith("dance:CUSDT was refused")
