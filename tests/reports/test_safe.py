"""Names, answers and errors of a record cannot steer a terminal or leave their place."""

from dataclasses import replace

import pytest
from builders import make_behaviour, make_comparison, make_pair, make_reproduced, make_run

from lab.facts.records import Run
from lab.reports.changes import report_changes
from lab.reports.report import report
from lab.reports.result import report_result
from lab.reports.safe import make_safe
from lab.reports.several import compare

EVIL = "\x1b[31m\u202egnp\r\n\x00"


def make_evil_run() -> Run:
    return make_run(name=EVIL, errors={EVIL: 1}, failed=1, statuses={EVIL: 100})


def make_evil_results():
    behaviour, reproduced = make_behaviour(), make_reproduced()
    evidence = [replace(asked, arm=EVIL, answer=EVIL) for asked in behaviour.evidence]
    arm = next(iter(reproduced.arms.values()))
    evil_arm = replace(arm, command=EVIL, columns={EVIL: EVIL})
    ratios = [replace(reproduced.ratios[0], over=EVIL, under=EVIL)]
    return [
        replace(behaviour, evidence=evidence, title=EVIL, source=EVIL),
        replace(reproduced, arms={EVIL: evil_arm}, ratios=ratios, cause=[EVIL], findings=[EVIL]),
        replace(make_comparison(), reasons=[EVIL]),
    ]


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.replace("\u00a0", " ").split("\n"))


@pytest.mark.parametrize("markdown", [False, True])
def test_nothing_unprintable_is_printed(markdown):
    texts = [report(make_evil_run(), markdown), compare([make_evil_run(), make_run()], markdown)]
    texts += [report_result(result, markdown) for result in make_evil_results()]
    for text in texts:
        assert is_harmless(text)
        assert "\\x1b[31m" in text.replace("\\\\", "\\").replace("\\[", "[")


def test_two_results_are_compared_without_harm():
    for result in make_evil_results():
        assert is_harmless(report_changes(result, replace(result, verdict=EVIL)))


def test_a_name_cannot_add_a_row():
    text = report(make_run(name="first\nVALID"))
    assert "VALID" not in text.split("\n")[1]
    assert "first\\nVALID" in text


def test_what_is_harmless_is_not_copied():
    run = make_pair()[0]
    assert make_safe(run) is run
