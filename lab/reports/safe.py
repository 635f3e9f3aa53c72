"""What a record says, made safe to print: names, answers and errors come from other programs."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from lab.facts.text import harmless

Printed = TypeVar("Printed")


def make_safe(record: Printed) -> Printed:
    """The same record with every control character in its texts spelled out."""
    safe: Printed = _clean(record)
    return safe


def _clean(value: Any) -> Any:
    """A value without control characters; what has none is returned as it is."""
    if isinstance(value, str):
        return value if value.isprintable() else _spell_out(value)
    if isinstance(value, list | tuple):
        cleaned = [_clean(each) for each in value]
        return value if _are_same(value, cleaned) else type(value)(cleaned)
    if isinstance(value, dict):
        pairs = {_clean(key): _clean(each) for key, each in value.items()}
        return value if _are_same([*value, *value.values()], [*pairs, *pairs.values()]) else pairs
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for each in fields(value):
            old = getattr(value, each.name)
            new = _clean(old)
            if new is not old:
                changed[each.name] = new
        return replace(value, **changed) if changed else value
    return value


def _are_same(old: Any, new: Any) -> bool:
    return len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))


def _spell_out(text: str) -> str:
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")
