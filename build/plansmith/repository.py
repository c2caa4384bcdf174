"""The model repository on disk: versions, and publishing one so that no reader sees half of it.

A version's folder is complete before it gets its number, and config.pbtxt names the one version
that is served (Triton's version_policy). Replacing that one small file is what publishes: killed
before it, the old version is served as if nothing had happened; after it, the new one.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plansmith import manifest
from plansmith.config.version_policy import versions_named
from plansmith.errors import UnusableInput
from plansmith.manifest import FileDigest, Manifest
from plansmith.versions import events, keeping
from plansmith.versions.disk import disk_errors, flush, remove_folder, replace_text

CONFIG_FILE = "config.pbtxt"
# Of the model's folder: a config for each target.
CONFIGS = "configs"
# Of a version's folder: copies of the config files that serve it.
KEPT_CONFIGS = "configs"
KEEP_VERSIONS = 3


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """One model's room in a repository."""

    path: Path

    def versions(self) -> tuple[int, ...]:
        """The numbers of complete versions, ascending."""
        if not self.path.is_dir():
            return ()
        found = version_folders(self.path)
        return tuple(int(one.name) for one in found if (one / manifest.FILE_NAME).is_file())

    def latest(self, target: str | None = None) -> Manifest | None:
        """The manifest of the newest version (that was built for `target`), or None.

        Versions of another schema are passed over: they are served as they are.
        """
        for version in reversed(self.versions()):
            found = self.manifest_if_ours(version)
            if found is not None and (target is None or target in found.targets):
                return found
        return None

    def targets(self, version: int) -> tuple[str, ...]:
        """What `version` was built for; nothing for one of another schema."""
        found = self.manifest_if_ours(version)
        return found.targets if found else ()

    def manifest(self, version: int) -> Manifest:
        return manifest.read(self._manifest_file(version))

    def manifest_if_ours(self, version: int) -> Manifest | None:
        """None for a version of another schema."""
        return manifest.read_if_ours(self._manifest_file(version))

    def _manifest_file(self, version: int) -> Path:
        return self.path / str(version) / manifest.FILE_NAME

    def serves(self, version: int, config: str) -> bool:
        """Whether the file `config` lets the server serve `version`; False where there is none."""
        path = self.path / config
        if not path.is_file():
            return False
        named = _named(path)
        return named is None or version in named

    def served(self) -> dict[str, tuple[int, ...]]:
        """The versions that each config file may serve, by its path in the model's folder.

        Those that its policy names; one that names none (`all`, `latest`) may serve any.
        """
        paths = [self.path / CONFIG_FILE, *sorted((self.path / CONFIGS).glob("[!.]*.pbtxt"))]
        found = {str(path.relative_to(self.path)): _named(path) for path in paths if path.is_file()}
        there = self.versions()
        return {name: there if named is None else named for name, named in found.items()}

    @property
    def current(self) -> int | None:
        """The version that config.pbtxt serves; where there is none, the newest that is served."""
        served = self.served()
        versions = served.get(CONFIG_FILE) or [one for named in served.values() for one in named]
        return max(versions, default=None)

    def kept_configs(self, version: int) -> dict[str, str]:
        """The config files that served `version`, text by path in the model's folder.

        In the order in which they are to be replaced. Raises UnusableInput where a version of an
        older plansmith did not keep them.
        """
        kept = self.manifest(version).configs
        if not kept:
            raise UnusableInput(
                f"{self.path}/{version}: keeps no config files, an older plansmith published it; "
                "only a version that was built by this one can be served again"
            )
        texts: dict[str, str] = {}
        for one in kept:
            name = Path(one.path).name
            place = name if name == CONFIG_FILE else f"{CONFIGS}/{name}"
            path = self.path / str(version) / one.path
            try:
                texts[place] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UnusableInput(f"{path}: cannot be read: {error}; build again") from error
        return texts


def is_version(name: str) -> bool:
    """Whether Triton takes a folder of that name for a version: none that begins with 0."""
    return name.isascii() and name.isdecimal() and not name.startswith("0")


def version_folders(folder: Path) -> list[Path]:
    """Those of a model that Triton takes for versions, with a manifest or without; by number."""
    found = [path for path in folder.iterdir() if path.is_dir() and is_version(path.name)]
    return sorted(found, key=lambda path: int(path.name))


def config_for(folder: Path, target: str) -> str | None:
    """The config that a server of `target` reads of the model, by path in `folder`; None: none.

    As Triton chooses: --model-config-name falls back to config.pbtxt, for each model.
    """
    named = (f"{CONFIGS}/{target}.pbtxt", CONFIG_FILE)
    return next((one for one in named if (folder / one).is_file()), None)


def _named(config: Path) -> tuple[int, ...] | None:
    return versions_named(config.read_text(encoding="utf-8", errors="replace"))


