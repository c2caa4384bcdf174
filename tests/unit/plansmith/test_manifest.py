"""manifest.json: reads back as it was written; a file that is not one is named with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith import manifest
from plansmith.compare import Fidelity
from plansmith.errors import UnusableInput
from plansmith.manifest import FileDigest, Manifest, Trial
from plansmith.measure import LatencySummary, Throughput

ManifestOf = Callable[[int, tuple[FileDigest, ...]], Manifest]

FIGURES = st.floats(0, 1e9)


def of_figures(kind: type) -> st.SearchStrategy[object]:
    """Any value of a class whose fields are all numbers."""
    counts = {"rounds": st.integers(1, 9), "count": st.integers(1, 9)}
    return st.builds(kind, **{one.name: counts.get(one.name, FIGURES) for one in fields(kind)})


TRIALS = st.builds(
    Trial,
    throughput=of_figures(Throughput),
    latency=of_figures(LatencySummary),
    fidelity=st.none() | of_figures(Fidelity),
)


@given(
    trials=st.lists(TRIALS, max_size=4).map(tuple),
    tools=st.dictionaries(st.text(), st.text()),
    version=st.integers(1, 10**9),
)
def test_any_manifest_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    manifest_of: ManifestOf,
    trials: tuple[Trial, ...],
    tools: dict[str, str],
    version: int,
) -> None:
    written = replace(manifest_of(version, ()), trials=trials, tools=tools)
    path = tmp_path_factory.getbasetemp() / "manifest.json"
    path.write_bytes(manifest.encode(written))
    assert manifest.read(path) == written


@pytest.fixture
def file(tmp_path: Path, manifest_of: ManifestOf) -> Path:
    path = tmp_path / "3" / "manifest.json"
    path.parent.mkdir()
    path.write_bytes(manifest.encode(manifest_of(3, ())))
    return path


def test_the_file_is_indented_json_that_ends_in_a_newline(file: Path) -> None:
    text = file.read_text()
    assert text.endswith("}\n")
    assert '\n  "version": 3,' in text


def test_unknown_figures_stay_unknown(file: Path) -> None:
    reference = json.loads(file.read_text())["trials"][0]
    assert reference["fidelity"] is None


def test_the_chosen_the_fastest_and_any_trial_can_be_asked_for(
    manifest_of: ManifestOf, trial_of: Callable[..., Trial]
) -> None:
    found = replace(
        manifest_of(1, ()),
        trials=(
            trial_of("ort-b1", 90, verdict="reference"),
            trial_of("ort-b8", 110, verdict="reference"),
            trial_of("best", 200, verdict="chosen"),
        ),
    )
    assert found.chosen.name == "best"
    assert found.fastest("reference") == found.trial("ort-b8")
    assert found.fastest("baseline") is None
    assert found.trial("never measured") is None


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"manifest\.json: cannot be read: No such file"):
        manifest.read(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version": 3', '"version": "three"'),
        ('"dtype": "float32"', '"dtype": "float99"'),
        ('"p99_ms"', '"p99"'),
        ("}\n", "\n"),
    ],
    ids=["a wrong type", "an unknown dtype", "a missing field", "cut short"],
)
def test_a_file_that_is_no_manifest_is_named_with_what_to_do(
    file: Path, old: str, new: str
) -> None:
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(UnusableInput, match=r"not a version's manifest: .*; remove .*/3 and build"):
        manifest.read(file)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"null", b"[]"])
def test_any_other_content_is_refused_alike(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UnusableInput, match="not a version's manifest"):
        manifest.read(file)


def test_a_manifest_of_another_schema_is_not_taken_for_ours(file: Path) -> None:
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(UnusableInput, match="has schema 2, this plansmith reads 1"):
        manifest.read(file)
