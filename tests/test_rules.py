"""The rules of the house, for every file that is there: a new one cannot be forgotten."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import conftest
import evidence
import psutil
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import summarize

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
SHARED = {"loadgen.py": 900, "summarize.py": 900, "experiments/harness.py": 450}
MAY_IMPORT = {"summarize.py": set(), "loadgen.py": {"summarize"}}  # of our own
OURS = {"harness", "loadgen", "summarize", *(path.stem for path in EXPERIMENTS)}
NETWORK = {"aiohttp", "asyncio", "http", "httptools", "socket", "ssl", "urllib", "uvloop", "yarl"}
HOUSE = {"README.md", "requirements.txt", "loadgen.py", "summarize.py", "experiments", "results"}
HOUSE |= {"tests", "pyproject.toml", ".ci", ".gitignore"}
FIELDS = ["Claim", "Source", "Expect", "Run", "Not shown"]

every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
every_shared = pytest.mark.parametrize("name", SHARED)


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(*nodes: ast.AST) -> set[str]:
    """The names of the modules that are imported anywhere below, without their submodules."""
    found = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def assigns(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_there_are_experiments():
    assert EXPERIMENTS
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem) for path in EXPERIMENTS)
    numbers = [path.stem[:2] for path in EXPERIMENTS]
    assert len(set(numbers)) == len(numbers)


# ---- Size ----------------------------------------------------------------------------


TOO_LONG = pytest.mark.xfail(strict=True, reason="known to be over: it is to be made shorter")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("loadgen.py", marks=TOO_LONG),
        pytest.param("summarize.py", marks=TOO_LONG),
        pytest.param("experiments/harness.py", marks=TOO_LONG),
    ],
)
def test_length_of_a_shared_module(name):
    assert lines(ROOT / name) <= SHARED[name]


@every_shared
def test_length_of_functions(name):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree(ROOT / name)) if isinstance(node, functions)]
    assert found
    assert [f.name for f in found if f.end_lineno - f.lineno + 1 > 60] == []


@every_experiment
def test_length_of_an_experiment(path):
    assert lines(path) <= 150


# ---- Floors --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_modules_import_only_what_is_below(name):
    assert imported(tree(ROOT / name)) & OURS <= MAY_IMPORT[name]


def test_summarize_knows_no_network():
    assert imported(tree(ROOT / "summarize.py")) & NETWORK == set()
    code = "import sys, summarize; print(*{'aiohttp', 'loadgen', 'uvloop'} & set(sys.modules))"
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_harness_imports_no_experiment():
    assert imported(tree(ROOT / "experiments/harness.py")) & OURS == {"loadgen", "summarize"}


@every_experiment
def test_an_experiment_names_harness_only_under_its_guard(path):
    *body, guard = tree(path).body
    assert is_guard(guard)
    assert imported(guard) == {"harness"}
    assert imported(*body) & OURS == set()
    names = {node.id for part in body for node in ast.walk(part) if isinstance(node, ast.Name)}
    assert "harness" not in names


# ---- What every experiment has -------------------------------------------------------


def dependencies(path: Path) -> list[Requirement]:
    """The dependencies of the PEP 723 block that a script begins with."""
    block = re.match(r"# /// script\n((?:#(?: .*)?\n)+?)# ///\n", path.read_text(encoding="utf-8"))
    assert block, "it does not begin with a PEP 723 block"
    settings = tomllib.loads(re.sub(r"^# ?", "", block[1], flags=re.M))
    assert settings["requires-python"] == ">=3.11"
    return [Requirement(text) for text in settings["dependencies"]]


@every_experiment
def test_dependencies_are_names_that_requirements_pin(path):
    requirements = ROOT / "requirements.txt"
    if not requirements.exists():
        pytest.xfail("no requirements.txt yet")
    wanted = dependencies(path)
    assert [str(each) for each in wanted if each.specifier or each.url] == []
    text = re.sub(r"#.*", "", requirements.read_text(encoding="utf-8"))
    pinned = [Requirement(line) for line in text.splitlines() if line.strip()]
    assert [str(each) for each in pinned if not str(each.specifier).startswith("==")] == []
    known = {canonicalize_name(each.name) for each in pinned}
    assert {canonicalize_name(each.name) for each in wanted} <= known


@every_experiment
def test_docstring_has_its_fields_in_order(path):
    title, *rest = ast.get_docstring(tree(path)).splitlines()
    assert re.fullmatch(rf"{path.stem[:2]}: \S.*\S", title)
    fields = re.findall(r"^(\S+(?: \S+)*)  +\S", "\n".join(rest), re.M)
    assert fields == FIELDS
    assert f"python experiments/{path.name}" in ast.get_docstring(tree(path))


@every_experiment
def test_sections_are_in_order(path):
    assert dependencies(path)
    body = tree(path).body[1:]
    assert ast.get_docstring(tree(path))
    imports = [n for n, node in enumerate(body) if isinstance(node, ast.Import | ast.ImportFrom)]
    defined = [n for n, node in enumerate(body) if hasattr(node, "body") and hasattr(node, "name")]
    arms = [n for n, node in enumerate(body) if "ARMS" in assigns(node)]
    guards = [n for n, node in enumerate(body) if is_guard(node)]
    assert imports[0] == 0
    assert not defined or imports[-1] < defined[0]
    assert len(arms) == 1
    assert max([imports[-1], *defined]) < arms[0] < guards[0]
    assert guards == [len(body) - 1]


@every_experiment
def test_an_experiment_has_a_recorded_result(path):
    if not list((ROOT / "results").glob("[0-9]*.json")):
        pytest.xfail("no results yet")
    assert (ROOT / "results" / f"{path.stem}.json").exists()


@every_experiment
def test_an_experiment_has_a_row_in_the_readme(path):
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    if not rows:
        pytest.xfail("no table of claims in README.md yet")
    assert len([row for row in rows if f"(experiments/{path.name})" in row]) == 1


def test_every_result_has_its_experiment():
    recorded = {path.stem for path in (ROOT / "results").glob("[0-9]*.json")}
    assert recorded <= {path.stem for path in EXPERIMENTS}


# ---- The house -----------------------------------------------------------------------


def test_only_what_belongs_there_is_at_the_top():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("no git repository")
    top = {name.split("/")[0] for name in done.stdout.split("\0") if name}
    assert {"loadgen.py", "summarize.py", "experiments"} <= top <= HOUSE


# ---- Tools and texts -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["ruff check .", "ruff format --check .", "mypy"])
def test_the_tools_have_nothing_to_say(tool):
    done = subprocess.run(
        [sys.executable, "-m", *tool.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stolen_s, again", [(0.0, False), (0.5, False), (5.0, True)])
def test_a_test_is_tried_again_only_where_the_host_took_time(stolen_s, again, monkeypatch):
    times = namedtuple("times", "user idle steal")
    monkeypatch.setattr(conftest, "began", times(10.0, 10.0, 1.0))
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(60.0, 60.0 - stolen_s, 1.0 + stolen_s))
    assert conftest.host_took_time() is again


def test_where_no_steal_is_known_no_test_is_tried_again(monkeypatch):
    times = namedtuple("times", "user idle")
    monkeypatch.setattr(conftest, "began", times(10.0, 10.0))
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(60.0, 60.0))
    assert conftest.host_took_time() is False


def test_the_readme_shows_what_was_recorded():
    """The table of claims, the sample and the evidence are what is printed of results/."""
    readme = (ROOT / "README.md").read_text()
    assert not summarize.stale(ROOT / "README.md", summarize.claims_table(ROOT / "results"))
    recorded = summarize.read(ROOT / "results" / "03_blocking_sleep.json")
    assert f"```text\n{summarize.text_of(recorded)}\n```" in readme
    arms = summarize.read(ROOT / "results" / "22_load_generators.json").arms.values()
    assert f"| {' | '.join(arm['columns']['client µs'] + ' µs' for arm in arms)} |" in readme
    trials = json.loads((ROOT / "results" / "evidence.json").read_text())
    assert "\n".join(["", *evidence.table(trials), ""]) in readme
    assert list(evidence.missed(trials)) == []
    assert set(trials) == set(evidence.KINDS)
