"""Room for open files, tried in processes of their own: limits and tables are never taken back."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, resource, sys
from feedmux.app.descriptors import make_room
soft, hard, clients, half_open, programs = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logging.basicConfig(format="%(message)s", stream=sys.stdout)
print(make_room(clients, half_open, local_programs=programs), *resource.getrlimit(resource.RLIMIT_NOFILE))
status = open("/proc/self/status").read()
print(status.partition("FDSize:")[2].split()[0])
"""


def room(
    soft: int, hard: int, clients: int, half_open: int, programs: int = 0
) -> tuple[list[str], list[int], int]:
    """(what was said, [limit it returned, soft, hard], entries of the kernel's table)."""
    words = map(str, (soft, hard, clients, half_open, programs))
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    *said, limits, entries = done.stdout.splitlines()
    return said, [int(word) for word in limits.split()], int(entries)


def test_the_soft_limit_is_raised_to_what_is_needed_and_no_further() -> None:
    assert room(256, 4096, 1000, 100)[:2] == ([], [1356, 1356, 4096])
    assert room(256, 4096, 1000, 100, 16)[:2] == ([], [1436, 1436, 4096])


def test_a_soft_limit_that_suffices_is_left_alone() -> None:
    assert room(2000, 4096, 1000, 100)[:2] == ([], [2000, 2000, 4096])


def test_the_table_has_all_its_entries_at_once() -> None:
    assert 1356 <= room(256, 4096, 1000, 100)[2] < 2 * 1356 + 64


@pytest.mark.parametrize("hard", [256, 1355])
def test_a_hard_limit_that_is_too_low_is_used_up_and_told(hard: int) -> None:
    (said,), limits, entries = room(200, hard, 1000, 100)
    assert limits == [hard, hard, hard]
    assert entries >= hard
    assert said == (
        f"This process may open {hard} files, which is too few for MAX_CLIENTS_TOTAL=1000 and "
        "MAX_HALF_OPEN=100 (1356 are needed): raise the hard limit (ulimit -Hn) or lower these"
    )
