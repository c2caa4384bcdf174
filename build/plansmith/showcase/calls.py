"""Real calls to models that the repository has, by their names: text, speech, print."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from plansmith.errors import PlansmithError
from plansmith.showcase import page, sentences, speech
from plansmith.showcase.page import Page
from plansmith.showcase.sentences import Likeness
from plansmith.showcase.speech import Hearing

if TYPE_CHECKING:
    from plansmith_client import Client

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """What there is to show; None for what the repository has no models for."""

    sentences: Likeness | None = None
    speech: Hearing | None = None
    page: Page | None = None


def show(
    client: Client, repository: Path, served: Collection[str], note: Callable[[str], None]
) -> Showcase:
    """Calls those of the `served` models that are known here.

    One that has such a name and another interface, or that fails, is left out, with a `note`:
    whether models answer as they are to is what their golden answers tell.
    """
    from plansmith_client import PlansmithClientError

    def tried(needs: tuple[str, ...], call: Callable[[], FoundT]) -> FoundT | None:
        if not set(needs) <= set(served):
            return None
        try:
            return call()
        except (PlansmithClientError, PlansmithError) as error:
            note(f"{needs[0]}: not shown: {error}")
            return None

    return Showcase(
        sentences=tried(sentences.NEEDS, lambda: sentences.compare(client)),
        speech=tried(speech.NEEDS, lambda: speech.hear(client, repository)),
        page=tried(page.NEEDS, lambda: page.read(client)),
    )
