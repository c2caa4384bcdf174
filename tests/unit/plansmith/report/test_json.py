"""report.json has every figure of the report, and no picture."""

from __future__ import annotations

import json

import msgspec

from plansmith.findings import Report, headline
from plansmith.load_result import LoadResult
from plansmith.manifest import Manifest
from plansmith.report import to_json


def test_json_has_the_repository_and_the_calls_without_the_picture(sample_report: Report) -> None:
    table = json.loads(to_json(sample_report))
    assert [one["model"] for one in table["models"] if one["check"]] == [
        *("efficientnet_lite0", "sentence_embedding", "speech_activity", "speech_segments")
    ]
    showcase = table["showcase"]
    assert showcase["sentences"]["least_of_paraphrases"] == 0.8123
    assert showcase["sentences"]["most_of_others"] == 0.4
    assert [one["start_s"] for one in showcase["speech"]["segments"]] == [0.5, 1.9]
    assert [line["text"] for line in showcase["page"]["lines"]] == ["Total due", "12.50EUR"]
    assert showcase["page"]["is_right"]
    assert "picture" not in showcase["page"]


def test_json_gives_back_every_figure(sample_report: Report) -> None:
    table = json.loads(to_json(sample_report))
    assert msgspec.convert(table["manifest"], Manifest) == sample_report.manifest
    assert msgspec.convert(table["loads"], tuple[LoadResult, ...]) == sample_report.loads
    assert msgspec.json.encode(sample_report.served_check) == msgspec.json.encode(
        table["served_check"]
    )
    assert table["headline"] == headline(sample_report)


def test_json_leaves_the_pictures_out(sample_report: Report) -> None:
    shown = json.loads(to_json(sample_report))["predictions"]
    assert [entry["agrees"] for entry in shown] == [True, True, False]
    assert all("image" not in entry for entry in shown)
