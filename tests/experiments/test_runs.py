"""Every experiment from a bare copy: its app alone, and a quick run. No timing is asserted, so
they run side by side.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from servers import installed

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
AT_ONCE = 2 * max(2, os.cpu_count() or 1)  # half of their time they wait
LONGEST_S = 300
OURS = {
    "harness", "lab", "loadgen", "summarize", "numpy", "aiohttp", "hdrh", "msgspec", "psutil",
    "tqdm",
}  # fmt: skip

pytestmark = pytest.mark.slow
every_experiment = pytest.mark.parametrize("script", EXPERIMENTS, ids=lambda path: path.stem)


@every_experiment
def test_an_experiment_is_a_plain_app(script, tmp_path):
    """A bare copy imports with its frameworks alone: nothing of ours is loaded."""
    shutil.copy(script, tmp_path)
    used = {name for name in OURS if f"import {name}" in script.read_text(encoding="utf-8")}
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({OURS - used!r})); sys.path.insert(0, '.');"
        f"__import__({script.stem!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def needs_of(script: Path) -> list[str]:
    """The programs that a script says it needs."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "needs":
            return list(ast.literal_eval(node.value))
    return []


def run_copy(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A quick run of one round, from a folder with the lab and its door beside the script."""
    for path in (script, ROOT / "experiments" / "harness.py"):
        shutil.copy(path, folder)
    shutil.copytree(ROOT / "lab", folder / "lab")  # compiled as it is, which saves seconds
    return subprocess.run(
        [sys.executable, str(folder / script.name), "--quick", "--rounds", "1"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, tuple[Path, Future[subprocess.CompletedProcess[str]]]]]:
    """The quick runs of all scripts that were chosen, a few at a time."""
    chosen = [
        item.callspec.params["script"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_a_quick_run_from_a_copy"
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {}
        for script in chosen:
            folder = tmp_path_factory.mktemp(script.stem)
            begun[script] = folder, pool.submit(run_copy, script, folder)
        yield begun


def runs_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@every_experiment
def test_a_quick_run_from_a_copy(script, runs):
    folder, run = runs[script]
    done = run.result()
    if done.returncode == 1:
        list(map(installed, needs_of(script)))  # skips where one is not there
    assert done.returncode in (0, 3), done.stderr
    assert [line for line in done.stdout.splitlines() if len(line) > 79] == []
    assert re.search("REPRODUCED|STATED|EXAGGERATED|INCONCLUSIVE", done.stdout)
    assert "Traceback" not in done.stderr
    assert runs_in(folder) == []
