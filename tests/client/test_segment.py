"""Memory that processes share, on the real system."""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from feedmux.client.segment import (
    make_bell,
    make_page,
    make_ring,
    open_page,
    open_ring,
    ring_bell,
    silence_bell,
)
from feedmux.core.ring import HEADER_BYTES, PAGE_BYTES
from feedmux.model.errors import InvalidSetting
from feedmux.model.ring_errors import InvalidRing, NoMemory


def test_a_reader_sees_what_the_writer_writes_and_cannot_write_itself() -> None:
    memory, descriptor = make_ring(4096)
    seen = open_ring(descriptor)
    memory[100:103] = b"abc"
    assert seen[100:103] == b"abc"
    assert len(seen) == HEADER_BYTES + 4096
    with pytest.raises(TypeError):
        seen[0:1] = b"x"
    with pytest.raises(PermissionError):
        mmap.mmap(descriptor, len(seen))
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_even_another_way_to_the_memory_is_closed_to_readers() -> None:
    _, descriptor = make_ring(4096)
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
    with pytest.raises(PermissionError):
        mmap.mmap(again, HEADER_BYTES + 4096)
    with pytest.raises(PermissionError):
        os.pwrite(again, b"x", 0)
    os.close(again)
    os.close(descriptor)


def test_a_seat_is_written_by_both() -> None:
    page, descriptor = make_page()
    theirs = open_page(descriptor)
    assert len(theirs) == PAGE_BYTES
    theirs[0] = 1
    assert page[0] == 1
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_nothing_is_left_in_the_file_system_and_the_memory_is_there_from_the_start() -> None:
    _, descriptor = make_ring(1 << 20)
    status = os.fstat(descriptor)
    assert status.st_nlink == 0
    assert status.st_blocks * 512 >= HEADER_BYTES + (1 << 20)
    os.close(descriptor)


def test_a_bell_rings_until_it_is_silenced() -> None:
    bell = make_bell()
    silence_bell(bell)
    ring_bell(bell)
    ring_bell(bell)
    assert os.eventfd_read(bell) == 2
    ring_bell(bell)
    silence_bell(bell)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bell)
    os.eventfd_write(bell, 2**64 - 2)
    ring_bell(bell)  # it is full, and nobody waits for it
    os.close(bell)


@pytest.mark.parametrize("capacity", [0, 512, 1000, 1025, 1 << 41, -4096])
def test_sizes_that_are_none_are_named(capacity: int) -> None:
    with pytest.raises(InvalidSetting, match="capacity"):
        make_ring(capacity)


@pytest.mark.parametrize("reader", [open_ring, open_page])
def test_what_may_shrink_or_is_no_memory_is_not_mapped(reader: type) -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(8192)
        with pytest.raises(InvalidRing, match="the memory of a"):
            reader(file.fileno())
    unsealed = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, 8192)
    with pytest.raises(InvalidRing, match="may shrink"):
        reader(unsealed)
    os.close(unsealed)
    with pytest.raises(InvalidRing, match="descriptor that is none"):
        reader(unsealed)


HUNGRY = f"""
import resource
from feedmux.client.segment import make_bell, make_ring, make_page
from feedmux.model.ring_errors import NoMemory
resource.setrlimit({resource.RLIMIT_AS}, (1 << 30, 1 << 30))
for make in (lambda: make_ring(1 << 31), ):
    try:
        make()
    except NoMemory as error:
        print(error)
import os
first = os.open("/dev/null", os.O_RDONLY)
os.close(first)
resource.setrlimit({resource.RLIMIT_NOFILE}, (first, first))
for make in (lambda: make_ring(4096), make_page, make_bell):
    try:
        make()
    except NoMemory as error:
        print(error)
"""


def test_memory_and_descriptors_that_cannot_be_had_are_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert all("of shared memory cannot be had: [Errno " in line for line in said)


def test_more_than_the_machine_has_left_is_not_even_asked_for() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(NoMemory, match=r"1099511631872 bytes .* cannot be had: \d+ bytes are left"):
        make_ring(1 << 40)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_an_error_names_how_much_was_asked_for() -> None:
    assert str(NoMemory(4096, "no")) == "4096 bytes of shared memory cannot be had: no"
