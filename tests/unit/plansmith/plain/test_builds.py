"""A model that is served as it is: built as one whole version, not twice, and not unproven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from plansmith.cache import Cache
from plansmith.dry_run import explain
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.golden import file
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import Built, built, find_samples
from plansmith.plain.job import PlainJob
from plansmith.plain.serving import serving_config
from plansmith.plain.stages import NO_BYTECODE
from plansmith.preflight import describe_place, preflight
from plansmith.repository import ModelFolder
from plansmith.verify import verify

Build = Callable[..., Built]
Edit = Callable[[str, str, str], None]
SLO = "p99_ms = 100\n"


def read_config(folder: Path) -> model_config_pb2.ModelConfig:
    text = (folder / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def names_in(folder: Path) -> set[str]:
    """The files of a version but for the copies of its configs."""
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_trained_model_becomes_what_openvino_loads(repository: Path, build_model: Build) -> None:
    version = built(build_model("double"))
    assert names_in(repository / "double" / "1") == {
        "model.xml",
        "model.bin",
        "golden.npz",
        "manifest.json",
    }
    config = read_config(repository / "double")
    assert (config.backend, config.max_batch_size) == ("openvino", 4)
    assert list(config.input[0].dims) == [-1]
    assert version.on("cpu").chosen.reason == (
        "served as it was trained, in FP32; largest deviation 0 on 4 golden rows, allowed 1e-05"
    )


def test_the_manifest_has_no_budget_and_one_trial_that_was_not_timed(build_model: Build) -> None:
    version = built(build_model("double"))
    assert (version.evaluation, version.budget) == (None, None)
    (trial,) = version.on("cpu").trials
    assert (trial.verdict, trial.throughput, trial.fidelity) == ("chosen", None, None)
    assert version.on("cpu").form(trial.form).precision == "fp32"
    assert [one.path for one in version.sources] == ["double.onnx", "recipe.toml", "source.py"]


def test_state_is_the_servers_and_its_tensors_are_not_offered(
    repository: Path, build_model: Build
) -> None:
    version = built(build_model("counter"))
    assert [spec.name for spec in version.inputs] == ["x"]
    assert [spec.name for spec in version.outputs] == ["sum"]
    config = read_config(repository / "counter")
    assert (config.backend, [one.name for one in config.input]) == ("onnxruntime", ["x"])
    (state,) = config.sequence_batching.state
    assert (state.input_name, state.output_name) == ("total", "next_total")
    kept = file.read(repository / "counter" / "1" / file.FILE_NAME)
    assert kept.sequence is not None
    assert kept.sequence.tolist() == [1, 2, 1, 2, 1, 2]


def test_a_python_model_is_its_file_and_what_goes_beside_it(
    repository: Path, build_model: Build
) -> None:
    build_model("text")
    version = repository / "text" / "1"
    given = {"model.py", "words.txt", "helper.py", "golden.npz", "manifest.json"}
    assert names_in(version) == {*given, NO_BYTECODE}
    assert (version / "model.py").read_text() == (repository / "text" / "own.py").read_text()
    assert (version / "helper.py").read_text() == "VALUE = 1\n"
    config = read_config(repository / "text")
    assert (config.backend, config.max_batch_size) == ("python", 8)
    assert config.input[0].data_type == model_config_pb2.TYPE_STRING


def test_an_ensembles_version_has_nothing_to_load(repository: Path, build_model: Build) -> None:
    build_model("both")
    assert names_in(repository / "both" / "1") == {"manifest.json"}
    config = read_config(repository / "both")
    assert (config.platform, config.backend) == ("ensemble", "")
    steps = config.ensemble_scheduling.step
    assert [step.model_name for step in steps] == ["text", "double"]
    assert dict(steps[1].input_map) == {"x": "middle"}


@pytest.mark.parametrize("model", ["double", "counter", "text", "both"])
def test_an_unchanged_build_does_nothing(model: str, repository: Path, build_model: Build) -> None:
    first = build_model(model)
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    second = build_model(model)
    assert (first.changed, second.changed) == (True, False)
    assert second.current == ("cpu",)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


@pytest.mark.parametrize("model", ["double", "counter", "text", "both"])
def test_what_was_published_is_verified(model: str, repository: Path, build_model: Build) -> None:
    build_model(model)
    assert verify([repository / model]).is_fine


def test_a_file_beside_a_python_model_makes_a_new_version(
    repository: Path, build_model: Build
) -> None:
    build_model("text")
    (repository / "text" / "beside.py").write_text("VALUE = 2\n")
    assert built(build_model("text")).version == 2
    assert (repository / "text" / "2" / "helper.py").read_text() == "VALUE = 2\n"


def test_a_forced_build_makes_everything_anew(build_model: Build) -> None:
    build_model("double")
    assert built(build_model("double", force=True)).version == 2


def test_answers_further_off_than_allowed_publish_nothing(
    repository: Path, build_model: Build
) -> None:
    path = repository / "double" / "source.py"
    path.write_text(path.read_text().replace("2 * row", "2 * row + np.float32(0.25) * (row > 1)"))
    failure = build_model("double").failures["cpu"]
    assert str(failure) == (
        "double: as it was exported it does not answer as the original does: row 1: y is off by "
        "0.25; largest deviation 0.25 on 4 golden rows, allowed 1e-05"
    )
    assert ModelFolder(path=repository / "double").versions() == ()
    assert not (repository / "double" / "config.pbtxt").exists()


def test_a_state_that_is_not_fed_back_is_found_out(repository: Path, build_model: Build) -> None:
    path = repository / "counter" / "source.py"
    path.write_text(path.read_text().replace("[1, 1, 2, 2, 3, 3]", "[1, 1, 1, 1, 1, 1]"))
    failure = build_model("counter").failures["cpu"]
    assert "counter: as it was exported it does not answer as the original" in str(failure)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('b"a b"', "3", "'words.txt' is int; expected a file's Path, or bytes"),
        ('"words.txt"', '"../words.txt"', "has '../words.txt'; expected the name of a file"),
        ('"words.txt"', '"model.py"', "has 'model.py'; expected the name of a file"),
        ('"words.txt"', '"configs"', "has 'configs'; expected the name of a file"),
        ('"words.txt"', '"model.sig"', "has 'model.sig'; expected the name of a file"),
        ('"words.txt"', '"words.pkl"', "to load a pickle runs the code in it; use JSON"),
        ('"beside.py"', '"gone.py"', "no such file"),
        ('{"words.txt": b"a b"', '["words.txt"] or {"a": b""', "gives a list; expected {name"),
        ('"words.txt": b"a b"', "**missing", "NameError"),
    ],
)
def test_files_that_cannot_be_in_a_version_are_refused(
    old: str, new: str, told: str, repository: Path, build_model: Build
) -> None:
    path = repository / "text" / "source.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    failure = build_model("text").failures["cpu"]
    assert isinstance(failure, UnusableInput)
    assert told in str(failure)


def test_a_target_that_the_recipe_lacks_is_refused(repository: Path) -> None:
    with pytest.raises(UnusableInput, match=r"targets\.order has no 'tensorrt'"):
        prepare(repository / "double", "tensorrt", Plan())


def test_a_missing_python_file_is_named(repository: Path) -> None:
    (repository / "text" / "own.py").unlink()
    with pytest.raises(UnusableInput, match=r"own\.py: no such file; .* names it as 'python'"):
        prepare(repository / "text", None, Plan())


def test_a_dry_run_tells_each_stage_of_a_trained_model(repository: Path, tmp_path: Path) -> None:
    job = prepare(repository / "double", None, Plan())
    assert list(explain(job, Cache(root=tmp_path / "cold"))) == [
        "golden",
        "export",
        "clean",
        "cpu: compile",
        "cpu: check",
        "cpu: publish",
    ]


def test_load_runs_take_golden_inputs_of_one_shape(
    repository: Path, build_model: Build, tmp_path: Path
) -> None:
    build_model("double")
    job = prepare(repository / "double", None, Plan())
    found = find_samples(job, Cache(root=tmp_path / "cache"))
    assert found is not None
    with np.load(found, allow_pickle=False) as samples:
        assert samples["x"].shape == (2, 3)


def test_load_runs_of_texts_need_no_pickle(
    repository: Path, build_model: Build, tmp_path: Path
) -> None:
    build_model("text")
    job = prepare(repository / "text", None, Plan())
    found = find_samples(job, Cache(root=tmp_path / "cache"))
    assert found is not None
    with np.load(found, allow_pickle=False) as samples:
        assert samples["text"]["bytes"].tolist() == [[b"a"], [b"b"]]


def test_a_disk_that_refuses_leaves_no_version(
    repository: Path, build_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plansmith import repository as disk

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "model.bin")

    monkeypatch.setattr(disk.shutil, "copyfile", refuse)
    failure = build_model("both").failures or build_model("double").failures
    assert isinstance(failure["cpu"], PlansmithError)
    assert "No space left on device" in str(failure["cpu"])
    assert ModelFolder(path=repository / "double").versions() == ()


def served_with(repository: Path, model: str, *, cores: int) -> dict[str, str]:
    """The parameters of the backend, as they are written on a machine with so many cores."""
    job = prepare(repository / model, None, Plan())
    assert isinstance(job, PlainJob)
    job = replace(job, machine=replace(job.machine, cores=cores))
    config = serving_config(job, (1,), ()).message
    assert [group.count for group in config.instance_group] == [job.recipe.serving.instances]
    return {name: value.string_value for name, value in config.parameters.items()}


@pytest.mark.parametrize(("instances", "each"), [(1, "8"), (2, "4"), (3, "2"), (8, "1")])
def test_instances_of_a_trained_model_share_the_cores(
    instances: int, each: str, repository: Path, edit_recipe: Edit
) -> None:
    for model in ("double", "counter"):
        edit_recipe(model, SLO, f"{SLO}\n[serving]\ninstances = {instances}\n")
    assert served_with(repository, "double", cores=8) == {
        "NUM_STREAMS": str(instances),
        "INFERENCE_NUM_THREADS": "8",
    }
    assert served_with(repository, "counter", cores=8) == {
        "intra_op_thread_count": each,
        "inter_op_thread_count": "1",
    }


def test_more_instances_of_a_trained_model_than_cores_are_refused(
    repository: Path, build_model: Build, edit_recipe: Edit
) -> None:
    edit_recipe("double", SLO, f"{SLO}\n[serving]\ninstances = 1000\n")
    failure = build_model("double").failures["cpu"]
    assert isinstance(failure, UnusableInput)
    assert str(failure).startswith(
        f"{repository}/double/recipe.toml: serving.instances: is 1000, and this machine has "
    )
    assert ModelFolder(path=repository / "double").versions() == ()


def test_a_python_model_may_have_more_instances_than_cores(
    repository: Path, build_model: Build, edit_recipe: Edit
) -> None:
    edit_recipe("text", SLO, f"{SLO}\n[serving]\ninstances = 1000\n")
    built(build_model("text"))
    (group,) = read_config(repository / "text").instance_group
    assert (group.count, group.kind) == (1000, group.KIND_CPU)


def test_preflight_passes_over_what_has_no_engines(repository: Path, build_model: Build) -> None:
    for model in ("double", "text"):
        build_model(model)
    there = describe_place(
        compute_capability="8.6",
        driver="580.65",
        container=None,
        tensorrt_version="10.9",
        tensorrt_rtx_version="1.7",
    )
    folders = [repository / "double", repository / "text"]
    assert preflight(folders, "tensorrt", there).models == ()
    with pytest.raises(UnusableInput, match="double: serves no engine for tensorrt"):
        preflight(folders[:1], "tensorrt", there)
