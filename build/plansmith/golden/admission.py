"""Admission: a new version answers its golden rows on a real server before any config names it.

It is served from a scratch repository of links: the version with the config that it is going to
have, and beside it the models that it may call, as they are served now.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from plansmith import places
from plansmith.cache import Cache
from plansmith.errors import LacksSomething, PlansmithError
from plansmith.findings import ServedCheck
from plansmith.golden.served import check_version
from plansmith.infer import connected
from plansmith.manifest import Manifest
from plansmith.progress import Step
from plansmith.repository import CONFIG_FILE, CONFIGS, KEPT_CONFIGS
from plansmith.server import TRITON, free_ports, serving
from plansmith.server_files import ServerFiles, assemble, find_environment
from plansmith.versions.disk import disk_errors

# What the embedded server has backends for.
TARGETS = ("cpu",)
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Admission:
    """What a build asks before it publishes; whether there is a server is found on first need."""

    cache: Cache

    def of(self, folder: Path, calls: Sequence[str], step: Step) -> Candidate:
        """A version of the model in `folder`, which calls the models `calls` beside it."""
        return Candidate(admission=self, folder=folder, calls=tuple(calls), step=step)

    @cached_property
    def server(self) -> ServerFiles | LacksSomething:
        """The embedded server, or why there is none."""
        try:
            return assemble(find_environment(), places.backends(), self.cache)
        except LacksSomething as error:
            return error


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A version that is to be published."""

    admission: Admission
    folder: Path
    calls: tuple[str, ...]
    step: Step

    def outlook(self, target: str, *, has_golden: bool) -> str:
        """What the manifest says of the check of `target`, which is made before it is published.

        A version that fails is never published, so that one which is there has passed.
        """
        if target not in TARGETS:
            return f"not done: the embedded server cannot serve the target {target}"
        if not has_golden:
            return "not done: there are no golden answers"
        if isinstance(self.admission.server, LacksSomething):
            return f"not done: {self.admission.server}"
        return f"golden answers given on Triton {TRITON}, embedded"

    def admit(self, found: Manifest) -> None:
        """Serves the complete version `found`, and checks its answers.

        Raises PlansmithError, with the figures, where it does not load or an answer is off. Where
        this machine has no server it says so on stderr, and that is all.
        """
        wanted = [target for target in found.targets if target in TARGETS]
        if found.golden is None or not wanted:
            return
        server = self.admission.server
        if isinstance(server, LacksSomething):
            warning = (
                f"WARNING: {found.model} version {found.version} is published unchecked: its "
                f"golden answers were not asked for on a server: {server}"
            )
            print(warning, file=sys.stderr, flush=True)
            return
        for target in wanted:
            self._admit_on(server, found, target)

    def _admit_on(self, server: ServerFiles, found: Manifest, target: str) -> None:
        refused = f"{found.model} version {found.version} was not published: on {target} "
        models = tuple(dict.fromkeys((*self.calls, found.model)))
        logs = self.admission.cache.root / "logs"
        with (
            disk_errors(self.folder, "nothing was published, the previous version stays"),
            TemporaryDirectory(prefix="plansmith-admission-") as scratch,
        ):
            lay_out(Path(scratch), self.folder, found.version, target)
            try:
                # It has answered all that it was asked when it is left.
                with (
                    serving(
                        server, Path(scratch), target, free_ports(), logs, models, drain=False
                    ) as running,
                    connected(running.grpc_url, TIMEOUT_S) as client,
                ):
                    checked = check_version(client, self.folder, found.version, target, self.step)
            except PlansmithError as error:
                raise PlansmithError(f"{refused}it cannot be asked: {error}") from error
        if not checked.passed:
            raise PlansmithError(f"{refused}{told(checked)}")


def told(checked: ServedCheck) -> str:
    """The figures of a check that failed."""
    agreement = (
        "" if checked.top1_agreement is None else f", top-1 agreement {checked.top1_agreement:.1%}"
    )
    return (
        f"its answers are not the golden ones: {checked.fault}; of {checked.count} rows the "
        f"largest deviation is {checked.max_abs_deviation:.3g}, allowed {checked.tolerance:.3g}"
        f"{agreement}"
    )


def lay_out(scratch: Path, folder: Path, version: int, target: str) -> None:
    """Fills `scratch` with `folder`, with only `version` and its config, and with its neighbours.

    Folders are its own and files are links: Python leaves compiled modules beside a model's own,
    whatever the environment says (the stub of Triton 2.51 ignores it), and a published version must
    not change.
    """
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder and not other.name.startswith("."):
            _link(other, scratch / other.name)
    model = scratch / folder.name
    (model / CONFIGS).mkdir(parents=True)
    for entry in folder.iterdir():
        # Triton takes every folder with such a name for a version.
        is_ours = entry.name.isdecimal() or entry.name.startswith(".")
        if not is_ours and entry.name not in (CONFIGS, CONFIG_FILE):
            _link(entry, model / entry.name)
    place = folder / str(version)
    _link(place, model / str(version))
    config = f"{target}.pbtxt"
    _link(place / KEPT_CONFIGS / config, model / CONFIGS / config)


def _link(entry: Path, to: Path) -> None:
    """A link to a file; of a folder a new one, with links to what is in it."""
    if not entry.is_dir():
        to.symlink_to(entry.resolve())
        return
    to.mkdir()
    for one in entry.iterdir():
        if one.name != "__pycache__" and not one.name.startswith("."):
            _link(one, to / one.name)
