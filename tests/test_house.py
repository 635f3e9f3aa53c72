"""The law of the house, read from every file that is there: a new one cannot be forgotten."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAB = sorted((ROOT / "lab").rglob("*.py"))
WINGS = {"facts", "readers", "load", "reports", "trials"}
MAY_IMPORT = {
    "facts": {"facts"},
    "readers": {"readers", "facts"},
    "load": {"load", "facts"},
    "reports": {"reports", "facts"},
    "trials": {"trials", "load", "readers", "reports", "facts"},
    "loadgen.py": {"load", "reports", "facts"},
    "summarize.py": {"readers", "reports", "facts"},
    "experiments/harness.py": {"trials"},
}
SCRIPTS = {"loadgen", "summarize", "harness"}
NETWORK = {"aiohttp", "asyncio", "http", "httptools", "socket", "ssl", "urllib", "uvloop", "yarl"}
TERMINAL = {"argparse", "curses", "readline", "termios", "tqdm", "tty"}
LONGEST_FILE, LONGEST_FUNCTION = 420, 60
LIMITS = {"loadgen.py": 300, "summarize.py": 200, "experiments/harness.py": 100}
MAY_BE_LONGER = {"lab/load/engine.py"}
TOP = {
    "README.md", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "requirements.txt",
    "loadgen.py", "summarize.py", "experiments", "lab", "docs", "results", "tests",
    "pyproject.toml", ".ci", ".github", ".gitignore",
}  # fmt: skip


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules_imported(tree: ast.AST) -> Iterator[str]:
    """The modules that are imported anywhere, also inside a function: "lab.facts.text"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wings_imported(path: Path) -> set[str]:
    parts = [module.split(".") for module in modules_imported(parse(path))]
    return {part[1] for part in parts if part[0] == "lab" and len(part) > 1} & WINGS


def roots_imported(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in modules_imported(parse(path))}


def wing_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "lab").parts
    return parts[0] if len(parts) > 1 else ""


every_file_of_the_lab = pytest.mark.parametrize("path", LAB, ids=name_of)
every_module = pytest.mark.parametrize(
    "path", [*LAB, *(ROOT / name for name in LIMITS)], ids=name_of
)


# ---- Who may know whom -----------------------------------------------------------------
def test_the_lab_has_its_five_wings():
    assert {path.name for path in (ROOT / "lab").iterdir() if path.is_dir()} - {
        "__pycache__"
    } == WINGS


@every_file_of_the_lab
def test_a_wing_imports_only_those_below_it(path):
    allowed = MAY_IMPORT.get(wing_of(path), set())
    assert wings_imported(path) <= allowed


@pytest.mark.parametrize("name", LIMITS)
def test_a_command_imports_only_its_wings(name):
    assert wings_imported(ROOT / name) <= MAY_IMPORT[name]


@every_file_of_the_lab
def test_nothing_of_the_lab_imports_a_script(path):
    assert roots_imported(path) & SCRIPTS == set()


@pytest.mark.parametrize("path", sorted((ROOT / "lab/facts").glob("*.py")), ids=name_of)
def test_facts_know_no_network_and_no_terminal(path):
    assert roots_imported(path) & (NETWORK | TERMINAL) == set()


def test_no_module_imports_itself_by_a_detour():
    """No circle, though every module of a wing may import others of it."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in LAB}
    below = {
        name: {module for module in modules_imported(parse(path)) if module in modules}
        for name, path in modules.items()
    }
    left = dict(below)
    while free := [name for name, wanted in left.items() if not wanted & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


def test_only_harness_puts_the_root_on_the_path():
    """With experiments/ in front, a script's neighbour would shadow a module of ours."""
    users = [
        name_of(path)
        for path in [*LAB, *(ROOT / "experiments").glob("*.py"), *ROOT.glob("*.py")]
        if re.search(r"\bsys\.path\.(insert|append)\b", path.read_text(encoding="utf-8"))
    ]
    assert users == ["experiments/harness.py"]


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=name_of)
def test_no_test_file_imports_another(path):
    names = {other.stem for other in (ROOT / "tests").rglob("test_*.py")}
    assert roots_imported(path) & names == set()


# ---- Size and form ---------------------------------------------------------------------
@every_module
def test_length_of_a_file(path):
    name = name_of(path)
    if name in MAY_BE_LONGER:
        return
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LIMITS.get(name, LONGEST_FILE)


@every_module
def test_length_of_functions(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(parse(path)) if isinstance(node, functions)]
    assert [f.name for f in found if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION] == []


@every_module
def test_a_domain_has_no_string_keys(path):
    """A run, an arm or a load is asked for its attributes; a dict is for the edge."""
    found = re.findall(
        r"\b(?:run|arm|result|server|client|load|ratio|round|point)\[\"",
        path.read_text(encoding="utf-8"),
    )
    assert found == []


@every_module
def test_no_habit_that_made_files_hard_to_read(path):
    """A text times a condition; a loop over one value in a list; a closure that rebinds."""
    tree = parse(path)
    text_times = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
        and isinstance(node.left, ast.JoinedStr | ast.Constant)
        and not isinstance(getattr(node.left, "value", ""), int | float)
        and isinstance(node.right, ast.Call | ast.Compare)
    ]  # fmt: skip
    nested = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.IfExp)
        and any(isinstance(inner, ast.IfExp) for inner in (node.body, node.orelse))
    ]
    rebound = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Nonlocal)]
    assert (text_times, nested, rebound) == ([], [], [])


# ---- What is at the top ----------------------------------------------------------------
def test_only_what_belongs_there_is_at_the_top():
    asked = ["git", "ls-files", "-z"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no git repository")
    top = {name.split("/")[0] for name in done.stdout.split("\0") if name}
    assert {"loadgen.py", "summarize.py", "experiments", "lab"} <= top <= TOP


# ---- Start-up --------------------------------------------------------------------------
HEAVY = ("aiohttp", "matplotlib", "jinja2", "dask", "distributed", "tqdm", "tkinter")


@pytest.mark.parametrize("command", ["loadgen", "summarize"])
def test_a_command_starts_without_what_it_may_not_need(command):
    code = f"import sys, {command}; print(*set({HEAVY!r}) & set(sys.modules))"
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# ---- Tools -----------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("tool", ["ruff check .", "ruff format --check .", "mypy"])
def test_the_tools_have_nothing_to_say(tool):
    asked = [sys.executable, "-m", *tool.split()]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
