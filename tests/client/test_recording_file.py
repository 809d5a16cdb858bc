from __future__ import annotations

import os
import resource
import signal
import socket
import stat
from pathlib import Path

import pytest

from feedmux.client.recording_file import RecordingFile
from feedmux.model.errors import InvalidSetting
from support.peers import open_descriptors


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_belongs_to_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    before = os.umask(0)
    try:
        file = RecordingFile(str(path))
    finally:
        os.umask(before)
    file.write(b"one\n")
    file.write(b"")
    file.write(b"two\n")
    assert file.size == 8
    file.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert mode_of(path) == 0o600


def test_a_file_that_is_there_is_emptied_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text("a longer line than the new one\n")
    path.chmod(0o644)
    file = RecordingFile(str(path))
    file.write(b"new\n")
    file.close()
    assert path.read_bytes() == b"new\n"
    assert mode_of(path) == 0o600


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_text("keep me")
    link.symlink_to(precious)
    with pytest.raises(InvalidSetting, match="path"):
        RecordingFile(str(link))
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidSetting):
        RecordingFile(str(tmp_path / "dangling"))
    assert precious.read_text() == "keep me"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_has_another_name_is_not_emptied(tmp_path: Path) -> None:
    precious, other = tmp_path / "precious", tmp_path / "other"
    precious.write_text("keep me")
    other.hardlink_to(precious)
    with pytest.raises(InvalidSetting, match="without other names"):
        RecordingFile(str(other))
    assert precious.read_text() == "keep me"


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        for path in ("pipe", "socket", ".", "missing/file", "nul\0"):
            with pytest.raises(InvalidSetting):
                RecordingFile(str(tmp_path / path))
        with pytest.raises(InvalidSetting):
            RecordingFile("/dev/null")
    finally:
        os.close(reader)
    with pytest.raises(InvalidSetting):
        RecordingFile(str(tmp_path / "pipe"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "theirs"
    path.write_text("keep me")
    os.chown(path, 65534, 65534)
    with pytest.raises(InvalidSetting):
        RecordingFile(str(path))
    assert path.read_text() == "keep me"


def test_two_recorders_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    first = RecordingFile(str(path))
    first.write(b"one\n")
    with pytest.raises(InvalidSetting, match="no other recorder writes"):
        RecordingFile(str(path))
    assert path.read_bytes() == b"one\n"
    first.close()
    RecordingFile(str(path)).close()


def test_a_refusal_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    before = open_descriptors()
    for path in (".", "missing/file", "other"):
        with pytest.raises(InvalidSetting):
            RecordingFile(str(tmp_path / path))
    assert open_descriptors() == before


def test_what_a_full_disk_took_of_a_portion_is_cut_off_again(tmp_path: Path) -> None:
    path = tmp_path / "full.jsonl"
    file = RecordingFile(str(path))
    file.write(b"x" * 99 + b"\n")
    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(OSError, match="File too large"):
                file.write(b"y" * 99 + b"\n")
        assert path.stat().st_size == file.size == 100
        file.write(b"z" * 9 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)
    file.close()
    assert path.read_bytes() == b"x" * 99 + b"\n" + b"z" * 9 + b"\n"
