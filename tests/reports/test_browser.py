"""The page of claims in a real browser: Chromium from the system, without a window.

axe.min.js.gz is axe-core 4.14.1 by Deque Systems, unchanged and packed, under the Mozilla Public
License 2.0, as its first lines say; its source is at https://github.com/dequelabs/axe-core.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_behaviour, make_inconclusive, make_reproduced

from lab.reports.page import write_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
if not CHROMIUM:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = gzip.decompress((Path(__file__).parent / "axe.min.js.gz").read_bytes()).decode()
WIDTHS = (360, 1012)
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter((e) => !e.closest(".hidden, .skip") && e.getBoundingClientRect().width)
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
    .map((e) => e.outerHTML.slice(0, 100))"""
OPEN_ALL = "() => document.querySelectorAll('details').forEach((e) => { e.open = true; })"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of five claims, with long names and several groups."""
    folder = tmp_path_factory.mktemp("page")
    reproduced = make_reproduced()
    old = {f"{name}, then": arm for name, arm in reproduced.arms.items()}
    claimed = replace(reproduced.ratios[0], claimed=48.2)
    then = [
        replace(r, over=f"{r.over}, then", under=f"{r.under}, then", claim=False)
        for r in reproduced.ratios
    ]
    slower = replace(
        reproduced,
        name="05_flask_dev_server",
        title="FastAPI is nearly 48 times as fast as Flask on its development server",
        arms=reproduced.arms | old,
        ratios=[claimed, *reproduced.ratios[1:], *then],
        verdict="EXAGGERATED",
        then="NOT REPRODUCED 6.43×",
        environment=replace(reproduced.environment, packages={"flask": "3.1.2"}),
    )
    arms = {
        f"{framework}, {row}": reproduced.arms["asyncio.sleep"]
        for framework in ("Flask", "FastAPI")
        for row in ("hello", "validated", "5 ms of CPU", "waits")
    }
    question = replace(reproduced, name="24_fastapi_vs_flask", arms=arms, ratios=[], rule="")
    results = [make_behaviour(), reproduced, make_inconclusive(), slower, question]
    write_page(results, folder / "results", folder / "index.html")
    return (folder / "index.html").as_uri()


class Visit:
    """A page that is open in the browser, and all that it said and asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        width = options.pop("width", 1012)
        self.context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def rows(self) -> list[str]:
        """The numbers of the claims that the table shows, from the top."""
        found = self.page.locator("#table tbody tr:visible td:first-child")
        return [text.strip() for text in found.all_inner_texts()]


def test_it_opens_from_a_disk_without_a_word_and_asks_for_nothing(browser, address):
    with Visit(browser, address) as visit:
        assert visit.page.title().startswith("Is FastAPI really faster than Flask?")
        assert visit.rows() == ["01", "03", "04", "05", "24"]
        assert visit.said == []
        assert visit.requests == [address]


def test_search_filters_and_sorting_are_in_the_address(browser, address):
    with Visit(browser, address) as visit:
        visit.page.get_by_label("Search").fill("48 times")
        assert visit.rows() == ["05"]
        assert visit.page.locator("#count").inner_text() == "1 of 5 claims"
        assert "q=48+times" in visit.page.url
        visit.page.get_by_label("Search").fill("")
        visit.page.get_by_label("Verdict").select_option("REPRODUCED")
        assert visit.rows() == ["03", "24"]
        visit.page.get_by_label("Verdict").select_option("")
        visit.page.get_by_label("Framework").select_option("Flask")
        assert visit.rows() == ["05"]
        visit.page.get_by_label("Framework").select_option("")
        visit.page.get_by_label("Topic").select_option("Async and threads")
        assert visit.rows() == ["03"]
        visit.page.get_by_role("button", name="Show all").click()
        visit.page.wait_for_function("!location.search")
        visit.page.get_by_role("button", name="Verdict").click()
        assert visit.rows() == ["03", "24", "05", "01", "04"]
        visit.page.get_by_role("button", name="Claimed").click()
        assert visit.rows()[0] in ("03", "05") and visit.rows()[-1] == "24"
        assert visit.page.locator("th[aria-sort=descending]").count() == 1
        shared = visit.page.url
        assert "sort=-effect" in shared
    with Visit(browser, shared) as visit:
        assert visit.page.locator("th[aria-sort=descending]").count() == 1


