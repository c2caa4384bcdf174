"""What a demo must have come to on any machine, however slow: `demo_result.py out/report.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CATS = (281, 282, 285)
ESPRESSO = 967
SENTENCES = ("sentence_tokenizer", "sentence_encoder", "sentence_embedding")
SPEECH = ("speech_activity", "speech_segments")
OCR = ("ocr_detector", "ocr_classifier", "ocr_recogniser", "ocr")


def main(path: Path) -> None:
    """Raises AssertionError, or FileNotFoundError where the demo did not get to its report."""
    report = json.loads(path.read_text())
    check = report["served_check"]
    assert check["passed"], check
    assert check["count"] >= 300, check
    shown = {one["title"]: one["served"][0]["index"] for one in report["predictions"]}
    assert shown["chelsea"] in CATS, shown
    assert shown["coffee"] == ESPRESSO, shown
    assert all(one["agrees"] for one in report["predictions"]), report["predictions"]
    builds = {one["target"]: one for one in report["manifest"]["builds"]}
    verdicts = [trial["verdict"] for trial in builds[report["target"]]["trials"]]
    assert verdicts.count("chosen") == 1, verdicts
    assert all(load["succeeded"] and not load["failed"] for load in report["loads"]), report[
        "loads"
    ]
    check_models(report["models"])
    check_showcase(report["showcase"])
    print(f"{path}: {report['headline']}")


def check_models(models: list[dict[str, Any]]) -> None:
    """Every model of the repository that is served as it is gave its golden answers."""
    checked = {one["model"] for one in models if one["check"] and one["check"]["passed"]}
    assert not [one for one in models if one["failed"]], models
    assert checked >= {*SENTENCES, *SPEECH, *OCR}, checked


def check_showcase(showcase: dict[str, Any]) -> None:
    """Sentences are told apart by what they mean, speech is heard, print is read."""
    sentences, heard, page = (showcase[name] for name in ("sentences", "speech", "page"))
    assert sentences["least_of_paraphrases"] > sentences["most_of_others"], sentences
    assert heard["segments"], "no segment of speech was found"
    assert max(heard["probabilities"]) > 0.9 > 0.1 > min(heard["probabilities"]), heard
    assert page["is_right"], page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
