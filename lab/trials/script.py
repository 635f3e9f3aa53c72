"""What an experiment's script says of itself: its title, its fields and what it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FIELDS = ("Claim", "Source", "Expect", "Run", "Limits")
CLIENT_PACKAGES = {  # of the client and the reports, which are no part of what is compared
    "aiohttp", "hdrhistogram", "httptools", "matplotlib", "msgspec", "numpy", "psutil", "tqdm",
    "uvloop",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Script:
    """The file of an experiment, and its docstring."""

    path: Path
    title: str
    fields: dict[str, list[str]]  # the lines of each

    @classmethod
    def read(cls, path: Path, doc: str) -> Script:
        title, _, rest = doc.partition("\n")
        fields: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in rest.splitlines():
            found = re.match(rf"({'|'.join(FIELDS)})  +(.+)", line)
            if found:
                lines = fields.setdefault(found[1], [])
                lines.append(found[2].strip())
            elif line.strip():
                lines.append(line.strip())
        return cls(path=path, title=title.partition(": ")[2], fields=fields)

    def text(self, field: str) -> str:
        """A field in one line."""
        return " ".join(self.fields.get(field, []))

    def expected(self) -> tuple[str, dict[str, str]]:
        """The sentences of Expect, and the line of each arm: its name, two spaces or more, and
        what is expected.
        """
        sentences, of_arms = [], {}
        for line in self.fields.get("Expect", []):
            name, _, text = line.partition("  ")
            if text:
                of_arms[name] = text.strip()
            else:
                sentences.append(line)
        return " ".join(sentences), of_arms

    @property
    def packages(self) -> frozenset[str]:
        """The packages under test, as the PEP 723 block names them."""
        block = re.search(
            r"# dependencies = \[(.*?)^# \]", self.path.read_text("utf-8"), re.S | re.M
        )
        names = set(re.findall(r'"([\w.-]+)', block[1])) if block else set()
        return frozenset(names - CLIENT_PACKAGES)