def digest(path: Path, name: str) -> FileDigest:
    """SHA-256 and size of the file at `path`, called `name`."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(path=name, sha256=sha256, size_bytes=path.stat().st_size)


def publish(
    folder: ModelFolder,
    artifacts: Mapping[str, Path],
    describe: Callable[[int, tuple[FileDigest, ...]], Manifest],
    configs: Callable[[Manifest], Mapping[str, str]],
    *,
    admit: Callable[[Manifest], None] | None = None,
    keep_versions: int | None = KEEP_VERSIONS,
    stage: bool = False,
) -> Manifest:
    """Makes the files `artifacts`, by name, the model's next version and serves it; its manifest.

    `describe` gives the manifest for a version number and artifact digests; `configs` gives, for
    a manifest, the text of each config file by its path in the model's folder, in the order in
    which they are to be replaced. `admit` looks at the complete version before any config names
    it: what it raises goes on, and the version is gone. With `stage` no config names it at all.
    Of versions that nothing needs the newest `keep_versions` stay, None keeps all: keeping.py.
    Raises PlansmithError where the disk is full or not writable: the previous version is then still
    the one that is served.
    """
    with disk_errors(folder.path, "nothing was published, the previous version stays"):
        described, texts = _add_version(folder, artifacts, describe, configs)
    if admit is not None:
        _admit(folder, described, admit)
    if stage:
        with disk_errors(folder.path, "the version is complete, but its history lacks that"):
            events.append(folder.path, events.now("staged", described.version))
        return described
    switch(folder, described.version, texts, "published")
    with disk_errors(folder.path, "the version is served, but older ones could not be removed"):
        # What the configs named before goes only when their replacing has reached the disk.
        for place in {(folder.path / name).parent for name in texts}:
            flush(place)
        keeping.remove_old(folder, keep_versions)
    return described


def _admit(folder: ModelFolder, described: Manifest, admit: Callable[[Manifest], None]) -> None:
    """Lets `admit` look at the version; if it raises, the version goes.

    The history is told first: of a build that is killed meanwhile the next one removes the version,
    rather than take it for one that only lacks its configs.
    """
    with disk_errors(folder.path, "nothing was published, the previous version stays"):
        events.append(folder.path, events.now("admitting", described.version))
    try:
        admit(described)
    except BaseException:
        with disk_errors(folder.path, "the version that was not admitted is still there"):
            keeping.remove(folder.path, described.version)
            keeping.remove_unnamed_warm_ups(folder.path)
        raise


def switch(
    folder: ModelFolder,
    version: int,
    configs: Mapping[str, str],
    kind: events.Kind,
    reason: str = "",
) -> None:
    """Serves `version` by replacing `configs`, as `serve` does, and says so in the history."""
    with disk_errors(folder.path, "the version is complete but not served yet"):
        before = folder.current
    serve(folder, configs)
    with disk_errors(folder.path, "the version is served, but its history lacks that"):
        replaced = before if before != version else None
        events.append(folder.path, events.now(kind, version, replaced=replaced, reason=reason))


def serve(folder: ModelFolder, configs: Mapping[str, str]) -> None:
    """Replaces the config files, given as text by path in the model's folder, in order."""
    with disk_errors(folder.path, "the version is complete but not served yet by every config"):
        for name, text in configs.items():
            replace_text(folder.path / name, text)


def _add_version(
    folder: ModelFolder,
    artifacts: Mapping[str, Path],
    describe: Callable[[int, tuple[FileDigest, ...]], Manifest],
    configs: Callable[[Manifest], Mapping[str, str]],
) -> tuple[Manifest, Mapping[str, str]]:
    clear_unfinished(folder)
    version = max(folder.versions(), default=0) + 1
    # Not a number and hidden: Triton ignores it, and a rename within one folder is atomic.
    staging = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.path))
    try:
        for name, source in sorted(artifacts.items()):
            shutil.copyfile(source, staging / name)
        digests = tuple(digest(path, path.name) for path in sorted(staging.iterdir()))
        described = describe(version, digests)
        texts = configs(described)
        described = replace(described, configs=_keep_configs(staging, texts))
        described = replace(described, served=_digests_beside(folder, texts.values(), described))
        (staging / manifest.FILE_NAME).write_bytes(manifest.encode(described))
        for path in [*staging.rglob("*"), staging]:
            flush(path)
        # mkdtemp makes it private; the server may run as somebody else.
        staging.chmod(0o755)
        staging.rename(folder.path / str(version))
        flush(folder.path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return described, texts


def _digests_beside(
    folder: ModelFolder, configs: Iterable[str], described: Manifest
) -> tuple[FileDigest, ...]:
    """Of the files in the model's folder that `configs` name; sources have theirs already."""
    # Brings Triton's messages, which only publishing needs.
    from plansmith.integrity.served import served

    sources = {one.path for one in described.sources}
    named = {name for text in configs for name in served(text, (), file=CONFIG_FILE).files}
    there = (name for name in sorted(named - sources) if (folder.path / name).is_file())
    return tuple(digest(folder.path / name, name) for name in there)


def _keep_configs(version: Path, texts: Mapping[str, str]) -> tuple[FileDigest, ...]:
    """Copies of the config files in the version's folder, so that it can be served again as now."""
    (version / KEPT_CONFIGS).mkdir()
    digests: list[FileDigest] = []
    for name, text in texts.items():
        kept = f"{KEPT_CONFIGS}/{Path(name).name}"
        (version / kept).write_text(text, encoding="utf-8")
        digests.append(digest(version / kept, kept))
    return tuple(digests)


def clear_unfinished(folder: ModelFolder) -> None:
    """Removes what a killed build has left; call only while holding the model's lock."""
    names = (".unfinished-*", "configs/.unfinished-*", f"{keeping.REMOVED}*")
    for entry in [entry for name in names for entry in folder.path.glob(name)]:
        remove_folder(entry) if entry.is_dir() else entry.unlink()
    for version in events.in_state(events.read(folder.path), "admitting"):
        if (folder.path / str(version)).is_dir():
            keeping.remove(folder.path, version)
