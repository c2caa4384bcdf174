"""What a recipe promises, held against the config that serves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plansmith.rules.findings import Finding

RECIPE = """\
[source]
python = "model.py"
[input.audio]
dtype = "float32"
shape = [512]
[output.speech]
dtype = "float32"
shape = [1]
[sequence]
strategy = "oldest"
max_idle_ms = {idle_ms}
[slo]
p99_ms = 20
[targets]
order = ["cpu"]
max_batch_size = 4
"""
Found = Callable[[], tuple[Finding, ...]]


def _write(root: Path, idle_ms: int) -> None:
    (root / "stream" / "recipe.toml").write_text(RECIPE.format(idle_ms=idle_ms))
    (root / "stream" / "model.py").touch()


def test_sequences_that_are_forgotten_sooner_than_the_recipe_says_are_found(
    good_repository: Path, found: Found
) -> None:
    _write(good_repository, 6000)
    (one,) = found()
    assert (one.rule, one.line) == ("sequence-idle", 7)
    assert "after 5000 ms without a request, the recipe allows 6000 ms" in one.message
    assert one.fix == "write 6000000"


def test_sequences_that_live_as_long_are_fine(good_repository: Path, found: Found) -> None:
    _write(good_repository, 5000)
    assert found() == ()
