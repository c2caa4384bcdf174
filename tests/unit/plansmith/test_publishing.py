"""One version for all targets: what is built together, kept, left behind, and served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from plansmith.cache import Cache
from plansmith.cli import main
from plansmith.errors import LacksSomething, PlansmithError, UnusableInput
from plansmith.manifest import TargetBuild
from plansmith.pipeline import Built, built
from plansmith.repository import ModelFolder, digest
from plansmith.stages import targets
from plansmith.targets import tensorrt, tensorrt_rtx
from plansmith.targets.tensorrt_builder import is_installed

Run = Callable[..., Built]
Edit = Callable[[str, str], None]
CPU, RTX = "cpu", "tensorrt-rtx"
IR = ("model.bin", "model.xml")
PLANS = ("model-rtx-cc86.plan", "model-rtx-cc89.plan")
# With the layers of each, for people.
ENGINES = ("model-rtx-cc86.layers.json", PLANS[0], "model-rtx-cc89.layers.json", PLANS[1])
pytestmark = [
    pytest.mark.usefixtures("quick_builds"),
    pytest.mark.skipif(
        not is_installed(tensorrt_rtx.RTX), reason="needs pip install tensorrt-rtx-cu13"
    ),
]


def config(folder: Path, name: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / name).read_text(), model_config_pb2.ModelConfig())


def served(folder: Path, target: str) -> list[int]:
    """The versions that the target's config lets the server serve."""
    return list(config(folder, f"configs/{target}.pbtxt").version_policy.specific.versions)


def files_of(folder: Path, version: int) -> set[str]:
    """But for those that every version has."""
    found = {path.name for path in (folder / str(version)).iterdir()}
    return found - {"manifest.json", "golden.npz", "configs"}


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file in `folder`, by path."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(folder: Path, version: int, build: TargetBuild) -> None:
    for one in build.artifacts:
        assert digest(folder / str(version) / one.path, one.path) == one


def test_one_version_holds_all_targets(two_targets: Path, run: Run) -> None:
    found = built(run())
    assert (found.version, found.targets) == (1, (CPU, RTX))
    assert files_of(two_targets, 1) == {*IR, *ENGINES}
    for target, names in ((CPU, IR), (RTX, ENGINES)):
        assert tuple(one.path for one in found.on(target).artifacts) == names
        assert_whole(two_targets, 1, found.on(target))


def test_each_target_has_a_config_and_the_first_is_the_default(two_targets: Path, run: Run) -> None:
    built(run())
    assert served(two_targets, CPU) == served(two_targets, RTX) == [1]
    default = (two_targets / "config.pbtxt").read_text()
    assert default == (two_targets / "configs" / "cpu.pbtxt").read_text()


def test_the_server_is_told_which_engine_is_for_which_gpu(two_targets: Path, run: Run) -> None:
    found = built(run()).on(RTX)
    told = config(two_targets, "configs/tensorrt-rtx.pbtxt")
    assert told.backend == "tensorrt_rtx"
    assert dict(told.cc_model_filenames) == dict(zip(("8.6", "8.9"), PLANS, strict=True))
    assert [one.compute_capabilities for one in found.passports] == [("8.6",), ("8.9",)]


@pytest.mark.usefixtures("two_targets")
def test_what_was_not_timed_says_so(run: Run) -> None:
    chosen = built(run()).on(RTX).chosen
    assert chosen.throughput is None
    assert chosen.reason.startswith("SPEED NOT MEASURED, accepted by the recipe: ")
    assert chosen.fidelity is not None, "its answers were compared all the same"


def test_a_target_built_later_is_added_in_the_next_version(two_targets: Path, run: Run) -> None:
    first = built(run(target=CPU))
    assert first.targets == (CPU,)
    assert not (two_targets / "configs" / "tensorrt-rtx.pbtxt").exists()
    second = built(run(target=RTX))
    assert (second.version, second.targets) == (2, (CPU, RTX))
    assert second.on(CPU) == first.on(CPU), "taken along as it was"
    assert files_of(two_targets, 2) == {*IR, *ENGINES}
    assert_whole(two_targets, 2, second.on(CPU))
    assert served(two_targets, CPU) == served(two_targets, RTX) == [2]


def test_a_target_forced_alone_takes_the_others_along(
    two_targets: Path, run: Run, cold: Cache
) -> None:
    first = built(run(cold))
    again = run(cold, target=CPU, force=True)
    second = built(again)
    assert again.targets == (CPU,)
    assert (second.version, second.targets) == (2, (CPU, RTX))
    assert second.on(RTX) == first.on(RTX)
    assert_whole(two_targets, 2, second.on(RTX))


