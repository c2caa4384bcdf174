"""Which models can be served, what they are by their configs, and which are not fine."""

from __future__ import annotations

from pathlib import Path

import pytest

from plansmith.config.parsing import parse
from plansmith.errors import UnusableInput
from plansmith.findings import ModelKind, ServedModel
from plansmith.showcase.models import kind_of, servable, with_faults


def put(repository: Path, model: str, *versions: int, config: str | None = "cpu") -> Path:
    """A model's folder with these versions and a config for that target."""
    folder = repository / model
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
    if config is not None:
        (folder / "configs").mkdir(parents=True)
        text = f'name: "{model}"\nbackend: "openvino"\nmax_batch_size: 1\n'
        (folder / "configs" / f"{config}.pbtxt").write_text(text)
    return folder


def test_what_has_a_version_and_a_config_for_the_target_can_be_served(tmp_path: Path) -> None:
    put(tmp_path, "ready", 1, 2)
    put(tmp_path, "never_published", config=None)
    put(tmp_path, "without_version")
    put(tmp_path, "for_gpus", 1, config="tensorrt")
    assert servable(tmp_path, "cpu") == {"ready": ModelKind(backend="openvino")}


def test_a_config_that_names_a_version_which_is_not_there_serves_nothing(tmp_path: Path) -> None:
    file = put(tmp_path, "gone", 1) / "configs" / "cpu.pbtxt"
    file.write_text(file.read_text() + "version_policy { specific { versions: [ 7 ] } }\n")
    assert servable(tmp_path, "cpu") == {}


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (put(tmp_path, "bad", 1) / "configs" / "cpu.pbtxt").write_text("name: {")
    with pytest.raises(UnusableInput, match=r"bad/configs/cpu\.pbtxt:1"):
        servable(tmp_path, "cpu")


def test_an_ensemble_is_what_its_steps_are() -> None:
    text = """
        name: "both" platform: "ensemble"
        ensemble_scheduling { step { model_name: "a" } step { model_name: "b" } }
    """
    found = kind_of(parse(text, "config.pbtxt").message, ("a", "b"))
    assert found == ModelKind(backend="ensemble", calls=("a", "b"))


def test_state_streams_and_calls_are_told() -> None:
    text = """
        backend: "python" sequence_batching { }
        model_transaction_policy { decoupled: true }
    """
    found = kind_of(parse(text, "config.pbtxt").message, ("other",))
    assert found == ModelKind(backend="python", keeps_state=True, streams=True, calls=("other",))


def served(model: str, *, version: int = 1) -> ServedModel:
    return ServedModel(
        model=model,
        version=version,
        kind=ModelKind(backend="python"),
        check=None,
        note="",
        failed=False,
    )


def test_a_model_that_could_not_be_built_is_a_failure_of_its_own() -> None:
    found = with_faults([served("b")], {"a": "its source is missing"})
    assert [(one.model, one.version, one.failed) for one in found] == [
        ("a", None, True),
        ("b", 1, False),
    ]
    assert found[0].note == "its source is missing"


def test_an_older_version_of_it_may_be_served_and_is_a_failure_too() -> None:
    (found,) = with_faults([served("a", version=4)], {"a": "its source is missing"})
    assert (found.version, found.failed) == (4, True)
    assert found.note == "this is an older version: its source is missing"
