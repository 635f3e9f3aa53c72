"""The root of the repository on sys.path, which tests are slow, and when one is tried again."""

import gc
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, and below it what tests share
sys.path.insert(1, str(Path(__file__).parent))

from lab.load.machine import steal_share
from lab.load.processtable import read_cpu_times

STEAL_SHARE = 0.01
began = read_cpu_times()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Note where the machine's time went before each try of a test."""
    global began
    began = read_cpu_times()


def host_took_time() -> bool:
    """Whether the machine's hypervisor kept a part of its time since the test began."""
    return steal_share(began, read_cpu_times()) > STEAL_SHARE


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests are of the default client; those of the other one are slow by rule.

    What fails on a machine that had all of its time has failed; else it is tried again.
    """
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=3, reruns_delay=1, condition=host_took_time))
        parameters = getattr(item, "callspec", None)
        if parameters and parameters.params.get("client") == "aiohttp":
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave pytest's own objects out of the collection that begins each run of load."""
    gc.collect()
    gc.freeze()
