"""When a test is tried again: only where the host of a virtual machine took its time."""

from __future__ import annotations

import sys

import pytest

from lab.load.processtable import CpuTimes

conftest = next(m for m in sys.modules.values() if getattr(m, "host_took_time", None))


@pytest.mark.parametrize("stolen_s, again", [(0.0, False), (0.5, False), (5.0, True)])
def test_a_test_is_tried_again_only_where_the_host_took_time(stolen_s, again, monkeypatch):
    monkeypatch.setattr(conftest, "began", CpuTimes(20.0, 1.0))
    monkeypatch.setattr(conftest, "read_cpu_times", lambda: CpuTimes(120.0, 1.0 + stolen_s))
    assert conftest.host_took_time() is again
