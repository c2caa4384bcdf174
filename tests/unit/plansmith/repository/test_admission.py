"""A version is looked at before it is served: complete by then, and gone where it is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from model_versions import assert_complete, contents, leftovers, publish_next, served
from plansmith.errors import PlansmithError
from plansmith.manifest import Manifest
from plansmith.repository import ModelFolder, clear_unfinished
from plansmith.versions import events


def test_what_looks_at_a_version_before_it_is_served_finds_it_complete(published: Path) -> None:
    seen: list[int] = []

    def look(found: Manifest) -> None:
        assert_complete(published, found.version)
        assert served(published) == 1
        seen.append(found.version)

    publish_next(published, admit=look)
    assert (seen, served(published)) == ([2], 2)


@pytest.mark.parametrize("error", [PlansmithError("off by 3"), KeyboardInterrupt()])
def test_a_version_that_is_not_admitted_is_gone_and_the_error_goes_on(
    published: Path, error: BaseException
) -> None:
    before = contents(published)

    def refuse(_: Manifest) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        publish_next(published, admit=refuse)
    assert caught.value is error
    after = contents(published)
    after.pop(events.FILE_NAME)
    before.pop(events.FILE_NAME)
    assert after == before
    assert leftovers(published) == []
    assert publish_next(published).version == 2


def test_a_version_whose_build_was_killed_while_it_was_looked_at_is_removed(
    published: Path,
) -> None:
    if (child := os.fork()) == 0:
        publish_next(published, admit=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    os.waitpid(child, 0)
    place = ModelFolder(path=published)
    assert (place.versions(), served(published)) == ((1, 2), 1)
    assert events.held(events.read(published)) == {2}
    clear_unfinished(place)
    assert place.versions() == (1,)


def test_a_staged_version_is_complete_and_no_config_names_it(published: Path) -> None:
    publish_next(published, stage=True)
    assert_complete(published, 2)
    assert served(published) == 1
    assert events.held(events.read(published)) == {2}
