"""The scratch repository that a version is tried in: only that version, and nothing to write to."""

from __future__ import annotations

from pathlib import Path

from plansmith.golden.admission import lay_out


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_the_new_version_has_its_own_config_and_its_neighbours_theirs(tmp_path: Path) -> None:
    repository, scratch = tmp_path / "repository", tmp_path / "scratch"
    scratch.mkdir()
    model = ("labels.txt", "config.pbtxt", "configs/cpu.pbtxt", "1/model.py", "warmup/a")
    write(repository / "new", *model, "2/model.py", "2/configs/cpu.pbtxt", "2/__pycache__/x.pyc")
    write(repository / "other", "1/model.py", "configs/cpu.pbtxt")
    write(repository / ".hidden", "1/model.py")
    lay_out(scratch, repository / "new", 2, "cpu")
    files = {str(one.relative_to(scratch)) for one in scratch.rglob("*") if one.is_file()}
    assert files == {
        *("new/labels.txt", "new/warmup/a", "new/configs/cpu.pbtxt"),
        *("new/2/model.py", "new/2/configs/cpu.pbtxt"),
        *("other/1/model.py", "other/configs/cpu.pbtxt"),
    }
    assert (scratch / "new/configs/cpu.pbtxt").read_text() == "2/configs/cpu.pbtxt"
    # What a server adds to a folder stays here.
    write(scratch / "new/2", "__pycache__/model.pyc")
    assert not (repository / "new/2/__pycache__/model.pyc").exists()
