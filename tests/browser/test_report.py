"""report.html in a real browser: readable in light, dark and on a phone, asking for nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith.findings import Report, headline
from plansmith.manifest import Trial
from plansmith.measure import Throughput
from plansmith.report import write
from plansmith.showcase.calls import Showcase
from plansmith.showcase.sentences import PARAPHRASES, SENTENCES, Likeness

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: .venv/bin/pip install playwright"
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium")

WIDTHS = {"desktop": 1280, "phone": 390}

# The smallest contrast ratio of any text with what is behind it: WCAG 2.2, "relative luminance".
# Only opaque backgrounds count, which is all this page has.
CONTRAST = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = rgb => { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { const c = getComputedStyle(e).backgroundColor;
    return c !== 'rgba(0, 0, 0, 0)' ? c : behind(e.parentElement); };
  const worst = [99, ''];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    if (!text) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(e.closest('svg') ? style.fill : style.color), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst.splice(0, 2, ratio, text);
  }
  return worst;
}"""

# Pairs of texts in one drawing that stand on each other by more than a hair.
HEAPED = """() => [...document.querySelectorAll('svg.plot')].flatMap(plot => {
  const texts = [...plot.querySelectorAll('text')]
    .map(t => [t.textContent, t.getBoundingClientRect()]);
  return texts.flatMap(([one, a], n) => texts.slice(n + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([other]) => [one, other]));
})"""


class Opened:
    """The report in one tab, and whatever the browser had to say about it."""

    def __init__(self, browser: playwright.Browser, file: Path, scheme: str, width: int) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        size = {"width": width, "height": 844}
        self.page = browser.new_context(color_scheme=scheme, viewport=size).new_page()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("requestfailed", lambda request: self.said.append(f"failed: {request.url}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    # Chromium refuses its sandbox to root, which is who runs tests in a container.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=BROWSER, args=args)
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(sample_report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(sample_report, tmp_path_factory.mktemp("report"))[0]


@pytest.fixture(
    scope="module",
    params=[(scheme, width) for scheme in ("light", "dark") for width in WIDTHS],
    ids="-".join,
)
def opened(request: pytest.FixtureRequest, browser: playwright.Browser, file: Path) -> Opened:
    scheme, width = request.param
    return Opened(browser, file, scheme, WIDTHS[width])


def test_the_headline_can_be_read(opened: Opened, sample_report: Report) -> None:
    assert headline(sample_report) in opened.page.inner_text("body")


def test_nothing_is_asked_for_and_nothing_is_wrong(opened: Opened, file: Path) -> None:
    opened.page.wait_for_load_state("networkidle")
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [file.as_uri()]


def test_no_line_runs_out_of_the_window(opened: Opened) -> None:
    root = "document.documentElement"
    assert opened.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0


def test_no_two_texts_of_a_drawing_stand_on_each_other(opened: Opened) -> None:
    assert opened.page.evaluate(HEAPED) == []


@pytest.mark.parametrize("count", [6, 25])
def test_a_drawing_of_many_variants_can_still_be_read(
    browser: playwright.Browser, sample_report: Report, tmp_path: Path, count: int
) -> None:
    trials = sample_report.build.trials
    # Shaped like a model with every form in every way to run it: each a little slower or lossier.
    candidates = [trial for trial in trials if trial.fidelity is not None]
    more = tuple(
        replace(trial, name=f"{trial.name}-{n}", verdict="kept", throughput=slower(trial, n))
        for n in range(count // len(candidates) + 1)
        for trial in candidates
    )
    build = replace(sample_report.build, trials=(*trials, *more[:count]))
    report = replace(sample_report, manifest=replace(sample_report.manifest, builds=(build,)))
    page = Opened(browser, write(report, tmp_path)[0], "light", WIDTHS["phone"]).page
    assert page.evaluate(HEAPED) == []


def slower(trial: Trial, step: int) -> Throughput:
    """The throughput of `trial`, 7 % lower each `step`."""
    found = trial.throughput
    assert found is not None
    share = 0.93 ** (step + 1)
    return replace(
        found,
        median_per_s=found.median_per_s * share,
        low_per_s=found.low_per_s * share,
        high_per_s=found.high_per_s * share,
    )


def test_on_paper_every_list_is_open(browser: playwright.Browser, file: Path) -> None:
    page = Opened(browser, file, "light", WIDTHS["desktop"]).page
    digest = page.locator(".files code").first
    assert not digest.is_visible()
    page.emulate_media(media="print")
    assert digest.is_visible()


def test_every_text_has_enough_contrast(opened: Opened) -> None:
    ratio, text = opened.page.evaluate(CONTRAST)
    # WCAG 2.2, 1.4.3 "Contrast (Minimum)".
    assert ratio >= 4.5, text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_shade_of_the_matrix_can_be_read(
    browser: playwright.Browser, sample_report: Report, tmp_path: Path, scheme: str
) -> None:
    page = Opened(browser, with_sentences(sample_report, tmp_path), scheme, 1280).page
    assert page.locator("td.heat-0, td.heat-1, td.heat-2, td.heat-3, td.heat-4").count() == 25
    ratio, text = page.evaluate(CONTRAST)
    assert ratio >= 4.5, text


def test_the_matrix_of_sentences_is_seen_whole_on_a_phone(
    browser: playwright.Browser, sample_report: Report, tmp_path: Path
) -> None:
    file = with_sentences(sample_report, tmp_path)
    page = Opened(browser, file, "light", WIDTHS["phone"]).page
    hidden = "e => e.scrollWidth - e.clientWidth"
    assert page.locator(".scroll:has(table.heat)").evaluate(hidden) == 0


def with_sentences(report: Report, folder: Path) -> Path:
    """The page of `report` with the demo's sentences, whose cosines have every shade."""
    row = (-0.1, 0.3, 0.5, 0.7, 0.9)
    shown = Likeness(
        texts=SENTENCES, paraphrases=PARAPHRASES, cosines=tuple(row for _ in SENTENCES)
    )
    return write(replace(report, showcase=Showcase(sentences=shown)), folder)[0]


def test_the_picture_that_was_read_is_drawn(opened: Opened) -> None:
    drawn = opened.page.locator("svg.read image").bounding_box()
    frame = opened.page.locator("svg.read polygon").first.bounding_box()
    assert drawn is not None
    assert frame is not None
    assert drawn["width"] > 200
    assert drawn["x"] < frame["x"] < drawn["x"] + drawn["width"]


def test_a_screenshot_is_left_to_look_at(
    opened: Opened, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    picture = tmp_path / f"{request.node.callspec.id}.png"
    opened.page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 100_000


def test_light_and_dark_are_different_pages(browser: playwright.Browser, file: Path) -> None:
    schemes = ("light", "dark")
    pages = [Opened(browser, file, scheme, WIDTHS["desktop"]).page for scheme in schemes]
    colour = "getComputedStyle(document.body).backgroundColor"
    assert len({page.evaluate(colour) for page in pages}) == 2
