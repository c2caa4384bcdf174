"""What this tool writes is clean by its own rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plansmith.rules.checking import check
from plansmith.rules.facts import Place


@pytest.mark.usefixtures("quick_builds")
def test_a_published_version_is_clean(model_folder: Path, run: Callable[..., Any]) -> None:
    run()
    found = check([model_folder.parent], Place(cores=64, server_version="2.51.0"))
    assert [str(one) for one in found] == []
    assert (model_folder / "config.pbtxt").is_file()