def test_a_view_that_is_shared_looks_the_same(browser, address):
    with Visit(browser, f"{address}?q=sleep&topic=Async+and+threads&sort=-title") as visit:
        assert visit.rows() == ["03"]
        assert visit.page.get_by_label("Search").input_value() == "sleep"


@pytest.mark.parametrize("query", ["?verdict=NONSENSE", "?sort=constructor", "?q=<img%20src=x>"])
def test_an_address_that_makes_no_sense_breaks_nothing(browser, address, query):
    with Visit(browser, address + query) as visit:
        assert visit.said == []
        assert visit.page.locator("img").count() == 0


def test_a_link_to_a_claim_opens_its_section(browser, address):
    with Visit(browser, f"{address}#claim-05") as visit:
        assert visit.page.locator("#claim-05 h4", has_text="The code").count() == 0
        assert visit.page.locator("#claim-05 h4", has_text="Try it").is_visible()
        assert not visit.page.locator("#claim-03 h4", has_text="Try it").is_visible()
        visit.page.locator("#table a[href='#claim-03']").click()
        visit.page.locator("#claim-03 h4", has_text="Try it").wait_for(state="visible")


def test_the_keyboard_is_enough(browser, address):
    with Visit(browser, address) as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.className") == "skip"
        visit.page.keyboard.press("Enter")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.type("48 times")
        assert visit.rows() == ["05"]
        summary = visit.page.locator("#claim-03 summary").first
        summary.focus()
        visit.page.keyboard.press("Enter")
        assert visit.page.locator("#claim-03 h4", has_text="Try it").is_visible()


def test_a_command_is_copied(browser, address):
    with Visit(browser, f"{address}#claim-03") as visit:
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button = visit.page.locator("#claim-03 .command button").first
        button.click()
        visit.page.wait_for_function(
            "document.querySelector('#claim-03 .command button').textContent !== 'Copy'"
        )
        assert button.inner_text() in ("Copied", "Selected")


def test_all_is_there_without_javascript(browser, address):
    with Visit(browser, f"{address}#claim-03", java_script_enabled=False) as visit:
        assert visit.rows() == ["01", "03", "04", "05", "24"]
        assert not visit.page.locator("#filters").is_visible()
        assert not visit.page.locator("#claim-03 h4", has_text="Try it").is_visible()
        visit.page.locator("#claim-03 summary").first.click()
        assert visit.page.locator("#claim-03 h4", has_text="Try it").is_visible()
        assert visit.page.locator("#claim-03 svg").count() == 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(browser, address, width, scheme):
    with Visit(browser, address, width=width, color_scheme=scheme) as visit:
        visit.page.evaluate(OPEN_ALL)
        visit.page.evaluate(AXE)
        found = visit.page.evaluate("() => axe.run()")
        violations = {
            each["id"]: [node["html"][:200] for node in each["nodes"][:3]]
            for each in found["violations"]
        }
        assert violations == {}
        assert len(found["passes"]) > 20


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser, address, width):
    with Visit(browser, address, width=width) as visit:
        visit.page.evaluate(OPEN_ALL)
        assert visit.page.evaluate(TOO_WIDE) == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_phone_gets_the_narrow_forest_and_a_desk_the_wide_one(browser, address):
    for width, shown in ((360, "narrow"), (1012, "wide")):
        with Visit(browser, address, width=width) as visit:
            visible = visit.page.locator("figure.forest:visible")
            assert visible.count() == 1
            assert shown in visible.get_attribute("class")


def test_print_shows_what_was_closed(browser, address):
    with Visit(browser, address) as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.locator("#claim-03 h4", has_text="Try it").is_visible()
        assert not visit.page.locator("#filters").is_visible()
