"""A build publishes one whole version, does nothing twice, and goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from plansmith import trials
from plansmith.cache import Cache
from plansmith.dry_run import explain
from plansmith.errors import PlansmithError
from plansmith.job import prepare
from plansmith.measure import Engine, LatencySummary, Plan, Throughput
from plansmith.pipeline import Built, built
from plansmith.repository import ModelFolder, digest
from plansmith.stages import source, targets

# Where the function is that makes a stage's product.
MODULES = {
    "make_data": source,
    "make_export": source,
    "make_clean": source,
    "make_reference": source,
    "make_quantized": targets,
    "make_compiled": targets,
    "make_trials": targets,
}
Timings = dict[str, tuple[Throughput, LatencySummary]]
Edit = Callable[[str, str], None]
pytestmark = pytest.mark.usefixtures("quick_builds")


def read_config(folder: Path, name: str = "config.pbtxt") -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / name).read_text(), model_config_pb2.ModelConfig())


def served(folder: Path) -> list[int]:
    return list(read_config(folder).version_policy.specific.versions)


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file in `folder`, by path."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def steps_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The steps that were begun since the last call, as told on stderr."""
    lines = capsys.readouterr().err.splitlines()
    return [line.removesuffix(" ...") for line in lines if line.endswith(" ...")]


def test_a_first_build_publishes_version_1_whole(
    model_folder: Path, run: Callable[..., Built]
) -> None:
    found = run()
    assert found.changed
    assert found.manifest == ModelFolder(path=model_folder).manifest(1)
    artifacts = built(found).on("cpu").artifacts
    assert [file.path for file in artifacts] == ["model.bin", "model.xml"]
    for file in artifacts:
        assert digest(model_folder / "1" / file.path, file.path) == file


def test_the_manifest_says_what_was_built_from_what(
    model_folder: Path, run: Callable[..., Built]
) -> None:
    found = built(run())
    assert (found.model, found.version, found.targets) == ("tiny", 1, ("cpu",))
    assert [source.path for source in found.sources] == [
        "evaluation.npz",
        "model.onnx",
        "recipe.toml",
    ]
    assert found.sources[1] == digest(model_folder / "model.onnx", "model.onnx")
    assert found.evaluation.count == 400
    assert found.on("cpu").tools["numpy"] == np.__version__
    assert [spec.name for spec in (*found.inputs, *found.outputs)] == ["x", "logits"]
    assert {trial.verdict for trial in found.on("cpu").trials} == {"reference", "kept", "chosen"}


def test_both_configs_serve_the_chosen_variant_as_that_version(
    model_folder: Path, run: Callable[..., Built]
) -> None:
    chosen = built(run()).on("cpu").chosen
    config = read_config(model_folder)
    assert config == read_config(model_folder, "configs/cpu.pbtxt")
    assert (config.name, config.max_batch_size) == ("tiny", 1)
    assert list(config.version_policy.specific.versions) == [1]
    # The last variant is the fastest here, and its name says how many streams it has.
    streams = config.parameters["NUM_STREAMS"].string_value
    assert f"-s{streams}t" in chosen.name
    assert sum(group.count for group in config.instance_group) == int(streams)


def test_an_unchanged_build_does_nothing(
    model_folder: Path, run: Callable[..., Built], capsys: pytest.CaptureFixture[str]
) -> None:
    first = run()
    before = {path: path.stat().st_mtime_ns for path in model_folder.rglob("*")}
    capsys.readouterr()
    second = run()
    assert not second.changed
    assert second.manifest == first.manifest
    assert steps_of(capsys) == []
    assert {path: path.stat().st_mtime_ns for path in model_folder.rglob("*")} == before


def test_a_changed_recipe_gives_the_next_version_and_keeps_the_one_before(
    model_folder: Path, run: Callable[..., Built], edit: Edit
) -> None:
    run()
    before = contents(model_folder / "1")
    edit("p99_ms = 100", "p99_ms = 50")
    found = run()
    assert found.changed
    assert (built(found).version, built(found).p99_ms) == (2, 50)
    assert served(model_folder) == [2]
    assert contents(model_folder / "1") == before


def test_a_forced_build_makes_everything_anew(
    model_folder: Path, run: Callable[..., Built], cold: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cold)
    exported: list[str] = []
    make_export = source.make_export
    monkeypatch.setattr(
        source, "make_export", lambda *args: (exported.append("again"), make_export(*args))[1]
    )
    assert built(run(cold, force=True)).version == 2
    assert exported == ["again"]
    assert served(model_folder) == [2]


