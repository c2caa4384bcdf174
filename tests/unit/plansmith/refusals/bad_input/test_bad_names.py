"""What a recipe names and is not there, or fails, is one clear error that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.errors import UnusableInput
from plansmith.recipe.functions import call_function

Edit = Callable[[str, str], None]
Refuse = Callable[..., str]


def test_a_missing_file(folder: Path, refused: Refuse) -> None:
    (folder / "evaluation.npy").unlink()
    message = refused()
    assert f"{folder / 'evaluation.npy'}: no such file" in message
    assert "'evaluation'" in message


def test_a_missing_function(folder: Path, refused: Refuse, edit: Edit) -> None:
    (folder / "source.py").write_text("def evaluate():\n    return None\n")
    edit('"evaluation.npy"', '"source.py:evaluation"')
    assert f"{folder / 'source.py'}: has no function 'evaluation'" in refused()


def test_a_function_that_raises_is_told_with_its_line(
    folder: Path, refused: Refuse, edit: Edit
) -> None:
    (folder / "source.py").write_text("def evaluation():\n    return {}['rows']\n")
    edit('"evaluation.npy"', '"source.py:evaluation"')
    message = refused()
    assert message.startswith(f"{folder / 'source.py'}:2: 'source.py:evaluation' failed with ")
    assert "KeyError: 'rows'" in message


def test_its_line_is_told_wherever_the_folder_is_named_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "source.py").write_text("def evaluation():\n    return {}['rows']\n")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UnusableInput) as caught:
        call_function("source.py:evaluation", Path(folder.name))
    assert str(caught.value).startswith(f"{folder.name}/source.py:2: 'source.py:evaluation' failed")


def test_a_function_that_ends_the_process_is_told_too(
    folder: Path, refused: Refuse, edit: Edit
) -> None:
    (folder / "source.py").write_text("import sys\n\nsys.exit(0)\n")
    edit('"evaluation.npy"', '"source.py:evaluation"')
    assert "'source.py:evaluation' failed with SystemExit: 0" in refused()


def test_a_labels_file_for_another_number_of_classes(
    folder: Path, refused: Refuse, edit: Edit
) -> None:
    (folder / "labels.txt").write_text("zero\none\ntwo\n")
    edit("shape = [10]", 'shape = [10]\nlabels = "labels.txt"')
    assert refused().endswith("output.logits.labels: labels.txt has 3 lines for 10 classes")
