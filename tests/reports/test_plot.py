"""Pictures: what they are called, what is drawn of a record, and what is not."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from builders import (
    exponential_s,
    make_behaviour,
    make_pair,
    make_reproduced,
    make_result,
    make_run,
)

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import Histogram
from lab.facts.records import Objectives, Point, Second
from lab.facts.results import Result
from lab.reports.canvas import DARK, PAPER, Canvas, plain
from lab.reports.finding import (
    Finding,
    bound_of,
    claimed_of,
    interval_of,
    sentence_of,
    times_of,
)
from lab.reports.forest import NARROW, WIDE, Forest, about_forest, find_limits
from lab.reports.lines import choose_looks, lines_of_result, points_of
from lab.reports.panels import spread
from lab.reports.plot import make_sheet, picture, plot
from lab.reports.svg import About, shorten_path, slim

SECONDS = [Second(time=n + 1.0, ok=50, failed=n == 2, p50=0.01, p99=0.05) for n in range(5)]
POINTS = [
    Point(rate=rate, throughput=rate, failed=0, requests=100, p50_s=0.01, p99_s=0.03)
    for rate in (100.0, 200.0, 400.0)
]


def draw(record: object, path: Path, **options: object) -> str:
    """The texts of the picture of a record, a line each."""
    plot([record], path, **options)  # type: ignore[list-item,arg-type]
    return "\n".join(texts_in(path))


def texts_in(path: Path) -> list[str]:
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def svg(tmp_path: Path) -> Path:
    return tmp_path / "picture.svg"


def with_then(result: Result) -> Result:
    """The same with its claim put to old versions, too."""
    names = ("asyncio.sleep", "time.sleep")
    old = {f"{name}, then": result.arms[name] for name in names}
    then = replace(result.ratios[0], over=f"{names[0]}, then", under=f"{names[1]}, then")
    ratios = [*result.ratios, replace(then, claim=False)]
    return replace(result, arms=result.arms | old, ratios=ratios)


# ---- What a picture says ---------------------------------------------------------------
def test_the_title_is_the_finding(svg):
    said = draw(make_reproduced(), svg)
    assert said.startswith("asyncio.sleep is 19.5× faster than time.sleep (95 % CI ") or (
        "asyncio.sleep is 19.5× faster than time.sleep" in said
    )
    assert "03 time.sleep() in an async endpoint" in said and "REPRODUCED" in said


def test_requests_come_first_and_percentiles_second(svg):
    said = draw(make_reproduced(), svg).split("\n")
    assert "requests/s" in said and "response time, ms" in said
    titles = [panel for panel in said if panel in ("requests/s", "response time, ms")]
    assert titles == ["requests/s", "response time, ms"]


def test_all_arms_are_drawn_only_when_asked_for(svg):
    result = with_then(make_reproduced())
    assert "time.sleep, then" not in draw(result, svg)
    assert "time.sleep, then" in draw(result, svg, everything=True)


def test_a_run_says_its_rate_and_how_much_failed(svg):
    said = draw(make_run(failed=3, name="api"), svg)
    assert "api: 100 requests/s" in said and "3 failed" in said


def test_of_two_runs_the_faster_is_said_and_that_there_is_one_of_each(svg):
    plot(make_pair(), svg)
    assert "Flask answered 2.34× as many requests/s as FastAPI (one run each)" in texts_in(svg)


def test_two_files_of_one_arm_are_told_apart(svg):
    first, second = make_pair()
    sheet = make_sheet([first, replace(second, name=first.name)], sources=["before", "after"])
    assert [line.name for line in sheet.lines] == ["FastAPI, before", "FastAPI, after"]
    assert len({line.look.colour for line in sheet.lines}) == 2


def test_an_arm_of_two_records_keeps_its_colour_and_says_its_day():
    old = make_reproduced()
    new = replace(old, started="2026-11-25T12:00:00+00:00")
    lines = make_sheet([old, new]).lines
    names = [line.name for line in lines if line.name.startswith("time.sleep")]
    assert names == ["time.sleep, 2026-11-20 10:49", "time.sleep, 2026-11-25 12:00"]
    first, second = (line.look for line in lines if line.name.startswith("time.sleep"))
    assert first.colour == second.colour and first.dashes != second.dashes


def test_what_is_named_alike_in_one_file_is_numbered():
    run = make_pair()[0]
    sheet = make_sheet([run, run, run], sources=["a", "a", "a"])
    names = [line.name for line in sheet.lines]
    assert names == ["FastAPI, a", "FastAPI, a (2)", "FastAPI, a (3)"]


def test_seconds_and_failures_of_a_run_are_drawn(svg):
    said = draw(make_run(exponential_s(250, 0.02), elapsed_s=5.0, series=SECONDS), svg)
    assert "response time each second, ms" in said
    assert "seconds since the start, × with failures" in said


def test_a_heat_map_where_the_seconds_have_histograms(svg):
    times = Histogram.of_seconds(exponential_s(50, 0.02)).encode()
    series = [replace(second, histogram=times) for second in SECONDS]
    assert "how many took how long" in draw(make_run(series=series), svg)
    assert "how many took how long" not in draw(make_run(series=SECONDS), svg)


def test_a_search_draws_the_curve_of_its_rates(svg):
    slo = Objectives(asked="p99<50ms", sought=True, max_rate=400.0)
    said = draw(make_run(name="api", curve=POINTS, slo=slo), svg)
    assert "api holds p99<50ms up to 400 requests/s" in said
    assert "response time at each rate, ms" in said


# ---- What is not there is not drawn ----------------------------------------------------
@pytest.mark.parametrize(
    "record", [make_behaviour(), make_result(), Foreign(name="x", source="hey", cannot_know="")]
)
def test_nothing_to_draw_is_an_error_in_one_line(record, svg):
    with pytest.raises(Unreadable, match="nothing to draw") as caught:
        plot([record], svg)
    assert "\n" not in str(caught.value)
    assert not svg.exists()


def test_a_curve_ends_where_fewer_than_ten_samples_lie_beyond():
    lines = lines_of_result(Finding(make_reproduced()), everything=False)
    for line in lines:
        assert line.histogram
        beyond = line.histogram.count / points_of(line)[-1][0]
        assert beyond == pytest.approx(10)


def test_percentiles_that_a_tool_says_are_points_and_nothing_beyond():
    said = Foreign(name="wrk", source="wrk", cannot_know="", latency_s={"p50": 0.1, "p99": 0.4})
    (line,) = make_sheet([said]).lines
    assert points_of(line) == [(2.0, pytest.approx(100)), (pytest.approx(100), pytest.approx(400))]


# ---- How it looks ----------------------------------------------------------------------
def test_an_arm_has_one_colour_and_old_versions_have_it_dashed():
    looks = choose_looks(Finding(with_then(make_reproduced())))
    now, then = looks["time.sleep"], looks["time.sleep, then"]
    assert now.colour == then.colour
    assert not now.dashes and then.dashes
    assert looks["time.sleep"].colour != looks["asyncio.sleep"].colour


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    "light", [colour for colour in DARK if colour not in (PAPER, "#d1d9e0", "#f3f5f7")]
)
def test_colours_are_readable_on_light_and_dark(light):
    for colour, ground in ((light, PAPER), (DARK[light], DARK[PAPER])):
        bright, dim = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5


def test_a_picture_adapts_to_a_dark_page_and_is_the_same_each_time(svg, tmp_path):
    draw(make_reproduced(), svg)
    again = tmp_path / "again.svg"
    draw(make_reproduced(), again)
    text = svg.read_text()
    assert text == again.read_text()
    assert "prefers-color-scheme:dark" in text and 'width="700"' in text
    assert "<title " in text and "<desc " in text
    assert "20" not in re.findall(r"<dc:date>.*?</dc:date>", text)


def test_a_png_is_written(tmp_path):
    path = tmp_path / "x.png"
    plot([make_reproduced()], path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["x.gif", "x", ".pdf"])
def test_other_kinds_of_picture_are_refused(name):
    with pytest.raises(Exception, match="must end in"):
        picture(name)


def test_texts_of_a_record_stay_texts(svg):
    run = replace(make_run(), name="<script>alert(1)</script> $x^2$ \x1b]0;a\x07")
    said = draw(run, svg)
    assert "<script>alert(1)</script> $x^2$ ]0;a" in said
    assert "<script" not in svg.read_text()


# ---- Words -----------------------------------------------------------------------------
def ratio(estimate: float, low: float, high: float, **fields: object):
    return replace(
        make_reproduced().ratios[0], estimate=estimate, low=low, high=high, over="A", under="B",
        **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "sentence", "short", "interval"),
    [
        (ratio(5.47, 4.9, 6.37), "A is 5.47× faster than B", "5.47×", "95 % CI 4.90–6.37"),
        (ratio(0.5, 0.4, 0.625), "A is 2.00× slower than B", "2.00× slower", "95 % CI 1.60–2.50"),
        (ratio(0.99, 0.98, 1.01), "A is as fast (1.01×) as B", "0.99×", "95 % CI 0.990–1.02"),
        (ratio(2.3, 2.1, 2.5, at_least=True), "A is at least 2.30× faster than B", "≥ 2.30×",
         "95 % CI 2.10–2.50"),
        (ratio(0.5, 0.4, 0.6, at_least=True), "A is at most 2.00× slower than B",
         "≤ 2.00× slower", "95 % CI 1.67–2.50"),
        (ratio(4.0, 3.0, 5.0, metric="p50_s"), "A takes 4.00× as long as B at p50", "4.00×",
         "95 % CI 3.00–5.00"),
        (ratio(0.5, 0.4, 0.6, metric="client_cpu_us"), "A needs 2.00× less CPU time than B",
         "2.00× less", "95 % CI 1.67–2.50"),
    ],
)  # fmt: skip
def test_a_ratio_in_words(found, sentence, short, interval):
    assert (sentence_of(found), times_of(found), interval_of(found)) == (sentence, short, interval)


def test_a_ratio_between_two_limits_has_no_bound():
    assert bound_of(ratio(2.0, 1.0, 3.0, at_least=True, at_most=True)) == ""


@pytest.mark.parametrize(
    ("claimed", "said"), [(None, ""), (48.2, "48.2×"), (3.0, "3×"), ((0.8, 1.25), "0.8–1.25×")]
)
def test_what_is_claimed_in_words(claimed, said):
    assert claimed_of(ratio(2.0, 1.0, 3.0, claimed=claimed)) == said


# ---- The forest ------------------------------------------------------------------------
def findings() -> list[Finding]:
    claimed = replace(make_reproduced().ratios[0], claimed=48.2)
    result = with_then(make_reproduced())
    return [
        Finding(replace(result, ratios=[claimed, *result.ratios[1:]])),
        Finding(make_behaviour()),
    ]


def test_the_axis_of_the_forest_holds_all_that_is_drawn_and_one():
    low, high = find_limits(findings())
    assert low < 1 < 48.2 < high


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_each_row_of_the_forest_leads_to_its_claim(layout, svg):
    from lab.reports.canvas import svg_of

    forest = Forest(findings(), layout, "index.html")
    drawn = svg_of(forest.draw, about_forest(forest.findings, "f"), standalone=True)
    assert drawn.count('href="index.html#claim-03"') >= 1
    assert 'href="index.html#claim-01"' in drawn
    assert "claimed 48.2×" in drawn and "the same" in drawn
    assert 'role="group"' in drawn


def test_rows_of_the_forest_do_not_meet():
    forest = Forest(findings())
    forest.place(Canvas(1000, 10))
    ends = [row.top + row.height for row in forest.rows]
    assert all(end <= row.top for end, row in zip(ends, forest.rows[1:], strict=False))


# ---- Small things ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("M 0 172.8 \nL 345.6 172.8 \nL 345.6 0 \nz\n", "M0 172.8h345.6v-172.8z"),
        ("M 1 1 \nL 2.04 3 \nL 3 5 ", "M1 1l1 2 1 2"),
        ("M 1 1 \nL 3 1 \nL 5 1 \nL 5 4", "M1 1h4v3"),
        ("M 1 1 \nL 1.01 1.01", "M1 1"),
    ],
)
def test_paths_are_shortened(path, short):
    assert shorten_path(path) == short


def test_places_are_spread_within_their_range():
    found = spread([0.5, 0.5, 0.98, 0.99], 0.1)
    assert found == pytest.approx([0.5, 0.6, 0.9, 1.0])
    assert spread([], 0.1) == []


def test_words_are_cut_to_their_width():
    canvas = Canvas(100, 10)
    cut = canvas.cut("a rather long name of an arm", 60)
    assert cut.endswith("…") and canvas.measure(cut) <= 60
    assert canvas.cut("short", 60) == "short"
    lines = canvas.wrap("one two three four five six seven", 60, lines=2)
    assert len(lines) == 2 and all(canvas.measure(line) <= 60 for line in lines)


def test_control_characters_have_no_place_in_a_picture():
    assert plain("a\x1b[2Jb\nc$") == "a[2Jbc$"


def test_slim_keeps_what_is_seen():
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><g>'
        '<path d="M 0 0 L 1 1" style="fill: none"/>'
        '<path d="M 0 0 L 1 0" style="fill: none; stroke: #123456"/>'
        '<path d="M 2 2 L 3 2" style="fill: none; stroke: #123456"/>'
        '<text x="1" y="2" style="fill: #000000">a &lt; b</text></g></svg>'
    )
    text = slim(drawn, About("T", "D", "p"), "#000000")
    assert '<path fill="none" stroke="#123456" d="M0 0h1M2 2h1"/>' in text
    assert '<text x="1" y="2">a &lt; b</text>' in text
    assert math.isfinite(len(ET.fromstring(text)))
