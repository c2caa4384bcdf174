"""Only models that the repository has are called, and a call that fails is told and left out."""

from __future__ import annotations

import socket
from pathlib import Path

from plansmith.server import HOST
from plansmith.showcase import page, sentences
from plansmith.showcase.calls import Showcase, show
from plansmith_client import Client


def dead_client() -> Client:
    """Of a server that is not there."""
    with socket.create_server((HOST, 0)) as one:
        return Client(f"{HOST}:{one.getsockname()[1]}", timeout_s=2)


def test_without_their_models_nothing_is_called(tmp_path: Path) -> None:
    notes: list[str] = []
    with dead_client() as client:
        # One of the two that speech needs.
        assert show(client, tmp_path, ["other", "speech_activity"], notes.append) == Showcase()
    assert notes == []


def test_a_call_that_fails_is_left_out_with_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    with dead_client() as client:
        found = show(client, tmp_path, [sentences.MODEL, page.MODEL], notes.append)
    assert found == Showcase()
    assert [note.partition(":")[0] for note in notes] == [sentences.MODEL, page.MODEL]
    assert all(": not shown: " in note for note in notes)


def test_a_clip_that_is_missing_is_left_out_with_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    with dead_client() as client:
        assert show(client, tmp_path, ["speech_activity", "speech_segments"], notes.append) == (
            Showcase()
        )
    assert len(notes) == 1
    assert "speech.wav: not a readable WAV file" in notes[0]
