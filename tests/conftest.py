"""The root of the repository on sys.path, for `import loadgen`; and which tests are slow."""

import gc
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests are of the default client; those of the other one are slow by rule."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        if parameters and parameters.params.get("client") == "aiohttp":
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave pytest's own objects out of the collection that begins each run of load."""
    gc.collect()
    gc.freeze()