def test_too_few_samples_publish_nothing_and_every_variant_says_why(
    model_folder: Path, run: Callable[..., Built]
) -> None:
    np.savez(model_folder / "evaluation.npz", x=np.ones((5, 8), np.float32))
    with pytest.raises(PlansmithError) as caught:
        built(run())
    first, *reasons = str(caught.value).splitlines()
    assert first == "tiny: no variant for cpu may be served:"
    assert len(reasons) >= 4
    assert all("not proven: " in reason for reason in reasons)
    assert all("needs at least 300 samples" in reason for reason in reasons)
    assert ModelFolder(path=model_folder).versions() == ()
    assert not (model_folder / "config.pbtxt").exists()


def test_too_few_samples_may_be_accepted_by_the_recipe(
    model_folder: Path, run: Callable[..., Built], edit: Edit
) -> None:
    np.savez(model_folder / "evaluation.npz", x=np.ones((5, 8), np.float32))
    edit("max_drop = 0.02", "max_drop = 0.02\naccept_not_proven = true")
    assert "NOT PROVEN, accepted by the recipe" in built(run()).on("cpu").chosen.reason


def test_variants_over_the_budget_keep_the_version_before(
    model_folder: Path, run: Callable[..., Built], cold: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cold)
    answers_of = trials.answers_of
    # Every variant now answers backwards; the reference's answers are in the cache.
    monkeypatch.setattr(trials, "answers_of", lambda *args: -answers_of(*args))
    with pytest.raises(PlansmithError, match="over the accuracy budget: top-1 answers that differ"):
        built(run(cold, rounds=2))
    assert ModelFolder(path=model_folder).versions() == (1,)
    assert served(model_folder) == [1]


@pytest.mark.parametrize("stage", MODULES)
def test_a_stage_that_is_interrupted_publishes_nothing_and_is_run_again(
    model_folder: Path,
    run: Callable[..., Built],
    cold: Cache,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MODULES[stage], stage, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(cold)
    assert ModelFolder(path=model_folder).versions() == ()
    assert built(run(cold)).version == 1


def test_after_an_interrupt_in_measure_the_stages_before_come_from_the_cache(
    run: Callable[..., Built], cold: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> Timings:
        raise KeyboardInterrupt

    def never(*_: object) -> None:
        raise AssertionError("was made already")

    with monkeypatch.context() as patch:
        patch.setattr(trials, "time_engines", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(cold)
    for stage in MODULES.keys() - {"make_trials"}:
        monkeypatch.setattr(MODULES[stage], stage, never)
    assert built(run(cold)).version == 1


def test_a_build_killed_before_its_version_was_served_serves_it_the_next_time(
    model_folder: Path, run: Callable[..., Built], warm: Cache, edit: Edit
) -> None:
    run()
    old = (model_folder / "config.pbtxt").read_text()
    edit("p99_ms = 100", "p99_ms = 50")
    run()
    # As the kill leaves it: version 2 is complete, config.pbtxt is still that of version 1.
    (model_folder / "config.pbtxt").write_text(old)
    plan = explain(prepare(model_folder, None, Plan(rounds=1, seconds=0.01)), warm)
    assert plan == {"cpu: publish": "run: its version is complete but not served"}
    found = run()
    assert (found.changed, built(found).version) == (True, 2)
    assert served(model_folder) == [2]
    assert ModelFolder(path=model_folder).versions() == (1, 2)


def test_a_second_build_of_the_model_is_refused_while_one_runs(
    run: Callable[..., Built],
    cold: Cache,
    monkeypatch: pytest.MonkeyPatch,
    steady_speeds: Callable[..., Timings],
) -> None:
    refusals: list[str] = []

    def build_meanwhile(engines: Mapping[str, Engine], *_: object, **__: object) -> Timings:
        # A second build that gets this far must not start a third.
        monkeypatch.setattr(trials, "time_engines", steady_speeds)
        with pytest.raises(PlansmithError) as caught:
            run(cold)
        refusals.append(str(caught.value))
        return steady_speeds(engines)

    monkeypatch.setattr(trials, "time_engines", build_meanwhile)
    assert built(run(cold)).version == 1
    (refusal,) = refusals
    assert refusal.endswith("another build of this model is running; wait for it or stop it")


def test_a_build_that_failed_leaves_no_lock(
    model_folder: Path, run: Callable[..., Built], cold: Cache
) -> None:
    evaluation = (model_folder / "evaluation.npz").read_bytes()
    (model_folder / "evaluation.npz").write_bytes(b"not numpy")
    with pytest.raises(PlansmithError, match="cannot be read"):
        run(cold)
    (model_folder / "evaluation.npz").write_bytes(evaluation)
    assert run(cold).changed


def test_a_version_of_another_schema_is_followed_by_the_next_number(
    model_folder: Path, run: Callable[..., Built]
) -> None:
    (model_folder / "4").mkdir()
    (model_folder / "4" / "manifest.json").write_text('{"schema": 1, "model": "tiny"}')
    assert built(run()).version == 5
    assert served(model_folder) == [5]