def test_a_target_that_is_out_of_date_stays_served_from_its_version(
    two_targets: Path, run: Run, edit: Edit
) -> None:
    built(run())
    before = contents(two_targets / "1")
    edit("p99_ms = 100", "p99_ms = 50")
    second = built(run(target=CPU))
    assert (second.version, second.targets) == (2, (CPU,))
    assert files_of(two_targets, 2) == set(IR)
    assert (served(two_targets, CPU), served(two_targets, RTX)) == ([2], [1])
    assert contents(two_targets / "1") == before
    third = built(run())
    assert (third.version, third.targets) == (3, (CPU, RTX))
    assert served(two_targets, CPU) == served(two_targets, RTX) == [3]


def test_another_first_target_is_the_new_default(two_targets: Path, run: Run, edit: Edit) -> None:
    built(run())
    edit('["cpu", "tensorrt-rtx"]', '["tensorrt-rtx", "cpu"]')
    found = built(run())
    assert (found.version, found.targets) == (2, (RTX, CPU))
    assert config(two_targets, "config.pbtxt").backend == "tensorrt_rtx"


def test_of_two_targets_that_are_current_nothing_is_built(two_targets: Path, run: Run) -> None:
    built(run())
    again = run()
    assert (again.changed, again.current) == (False, (CPU, RTX))
    assert ModelFolder(path=two_targets).versions() == (1,)


def test_only_the_config_of_a_target_that_is_not_served_is_written(
    two_targets: Path, run: Run
) -> None:
    first = built(run())
    lost = two_targets / "configs" / "tensorrt-rtx.pbtxt"
    text = lost.read_text()
    lost.unlink()
    again = run()
    assert (again.targets, again.current) == ((RTX,), (CPU,))
    assert again.manifest == first
    assert lost.read_text() == text


# --- a target that cannot be built --------------------------------------------------------------


@pytest.fixture
def no_gpu(edit: Edit, two_targets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe asks for TensorRT, too; this machine has no GPU for it."""
    edit('["cpu", "tensorrt-rtx"]', '["tensorrt", "cpu"]')
    monkeypatch.setattr(tensorrt, "describe_gpu", lambda: None)
    return two_targets


def test_a_target_that_this_machine_lacks_does_not_keep_the_others(no_gpu: Path, run: Run) -> None:
    found = run()
    assert set(found.failures) == {"tensorrt"}
    assert isinstance(found.failures["tensorrt"], LacksSomething)
    assert found.targets == (CPU,)
    assert found.manifest is not None
    assert found.manifest.targets == (CPU,)
    assert served(no_gpu, CPU) == [1]
    # It is the first target's: another's would be served where that was asked for.
    assert not (no_gpu / "config.pbtxt").exists()
    with pytest.raises(LacksSomething, match=r"docker run .*--gpus all"):
        built(found)


def test_a_failed_target_leaves_what_was_published_of_the_others_current(
    no_gpu: Path, run: Run
) -> None:
    run()
    again = run()
    assert set(again.failures) == {"tensorrt"}
    assert (again.targets, again.current) == ((), (CPU,))
    assert ModelFolder(path=no_gpu).versions() == (1,)


def test_a_target_that_fails_on_the_way_does_not_keep_the_others(
    two_targets: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = targets.judge

    def refuse_rtx(job: object, target: str, *folders: Path) -> object:
        if target == RTX:
            raise PlansmithError("no variant may be served")
        return judge(job, target, *folders)  # type: ignore[arg-type]

    monkeypatch.setattr(targets, "judge", refuse_rtx)
    found = run()
    assert (found.targets, set(found.failures)) == ((CPU,), {RTX})
    assert files_of(two_targets, 1) == set(IR)


def build(folder: Path, cache: Cache, *options: str) -> int:
    where = ("--repository", str(folder.parent), "--cache", str(cache.root))
    return main(["build", folder.name, *where, *options])


def test_the_program_publishes_what_it_can_and_ends_with_the_errors_code(
    no_gpu: Path, warm: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(no_gpu, warm) == LacksSomething.exit_code == 3
    said = capsys.readouterr()
    assert "tiny: cpu: version 1 published: " in said.out
    assert "plansmith build: tiny: tensorrt: TensorRT" in said.err
    assert served(no_gpu, CPU) == [1]


def test_the_program_ends_with_nothing_to_tell_where_every_target_is_built(
    two_targets: Path, warm: Cache
) -> None:
    assert build(two_targets, warm) == 0
    assert build(two_targets, warm, "--target", RTX) == 0
    assert ModelFolder(path=two_targets).versions() == (1,)


def test_a_target_that_the_recipe_has_not_is_refused_before_anything_is_built(
    two_targets: Path, run: Run
) -> None:
    with pytest.raises(UnusableInput, match=r"targets\.order has no 'tensorrt'"):
        run(target="tensorrt")
    assert ModelFolder(path=two_targets).versions() == ()
