"""What the page shows of an experiment's script: its code, its limits."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

MARK = re.compile(r"#.*\blines? under test\b")
LIMITS = re.compile(r"^(?:Limits|Not shown)  +(.*?)(?=^\S|\Z)", re.S | re.M)


@dataclass(frozen=True)
class CodeLine:
    """A line of the app, and whether it is what the experiment is about."""

    text: str
    is_marked: bool = False


@dataclass(frozen=True)
class Source:
    """The script of an experiment; empty where it is not there."""

    code: list[CodeLine] = field(default_factory=list)
    limits: str = ""


def read_source(path: Path) -> Source:
    """The app of a script and its arms: from its imports to what comes after ARMS."""
    if not path.is_file():
        return Source()
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return Source()
    doc = ast.get_docstring(tree, clean=False) or ""
    found = LIMITS.search(doc)
    body = tree.body[1:] if doc else tree.body
    first = body[0].lineno - 1 if body else 0
    last = next((line for node in body if (line := _last_line(node))), None)
    shown = "\n".join(line.rstrip() for line in text.split("\n")[first:last])
    lines = re.sub(r"\n{3,}", "\n\n", shown).strip("\n").split("\n")
    code = [CodeLine(line, bool(MARK.search(line))) for line in lines]
    return Source(code, " ".join(found[1].split()) if found else "")


def _last_line(node: ast.stmt) -> int | None:
    """The last line that is shown, if it is that of the arms or lies before the main guard."""
    if isinstance(node, ast.Assign):
        names = {name.id for name in node.targets if isinstance(name, ast.Name)}
        return node.end_lineno if "ARMS" in names else None
    is_guard = isinstance(node, ast.If) and "__name__" in ast.dump(node.test)
    return node.lineno - 1 if is_guard else None
