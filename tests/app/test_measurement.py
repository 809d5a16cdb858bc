from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

import feedmux
from feedmux.app.measurement import (
    Incomplete,
    Machine,
    Measurement,
    Point,
    SlowClients,
    commit_of,
    doubts,
    faults,
    read,
)
from support.measurements import delays, measurement, point

PACKAGE = Path(feedmux.__file__).parent


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    measured = measurement(point(rate=100.0, venue_behind=3), point(close_codes=(4008,)))
    (tmp_path / "m.json").write_bytes(measured.encode())
    assert read(tmp_path / "m.json") == measured
    assert measured.encode().endswith(b"}\n")


def test_what_is_not_known_is_absent() -> None:
    written = json.loads(measurement(point(latency=None), commit=None).encode())
    assert "commit" not in written
    assert not {"latency", "rate", "cpu_us_per_delivery", "close_codes", "slow"} & written["points"][0].keys()
    assert written["points"][0]["lost"] == 0


def test_a_document_of_something_else_is_no_measurement(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"benches": {}}')
    with pytest.raises(msgspec.DecodeError):
        read(tmp_path / "x.json")


def test_the_title_names_machine_and_commit_or_version() -> None:
    assert measurement().title == "A <fast> CPU, 2 cores, commit c0ffee1234, 2026-11-21"
    assert "feedmux 0.1.0" in measurement(commit=None).title


SLOW = SlowClients(deliveries=1, lost=7, conflated=5, announced=3, closed=2)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (point(rate=5000.0, lost=1200), "at 5,000 messages/s, 1,200 messages were lost without a word"),
        (point(slow=SLOW), "in this run, 7 messages were lost without a word"),
        (point(disorder=2), "in this run, 2 messages came after newer ones"),
        (point(closed=3, close_codes=(1001, 4008)), "in this run, the server closed 3 clients (1001, 4008)"),
        (point(closed=1), "in this run, the server closed 1 clients (no code)"),
    ],
)
def test_every_fault_is_a_sentence(bad: Point, sentence: str) -> None:
    assert list(faults([point(), bad])) == [sentence]


def test_announced_holes_and_conflation_are_no_faults() -> None:
    slow = msgspec.structs.replace(SLOW, lost=0)
    assert list(faults([point(announced=9, duplicates=1, slow=slow)])) == []


@pytest.mark.parametrize(
    ("doubtful", "words"),
    [
        (point(load_busy=0.95), "the load used up its core"),
        (point(rate=100.0, venue_behind=11), "did not take all that was sent"),
        (point(latency=None), "latency is not known"),
        (point(latency=delays(1, 2, 3, measured=9)), "which not all do"),
    ],
)
def test_every_doubt_is_a_sentence(doubtful: Point, words: str) -> None:
    (sentence,) = doubts([doubtful])
    assert words in sentence


def test_a_good_run_leaves_no_doubt() -> None:
    assert list(doubts([point(), point(rate=100.0, venue_behind=10)])) == []


def test_a_run_that_was_not_clean_is_an_error_with_all_its_sentences() -> None:
    assert str(Incomplete(["a", "b"])) == "a\nb"


def test_the_commit_is_that_of_our_own_files_only(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert commit_of(tmp_path) is None
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "somebody else's")
    ours = tmp_path / "__init__.py"
    ours.write_text("")
    assert commit_of(tmp_path) is None
    git("add", "__init__.py")
    git("commit", "-q", "-m", "ours")
    clean = commit_of(tmp_path)
    assert clean is not None
    assert len(clean) == 10
    ours.write_text("changed")
    assert commit_of(tmp_path) == f"{clean}+"


def test_the_machine_is_described_without_its_name() -> None:
    machine = Machine.this()
    assert machine.cpu
    assert machine.cores >= 1
    assert len(machine.host) == 8


def test_every_field_of_the_document_is_described() -> None:
    """docs/benchmarks.md promises it."""
    page = (PACKAGE.parents[1] / "docs" / "benchmarks.md").read_text()
    assert [name for name in fields_of(Measurement) if f"`{name}`" not in page] == []


def fields_of(struct: type[msgspec.Struct]) -> list[str]:
    """The fields of a struct and of all structs in it."""
    names = []
    for field in msgspec.structs.fields(struct):
        names.append(field.encode_name)
        inner = [field.type, *getattr(field.type, "__args__", ())]
        for one in inner:
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                names += fields_of(one)
    return names
