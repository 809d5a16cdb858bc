"""One measured run of one way between processes: a pair of processes of its own, each on its core."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from bench.rivals.hops import Hop
from bench.system.native import LOAD_CORE, SERVER_CORE, BenchError, core_number
from bench.system.run import Sample

_ROOT = Path(__file__).parents[2]
_WARMUP_S = 0.2
_PATIENCE_S = 30.0
_END_S = 5.0


def cross(hop: Hop, reading: str, how: str, *, seconds: float, rate: float = 1_000, burst: int = 1) -> Sample:
    """Let messages cross for so long; :class:`bench.hop.port.Work` says what the arguments mean.

    Returns:
        What the reader counted, CPU time per message of both sides, and under ``foreign_share`` what others
        took from the core that was disturbed more.

    Raises:
        BenchError: it could not be measured.
    """
    cores = f"{core_number(SERVER_CORE)},{core_number(LOAD_CORE)}"
    words: list[object] = [hop.transport, reading, how, "--rate", rate, "--burst", burst]
    words += ["--seconds", seconds, "--warmup", min(seconds, _WARMUP_S), "--cores", cores]
    command = [str(hop.python), "-m", "bench.hop", *map(str, words)]
    sample: Sample = json.loads(last_line(command, 2 * seconds + _PATIENCE_S))
    writer, reader = sample["writer"], sample["reader"]
    return {
        **sample,
        "writer_cpu_us": writer["cpu_s"] / max(1, sample["sent"]) * 1e6,
        "reader_cpu_us": reader["cpu_s"] / max(1, sample["received"]) * 1e6,
        "foreign_share": max(writer["foreign_share"], reader["foreign_share"]),
    }


def last_line(command: list[str], timeout_s: float) -> str:
    """The last line that a pair printed; none of its processes stays, however it ends.

    Raises:
        BenchError: it failed, or did not end in time.
    """
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as pair:
        try:
            said, complaint = pair.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{' '.join(command[2:5])} did not end") from error
        finally:
            _end(pair)
    if pair.returncode:
        words = complaint.strip().splitlines() or ["it said nothing"]
        raise BenchError(f"{' '.join(command[2:5])}: {words[-1]}")
    return said.splitlines()[-1]


def _end(pair: subprocess.Popen[str]) -> None:
    """End what is left of a pair; the process that tidies up after Python's own queues is deaf to SIGTERM."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pair.pid, signal.SIGTERM)
    try:
        pair.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(pair.pid, signal.SIGKILL)
