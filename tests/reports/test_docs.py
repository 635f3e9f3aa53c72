"""The examples of docs/loadgen.md work when pasted, and the links of all pages lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import evidence
import pytest
from servers import Answer, Server, answer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
TEXT = (ROOT / "docs" / "loadgen.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.S)
EXAMPLES = [line for block in SHELL for line in block.splitlines() if "--serve" not in line]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page):
    targets = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    made = {"docs/claims.svg", "docs/index.html"}  # by a command, after recording
    missing = [link for link in targets if not (page.parent / link).exists()]
    assert [link for link in missing if link not in made] == []


def test_the_method_shows_the_evidence_that_there_is():
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    shown = text.partition(evidence.BEGIN)[2].partition(evidence.END)[0]
    trials = evidence.group(evidence.read_record(evidence.RECORD))
    assert shown.strip() == "\n".join(evidence.make_table(trials) if trials else [])


def shorten(line: str, url: str) -> list[list[str]]:
    """The programs of a line, with the address of a test's server and in a short form."""
    commands = []
    for part in line.replace("http://127.0.0.1:8000", url).split(" | "):
        _, script, *words = shlex.split(part)
        path = ROOT / script
        words = [str(ROOT / word) if word.startswith("tests/") else word for word in words]
        if script == "loadgen.py":
            words += ["-z", "200ms", "--quiet"]
            words += ["-n", "50", "-c", "5"] if "5k" in words else []
            words += ["--expect", "200"] if "405" in words else []
            is_comparison = sum("://" in word for word in words) > 1
            words += ["--budget", "3s"] if is_comparison and "--rounds" not in words else []
        commands.append([sys.executable, str(path), *words])
    return commands


@pytest.mark.slow
def test_every_example_of_the_reference_works(tmp_path):
    """In one folder and in order, since some read what others wrote."""
    name, _, mix = re.search(r"```text\n# (mix\.txt)(\n)(.*?)```", TEXT, re.S).groups()
    (tmp_path / name).write_text(mix)
    failed = []
    with Server(lambda number, path: Answer((answer(),), delay_s=0.002)) as server:
        for line in EXAMPLES:
            given = None
            for command in shorten(line, server.url.rstrip("/")):
                done = subprocess.run(command, cwd=tmp_path, input=given, capture_output=True)
                given = done.stdout
                if done.returncode not in (0, 3):
                    failed.append((line, done.returncode, done.stderr.decode()[-300:]))
    assert failed == []


def test_the_reference_names_every_option():
    shown = subprocess.run(
        [sys.executable, str(ROOT / "loadgen.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", shown.stdout))
    with_a_letter = set(re.findall(r"-\w.*?, (--[a-z-]+)", shown.stdout))
    told = set(re.findall(r"(?<![\w-])--[a-z-]+", TEXT))
    assert options - with_a_letter - told == {"--help"} - with_a_letter
