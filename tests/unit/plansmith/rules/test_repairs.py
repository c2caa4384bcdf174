"""`--fix`: what is repaired, and that nothing else of a file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import PlansmithError
from plansmith.rules.findings import Cut, Finding
from plansmith.rules.repairs import cut, repair

Found = Callable[[], tuple[Finding, ...]]


def _edit(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: "plain"', 'name: "plane"'),
        ("[ 2, 4 ]", "[ 2, 4, 16 ]"),
        ("[ 2, 4 ]", "[ 2, 4, 2 ]"),
        ("[ 2, 4 ]", "[ 2, 9, 4, 2, 9 ]"),
    ],
)
def test_a_config_is_repaired_and_the_rest_of_it_stays(
    old: str, new: str, good_repository: Path, found: Found
) -> None:
    config = good_repository / "plain" / "config.pbtxt"
    before = _edit(config, old, new)
    changes = repair(found())

    assert config.read_text() == before
    assert {change.file for change in changes} == {str(config)}
    assert found() == ()


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_config_with_line_ends_of_windows_keeps_them(
    start: str, good_repository: Path, found: Found
) -> None:
    config = good_repository / "plain" / "config.pbtxt"
    right = (start + config.read_text().replace("\n", "\r\n")).encode()
    config.write_bytes(right.replace(b'name: "plain"', b'name: "plane"', 1))
    repair(found())
    assert config.read_bytes() == right


def test_preferred_sizes_go_altogether_where_none_is_legal(
    good_repository: Path, found: Found
) -> None:
    config = good_repository / "plain" / "config.pbtxt"
    before = _edit(config, "preferred_batch_size: [ 2, 4 ]", "preferred_batch_size: [ 9 ]")
    repair(found())
    assert config.read_text() == before.replace("preferred_batch_size: [ 2, 4 ]", "")
    assert found() == ()


def test_leftovers_are_removed(good_repository: Path, found: Found) -> None:
    folder = good_repository / "plain" / ".unfinished-1"
    folder.mkdir()
    (folder / "model.py").touch()
    (good_repository / "plain" / "configs").mkdir()
    file = good_repository / "plain" / "configs" / ".unfinished-2"
    file.touch()
    changes = repair(found())

    assert [(change.rule, change.what) for change in changes] == [("leftover", "removed")] * 2
    assert not folder.exists()
    assert not file.exists()
    assert found() == ()


def test_a_comment_in_a_list_leaves_the_repair_to_a_person(
    good_repository: Path, found: Found
) -> None:
    config = good_repository / "plain" / "config.pbtxt"
    _edit(config, "[ 2, 4 ]", "[ 2, # why\n 9 ]")
    assert repair(found()) == ()
    assert [one.rule for one in found()] == ["preferred-size-above-max"]


def test_a_repair_that_makes_no_config_is_not_written(good_repository: Path) -> None:
    config = good_repository / "plain" / "config.pbtxt"
    before = config.read_text()
    wrong = Finding(
        file=str(config),
        line=1,
        rule="a",
        severity="error",
        message="",
        fix="",
        repair=Cut(file=str(config), start=0, end=0, text="{"),
    )
    with pytest.raises(PlansmithError, match="it is as it was"):
        repair([wrong])
    assert config.read_text() == before


@given(st.text(min_size=1, max_size=30), st.data())
def test_cuts_change_their_own_place_alone(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new, changes = cut(text, [(Cut(file="f", start=start, end=end, text="new"), "rule")])
    assert new == f"{text[:start]}new{text[end:]}"
    assert [change.rule for change in changes] == ["rule"]
