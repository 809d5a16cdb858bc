from __future__ import annotations

import os
import time

from feedmux.app.cpu import cpu_seconds


def test_what_a_process_used_is_what_the_system_says() -> None:
    before = cpu_seconds(os.getpid())
    assert before is not None
    end = time.process_time() + 0.05
    while time.process_time() < end:
        continue
    after = cpu_seconds(os.getpid())
    assert after is not None
    assert 0.03 <= after - before < 5


def test_a_process_that_is_not_there_has_no_time() -> None:
    assert cpu_seconds(2**22 + 1) is None
