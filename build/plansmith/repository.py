"""The model repository on disk: versions, and publishing one so that no reader sees half of it.

A version's folder is complete before it gets its number, and config.pbtxt names the one version
that is served (Triton's version_policy). Replacing that one small file is what publishes: killed
before it, the old version is served as if nothing had happened; after it, the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plansmith import manifest
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.manifest import FileDigest, Manifest

CONFIG_FILE = "config.pbtxt"
# Triton's version_policy { specific { versions: [ 3 ] } }; without one it serves the latest.
_VERSIONS = re.compile(r"\bversions\s*:\s*(\d+|\[[^\]]*\])")


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """One model's room in a repository."""

    path: Path

    def versions(self) -> tuple[int, ...]:
        """The numbers of complete versions, ascending."""
        if not self.path.is_dir():
            return ()
        return tuple(
            sorted(
                int(entry.name)
                for entry in self.path.iterdir()
                if entry.name.isdecimal() and (entry / manifest.FILE_NAME).is_file()
            )
        )

    def latest(self, target: str | None = None) -> Manifest | None:
        """The manifest of the newest version (that was built for `target`), or None.

        Versions of another schema are passed over: they are served as they are.
        """
        for version in reversed(self.versions()):
            if manifest.schema_of(self._manifest_file(version)) != manifest.SCHEMA:
                continue
            found = self.manifest(version)
            if target is None or target in found.targets:
                return found
        return None

    def manifest(self, version: int) -> Manifest:
        return manifest.read(self._manifest_file(version))

    def _manifest_file(self, version: int) -> Path:
        return self.path / str(version) / manifest.FILE_NAME

    def serves(self, version: int, config: str) -> bool:
        """Whether the file `config` lets the server serve `version`; False where there is none."""
        path = self.path / config
        if not path.is_file():
            return False
        named = _VERSIONS.search(path.read_text(encoding="utf-8"))
        return named is None or str(version) in re.findall(r"\d+", named.group(1))


def check_published(repository: Path, config_name: str) -> None:
    """Raises UnusableInput unless every model in `repository` has a version and such a config.

    All of them, because Triton does not start where a single model cannot be loaded.
    """
    if not repository.is_dir():
        raise UnusableInput(f"{repository}: no such folder; run `make build`")
    models = sorted(m for m in repository.iterdir() if m.is_dir() and not m.name.startswith("."))
    if not models:
        raise UnusableInput(f"{repository}: no model in it; run `make build`")
    problems: list[str] = []
    for model in models:
        config = model / "configs" / f"{config_name}.pbtxt"
        if not any(entry.is_dir() and _is_version(entry.name) for entry in model.iterdir()):
            problems.append(f"{model}: no version has been published yet; run `make build`")
        elif not config.is_file():
            problems.append(f"{config}: no such file; run `make build TARGET={config_name}`")
    if problems:
        raise UnusableInput("\n".join(problems))


def _is_version(name: str) -> bool:
    # Triton skips a folder whose name starts with 0, as not a version.
    return name.isascii() and name.isdecimal() and not name.startswith("0")


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
) -> Manifest:
    """Makes the files `artifacts`, by name, the model's next version and serves it; its manifest.

    `describe` gives the manifest for a version number and artifact digests; `configs` gives, for
    a manifest, the text of each config file by its path in the model's folder, in the order in
    which they are to be replaced. Raises PlansmithError where the disk is full or not
    writable: the previous version is then still the one that is served.
    """
    with _disk_errors(folder, "nothing was published, the previous version stays"):
        described = _add_version(folder, artifacts, describe)
    serve(folder, configs(described))
    return described


def serve(folder: ModelFolder, configs: Mapping[str, str]) -> None:
    """Replaces the config files, given as text by path in the model's folder, in order."""
    with _disk_errors(folder, "the version is complete but not served yet by every config"):
        for name, text in configs.items():
            replace_text(folder.path / name, text)


@contextmanager
def _disk_errors(folder: ModelFolder, state: str) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise PlansmithError(
            f"{error.filename or folder.path}: {error.strerror}; {state}; "
            "free space or fix the permissions, then build again"
        ) from error


def _add_version(
    folder: ModelFolder,
    artifacts: Mapping[str, Path],
    describe: Callable[[int, tuple[FileDigest, ...]], Manifest],
) -> Manifest:
    clear_unfinished(folder)
    version = max(folder.versions(), default=0) + 1
    # Not a number and hidden: Triton ignores it, and a rename within one folder is atomic.
    staging = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.path))
    try:
        for name, source in sorted(artifacts.items()):
            shutil.copyfile(source, staging / name)
        digests = tuple(digest(path, path.name) for path in sorted(staging.iterdir()))
        described = describe(version, digests)
        (staging / manifest.FILE_NAME).write_bytes(manifest.encode(described))
        for path in [*staging.iterdir(), staging]:
            _flush(path)
        # mkdtemp makes it private; the server may run as somebody else.
        staging.chmod(0o755)
        staging.rename(folder.path / str(version))
        _flush(folder.path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return described


def replace_text(path: Path, text: str) -> None:
    """Writes `text` to `path` at once: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".unfinished-", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def clear_unfinished(folder: ModelFolder) -> None:
    """Removes what a killed build has left; call only while holding the model's lock."""
    for entry in [*folder.path.glob(".unfinished-*"), *folder.path.glob("configs/.unfinished-*")]:
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _flush(path: Path) -> None:
    """A file's bytes, or a folder's names, to the disk.

    Without it a power cut could leave a version whose name is there and whose bytes are not, or a
    config that names a version whose folder is not.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
