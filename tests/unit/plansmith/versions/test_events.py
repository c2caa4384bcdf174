"""history.jsonl: lines are only added, and one that was cut off is no event."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plansmith.errors import UnusableInput
from plansmith.versions import events
from plansmith.versions.events import Event, append, held, in_state, now, read

KINDS = ("published", "served", "rolled back", "refused", "staged", "admitting")
EVENTS = st.builds(
    Event,
    at_utc=st.text(),
    kind=st.sampled_from(KINDS),
    version=st.integers(1, 9),
    replaced=st.none() | st.integers(1, 9),
    reason=st.text(),
    figures=st.lists(st.text(), max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=25)
@given(st.lists(EVENTS, max_size=5))
def test_what_was_added_is_read_in_order(
    tmp_path_factory: pytest.TempPathFactory, happened: list[Event]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    for event in happened:
        append(folder, event)
    assert read(folder) == tuple(happened)


@settings(deadline=None, max_examples=25)
@given(st.lists(EVENTS, min_size=1, max_size=4), st.data())
def test_a_line_that_was_cut_off_is_passed_over_and_the_next_is_whole(
    tmp_path_factory: pytest.TempPathFactory, happened: list[Event], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("model")
    for event in happened:
        append(folder, event)
    path = folder / events.FILE_NAME
    content = path.read_bytes()
    last = len(content.splitlines(keepends=True)[-1])
    path.write_bytes(content[: len(content) - data.draw(st.integers(2, last - 1))])
    assert read(folder) == tuple(happened[:-1])
    append(folder, happened[0])
    assert read(folder) == (*happened[:-1], happened[0])


def test_a_model_without_history_has_no_events(tmp_path: Path) -> None:
    assert read(tmp_path) == ()


def test_a_history_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / events.FILE_NAME).mkdir()
    with pytest.raises(UnusableInput, match=r"history\.jsonl: cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_what_cannot_be_written_leaves_the_history_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    append(tmp_path, now("published", 1))
    before = (tmp_path / events.FILE_NAME).read_bytes()

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(OSError, match="No space left"):
        append(tmp_path, now("served", 1))
    monkeypatch.undo()
    assert (tmp_path / events.FILE_NAME).read_bytes() == before


def test_a_disk_that_takes_half_a_line_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:5]))
    with pytest.raises(OSError, match="No space left"):
        append(tmp_path, now("published", 1))
    assert read(tmp_path) == ()


def test_a_build_must_not_serve_what_was_rolled_back_from_refused_or_staged() -> None:
    happened = [
        now("published", 1),
        now("published", 2, replaced=1),
        now("rolled back", 1, replaced=2),
        now("staged", 3),
        now("refused", 4),
        now("admitting", 5),
    ]
    assert held(happened) == {2, 3, 4, 5}
    assert in_state(happened, "admitting") == {5}


@pytest.mark.parametrize("kind", ["served", "published"])
def test_what_is_served_again_is_held_no_longer(kind: events.Kind) -> None:
    happened = [now("refused", 2), now("rolled back", 1, replaced=3), now(kind, 2), now(kind, 3)]
    assert held(happened) == frozenset()


def test_what_is_rolled_back_to_is_held_no_longer() -> None:
    happened = [now("rolled back", 1, replaced=2), now("rolled back", 2, replaced=1)]
    assert held(happened) == {1}
