"""The form of every experiment, read from its file: a new one cannot be forgotten."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from lab.trials.pins import pin, read_pins
from lab.trials.script import CLIENT_PACKAGES, FIELDS, Script

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
OURS = {"harness", "lab", "loadgen", "summarize", *(path.stem for path in EXPERIMENTS)}
LONGEST, WIDTH, LONGEST_EXPECTATION = 150, 88, 44

every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


def parse(path: Path) -> ast.Module:
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


def is_defined(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def script_of(path: Path) -> Script:
    return Script.read(path, ast.get_docstring(parse(path), clean=True) or "")


def setups_of(path: Path) -> dict[str, Any]:
    """ARMS and PROBES of a script, from a process of its own."""
    code = (
        "import json, runpy, sys; found = runpy.run_path(sys.argv[1]);"
        "print(json.dumps({name: [setup[0], setup[1]] for key in ('ARMS', 'PROBES')"
        " for name, setup in found.get(key, {}).items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return dict(ast.literal_eval(done.stdout))


def test_experiments_are_numbered():
    assert EXPERIMENTS
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem) for path in EXPERIMENTS)
    numbers = [path.stem[:2] for path in EXPERIMENTS]
    assert len(set(numbers)) == len(numbers)


def test_nothing_else_lies_beside_them():
    names = {path.name for path in (ROOT / "experiments").iterdir() if path.is_file()}
    assert names == {path.name for path in EXPERIMENTS} | {"harness.py", ".ruff.toml"}


@every_experiment
def test_length_and_width(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST
    assert [line for line in lines if len(line) > WIDTH and "https://" not in line] == []


@every_experiment
def test_the_door_is_named_only_under_the_guard(path):
    *body, guard = parse(path).body
    assert is_guard(guard)
    assert imported(guard) & OURS <= {"harness", "lab"}
    assert imported(*body) & OURS == set()


@every_experiment
def test_sections_are_in_order(path):
    body = parse(path).body[1:]
    imports = [n for n, node in enumerate(body) if isinstance(node, ast.Import | ast.ImportFrom)]
    defined = [n for n, node in enumerate(body) if is_defined(node)]
    (arms,) = [n for n, node in enumerate(body) if "ARMS" in assigned(node)]
    guards = [n for n, node in enumerate(body) if is_guard(node)]
    assert imports[0] == 0
    assert not defined or imports[-1] < defined[0]
    assert max([imports[-1], *defined]) < arms < guards[0]
    assert guards == [len(body) - 1]


@every_experiment
def test_the_line_under_test_is_marked(path):
    assert re.search(r"#.*\bunder test\b", path.read_text(encoding="utf-8"))


@every_experiment
def test_docstring_has_its_fields_in_order(path):
    doc = ast.get_docstring(parse(path)) or ""
    title, *rest = doc.splitlines()
    assert re.fullmatch(rf"{path.stem[:2]}: \S.*[^.\s]", title)
    assert re.findall(r"^([A-Z]\w+)  +\S", "\n".join(rest), re.M) == list(FIELDS)
    assert f"python experiments/{path.name}" in script_of(path).text("Run")


@every_experiment
def test_every_arm_has_a_line_of_what_is_expected(path):
    arms = setups_of(path)
    _, lines = script_of(path).expected()
    assert [name for name in arms if name not in lines] == []
    assert [f"{n}: {text}" for n, text in lines.items() if len(text) > LONGEST_EXPECTATION] == []
    assert {name.removesuffix(", then") for name in lines} == set(arms)


@every_experiment
def test_dependencies_are_those_of_requirements(path):
    text = path.read_text(encoding="utf-8")
    block = re.match(r"# /// script\n((?:#(?: .*)?\n)+?)# ///\n", text)
    assert block, "it does not begin with a PEP 723 block"
    settings = tomllib.loads(re.sub(r"^# ?", "", block[1], flags=re.M))
    assert settings["requires-python"] == ">=3.11"
    names = {Requirement(each).name for each in settings["dependencies"]}
    assert names >= CLIENT_PACKAGES
    pins = read_pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    assert pin(text, pins) == text, "write them anew: python -m lab.trials.pins"


SCRIPT = '''# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "flask", "numpy==1.0",
# ]
# ///
"""99: it is so"""
'''


def test_a_block_is_written_from_requirements():
    names = sorted(CLIENT_PACKAGES | {"flask"})
    pins = read_pins("".join(f"{name}==3.{n}  # why\n" for n, name in enumerate(names)))
    pins["flask"] = "flask[async]==3.1.3"
    text = pin(SCRIPT, pins)
    assert '"flask[async]==3.1.3",' in text
    assert "numpy==1.0" not in text
    assert pin(text, pins) == text
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []
    with pytest.raises(ValueError, match=r"not in requirements.txt: .*flask"):
        pin(SCRIPT, {name: name for name in CLIENT_PACKAGES})
    with pytest.raises(ValueError, match="no PEP 723 block"):
        pin("print()", pins)
