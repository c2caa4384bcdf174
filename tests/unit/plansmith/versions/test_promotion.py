"""Which version is next, which before, and what keeps one from being served again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plansmith.cli import main
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.integrity.version import Demand
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import CONFIG_FILE, ModelFolder, publish
from plansmith.versions import events, history, promotion
from plansmith.versions.events import now

Publish = Callable[..., int]


def configs_of(found: Manifest, also: tuple[int, ...]) -> dict[str, str]:
    versions = [*also, found.version]
    text = f"version_policy {{ specific {{ versions: {versions} }} }} # streams of {found.version}"
    names = [f"configs/{target}.pbtxt" for target in found.targets]
    return dict.fromkeys([*names, CONFIG_FILE], text)


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    (tmp_path / "repository" / "tiny").mkdir(parents=True)
    return ModelFolder(path=tmp_path / "repository" / "tiny")


@pytest.fixture
def publish_next(
    folder: ModelFolder, tmp_path: Path, manifest_of: Callable[..., Manifest]
) -> Publish:
    """Publishes one more version, for the CPU unless said otherwise; serves others `also`."""
    weights = tmp_path / "model.bin"
    weights.write_text("weights")

    def once(target: str = "cpu", *also: int, **options: Any) -> int:
        def describe(version: int, files: tuple[FileDigest, ...]) -> Manifest:
            found = manifest_of(version, files)
            return replace(found, builds=(replace(found.on("cpu"), target=target),))

        serving = partial(configs_of, also=also)
        return publish(folder, {"model.bin": weights}, describe, serving, **options).version

    return once


def serve(folder: ModelFolder, version: int, kind: events.Kind = "served") -> None:
    texts = promotion.check(folder, version, Demand())
    promotion.promote(folder, version, texts, None, kind=kind)


def texts_of(folder: ModelFolder) -> dict[str, str]:
    return {name: (folder.path / name).read_text() for name in folder.served()}


def test_a_version_is_served_again_by_the_very_configs_it_was_published_with(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    before = texts_of(folder)
    publish_next()
    assert texts_of(folder) != before
    serve(folder, 1, "rolled back")
    assert texts_of(folder) == before


def test_targets_that_the_version_lacks_stay_as_they_are(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    publish_next("tensorrt")
    serve(folder, 1, "rolled back")
    assert folder.served() == {
        "config.pbtxt": (1,),
        "configs/cpu.pbtxt": (1,),
        "configs/tensorrt.pbtxt": (2,),
    }


def test_the_version_before_is_the_one_that_was_replaced(
    folder: ModelFolder, publish_next: Publish
) -> None:
    for _ in range(4):
        publish_next()
    assert promotion.previous(folder) == 3
    serve(folder, 2)
    assert promotion.previous(folder) == 4, "what was served before, not the number before"


def test_a_version_that_was_rolled_back_from_is_not_gone_back_to(
    folder: ModelFolder, publish_next: Publish
) -> None:
    for _ in range(3):
        publish_next()
    serve(folder, promotion.previous(folder), "rolled back")
    assert promotion.previous(folder) == 1
    publish_next()
    assert promotion.previous(folder) == 2, "which version 4 replaced"


@pytest.mark.parametrize("count", [0, 1])
def test_where_there_is_no_version_to_go_back_to_that_is_told(
    folder: ModelFolder, publish_next: Publish, count: int
) -> None:
    for _ in range(count):
        publish_next()
    message = ["no version is served", "no version to go back to from 1; complete are 1"][count]
    with pytest.raises(UnusableInput, match=message):
        promotion.previous(folder)


def test_the_newest_version_is_published_unless_it_was_held_back(
    folder: ModelFolder, publish_next: Publish
) -> None:
    with pytest.raises(UnusableInput, match="no version has been built"):
        promotion.newest(folder)
    publish_next()
    publish_next(stage=True)
    assert promotion.newest(folder) == 2
    events.append(folder.path, now("refused", 2, reason="slower"))
    with pytest.raises(UnusableInput, match=r"version 2 was refused .*\(slower\).*--version 2"):
        promotion.newest(folder)
    serve(folder, 2)
    assert promotion.newest(folder) == 2
    serve(folder, 1, "rolled back")
    with pytest.raises(UnusableInput, match="version 2 was rolled back to 1"):
        promotion.newest(folder)


def test_a_version_that_is_not_there_or_was_changed_is_not_served(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    publish_next()
    with pytest.raises(UnusableInput, match="has no version 7; there are 1, 2"):
        promotion.check(folder, 7, Demand())
    (folder.path / "1" / "configs" / "cpu.pbtxt").write_text("another config\n")
    with pytest.raises(PlansmithError, match=r"1/configs/cpu\.pbtxt.*\nnothing was changed"):
        promotion.check(folder, 1, Demand())


def test_a_version_of_a_plansmith_that_kept_no_configs_cannot_be_served_again(
    folder: ModelFolder, publish_next: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_next()
    found = folder.manifest(1)
    monkeypatch.setattr(ModelFolder, "manifest", lambda *_: replace(found, configs=()))
    with pytest.raises(UnusableInput, match="keeps no config files, an older plansmith"):
        folder.kept_configs(1)


def test_a_version_that_serves_one_that_is_gone_too_is_refused(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    publish_next("cpu", 1)
    assert folder.served()[CONFIG_FILE] == (1, 2)
    (folder.path / "1").rename(folder.path.parent / "away")
    with pytest.raises(UnusableInput, match="serves version 1 too, which is gone; build again"):
        promotion.check(folder, 2, Demand())


def test_what_a_comparison_refused_is_served_by_no_config(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    before = texts_of(folder)
    publish_next()
    promotion.refuse(folder, 2, 1, reason="shadow: fail", figures=("latency: fail",))
    assert texts_of(folder) == before
    assert events.read(folder.path)[-1].figures == ("latency: fail",)
    assert events.held(events.read(folder.path)) == {2}


def test_what_a_build_never_checked_to_the_end_is_not_published_unless_it_is_named(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    publish_next(stage=True)
    events.append(folder.path, now("admitting", 2))
    with pytest.raises(UnusableInput, match="left by a build that stopped while it was checking"):
        promotion.newest(folder)
    serve(folder, 2)
    assert promotion.newest(folder) == 2


def test_the_history_tells_of_every_version_what_became_of_it(
    folder: ModelFolder, publish_next: Publish
) -> None:
    publish_next()
    publish_next()
    publish_next(keep_versions=2)
    serve(folder, 2, "rolled back")
    third, second, first = history.of(folder).versions
    assert (third.is_held, third.served_by, third.replaced_by) == (True, (), 2)
    assert (second.is_held, second.served_by) == (False, (CONFIG_FILE, "configs/cpu.pbtxt"))
    assert (first.is_there, first.size_bytes, first.replaced_by) == (False, 0, 2)
    (chosen,) = second.chosen
    assert (chosen.variant, chosen.throughput_per_s, chosen.p50_ms) == ("fp32-s1t2-b1", 200.0, 5.0)
    assert [one.kind for one in second.events] == ["published", "published", "rolled back"]


def command(*arguments: str, folder: ModelFolder) -> int:
    verb, *rest = arguments
    return main([verb, "tiny", f"--repository={folder.path.parent}", *rest])


def test_the_verbs_publish_roll_back_and_tell(
    folder: ModelFolder, publish_next: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_next()
    publish_next(stage=True)
    assert command("publish", folder=folder) == 0
    assert capsys.readouterr().out == "tiny: version 2 is served instead of version 1\n"
    assert command("rollback", "--reason", "too bold", folder=folder) == 0
    assert capsys.readouterr().out == "tiny: version 1 is served instead of version 2\n"
    assert command("history", folder=folder) == 0
    told = capsys.readouterr().out
    assert "tiny version 2: held back, replaced by version 1\n" in told
    assert "tiny version 1: served by config.pbtxt, configs/cpu.pbtxt\n" in told
    assert "  cpu: fp32-s1t2-b1, 200 items/s, p50 5.00 ms, 100\u00a0% top-1 as FP32: " in told
    assert "rolled back: version 1 instead of 2: too bold\n" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("publish", "--shadow"), "--shadow and --canary need --url"),
        (("publish", "--version", "9"), "has no version 9; there are 1"),
        (("rollback",), "no version to go back to from 1"),
        (("rollback", "--to", "9"), "has no version 9; there are 1"),
    ],
)
def test_a_mistake_is_one_message_and_changes_nothing(
    folder: ModelFolder,
    publish_next: Publish,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    publish_next()
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert command(*arguments, folder=folder) == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert message in told.err
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("share", ["0", "1", "0.6", "-0.5", "nan", "much"])
def test_a_share_that_is_none_is_a_wrong_argument(
    share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["publish", "tiny", f"--canary={share}"])
    assert "argument --canary" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["history", "publish", "rollback"])
@pytest.mark.parametrize("name", [".", "", "../repository/tiny"])
def test_a_model_is_named_by_its_folder_in_the_repository_alone(
    verb: str,
    name: str,
    folder: ModelFolder,
    publish_next: Publish,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish_next()
    assert main([verb, name, f"--repository={folder.path.parent}"]) == 2
    assert "no such model; there are tiny\n" in capsys.readouterr().err
