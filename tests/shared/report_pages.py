"""What a reader sees of a report's page, and reports that differ in one thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

from plansmith.findings import Report
from plansmith.manifest import Trial


class Page(HTMLParser):
    """What a reader sees of a page, and what a browser would be asked to do by it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self._hidden = False
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag in ("style", "script", "title")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
                self.references.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag not in ("style", "script", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def with_trials(report: Report, change: Callable[[Trial], Trial]) -> Report:
    """`report` whose served target's trials are changed."""
    trials = tuple(change(trial) for trial in report.build.trials)
    return with_build(report, trials=trials)


def with_build(report: Report, **changes: object) -> Report:
    """`report` with changes to the build of the served target."""
    builds = tuple(
        replace(build, **changes) if build.target == report.target else build
        for build in report.manifest.builds
    )
    return replace(report, manifest=replace(report.manifest, builds=builds))


def with_chosen(report: Report, **changes: object) -> Report:
    """`report` whose chosen trial is changed."""

    def change(trial: Trial) -> Trial:
        return replace(trial, **changes) if trial.verdict == "chosen" else trial

    return with_trials(report, change)


def without_labels(report: Report) -> Report:
    """`report` of a model whose evaluation data have no labels."""

    def change(trial: Trial) -> Trial:
        fidelity = trial.fidelity and replace(trial.fidelity, labelled=None)
        return replace(trial, fidelity=fidelity)

    budget = replace(report.manifest.budget, metric="top1_agreement")
    report = replace(report, manifest=replace(report.manifest, budget=budget))
    return with_trials(report, change)


def drawings(html: str) -> list[str]:
    """What a screen reader says of each drawing."""
    return re.findall(r'<svg[^>]*aria-label="([^"]*)"', html)
