"""manifest.json: reads back as it was written; a file that is not one is named with the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith import manifest
from plansmith.compare import Fidelity, Labelled, SliceDrop
from plansmith.errors import UnusableInput
from plansmith.forms import Form, PruneAttempt
from plansmith.manifest import SCHEMA, FileDigest, Manifest, Trial, rate
from plansmith.measure import LatencySummary, Throughput

ManifestOf = Callable[[int, tuple[FileDigest, ...]], Manifest]

FIGURES = st.floats(0, 1e9)


COUNTS = st.integers(0, 10**12)


def of_figures(kind: type, **others: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Any value of a class whose fields are numbers, but for `others`."""
    of = {"float": FIGURES, "int": COUNTS, "bool": st.booleans()}
    of |= {f"{name} | None": st.none() | figure for name, figure in of.items()}
    figures = {one.name: of[str(one.type)] for one in fields(kind) if one.name not in others}
    return st.builds(kind, **figures, **others)


RATES = st.lists(FIGURES, min_size=1, max_size=3).map(tuple)
TRIALS = st.builds(
    Trial,
    batch_size=COUNTS,
    size_bytes=COUNTS,
    peak_memory_bytes=st.none() | COUNTS,
    throughput=st.none() | of_figures(Throughput, rates_per_s=RATES),
    latency=st.none() | of_figures(LatencySummary, round_p50_ms=RATES),
    fidelity=st.none()
    | of_figures(
        Fidelity,
        labelled=st.none() | of_figures(Labelled),
        worst_slice=st.none() | of_figures(SliceDrop, name=st.text()),
    ),
)
FORMS = st.builds(
    Form,
    macs=st.none() | COUNTS,
    parameters=COUNTS,
    attempts=st.lists(of_figures(PruneAttempt), max_size=2).map(tuple),
)


@given(
    trials=st.lists(TRIALS, max_size=4).map(tuple),
    forms=st.lists(FORMS, max_size=2).map(tuple),
    tools=st.dictionaries(st.text(), st.text()),
    version=st.integers(1, 10**9),
)
def test_any_manifest_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    manifest_of: ManifestOf,
    trials: tuple[Trial, ...],
    forms: tuple[Form, ...],
    tools: dict[str, str],
    version: int,
) -> None:
    written = manifest_of(version, ())
    built = replace(written.on("cpu"), trials=trials, forms=forms, tools=tools)
    written = replace(written, builds=(built,))
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
    reference = json.loads(file.read_text())["builds"][0]["trials"][0]
    assert reference["fidelity"] is None
    assert reference["peak_memory_bytes"] is None


def test_the_chosen_the_fastest_and_any_trial_can_be_asked_for(
    manifest_of: ManifestOf, trial_of: Callable[..., Trial]
) -> None:
    found = replace(
        manifest_of(1, ()).on("cpu"),
        trials=(
            trial_of("ort-b1", 90, verdict="reference"),
            trial_of("ort-b4", None, verdict="reference"),
            trial_of("ort-b8", 110, verdict="reference"),
            trial_of("best", 200, verdict="chosen"),
        ),
    )
    assert found.chosen.name == "best"
    assert found.fastest("reference") == found.trial("ort-b8")
    assert found.fastest("baseline") is None
    assert found.trial("never measured") is None
    assert found.form(found.chosen.form).name == "fp32"


def test_a_trial_that_was_not_timed_is_never_the_fastest(
    manifest_of: ManifestOf, trial_of: Callable[..., Trial]
) -> None:
    untimed = trial_of("fp16", None, verdict="chosen")
    found = replace(manifest_of(1, ()).on("cpu"), trials=(untimed,))
    assert found.fastest("chosen") is None
    assert rate(untimed) == 0


def test_a_target_that_a_version_has_not_is_named_with_those_it_has(
    manifest_of: ManifestOf,
) -> None:
    with pytest.raises(UnusableInput, match=r"tiny version 4 was not built for 'xla'; it has cpu"):
        manifest_of(4, ()).on("xla")


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
    older = re.sub(r'"schema": \d+', '"schema": 1', file.read_text())
    file.write_text(older.replace('"builds"', '"trials"'))
    with pytest.raises(UnusableInput, match=f"has schema 1, this plansmith reads {SCHEMA}"):
        manifest.read(file)
    assert manifest.read_if_ours(file) is None
