"""What a demo must have come to on any machine, however slow: `demo_result.py out/report.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

CATS = (281, 282, 285)
ESPRESSO = 967


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
    print(f"{path}: {report['headline']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
