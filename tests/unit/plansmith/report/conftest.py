"""The realistic report as a page, and a smaller one that is drawn quickly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plansmith.findings import Report
from plansmith.report import render_html
from plansmith.showcase.calls import Showcase
from report_pages import Page


@pytest.fixture(scope="session")
def page(sample_report: Report) -> Page:
    return Page(render_html(sample_report))


@pytest.fixture(scope="session")
def lean(sample_report: Report) -> Report:
    """The served target alone, without load runs and real calls: quicker to draw."""
    manifest = replace(sample_report.manifest, builds=(sample_report.build,))
    return replace(sample_report, manifest=manifest, loads=(), showcase=Showcase())
