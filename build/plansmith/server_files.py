"""The embedded server's files: found in an environment that has the wheel, assembled in the cache.

The PyPI wheel nvidia-pytriton carries a real tritonserver with its Python backend. It wants
numpy < 2, so it lives in an environment of its own; nothing is imported from there, only linked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from plansmith.cache import Cache, key_of
from plansmith.errors import LacksSomething

ENVIRONMENT_VARIABLE = "PLANSMITH_SERVER_ENV"
ENVIRONMENT_NAME = ".venv-server"
# Triton 2.51; what `make setup` installs, without the wheel's own dependencies.
INSTALL = "make setup"
STUB = "triton_python_backend_stub"

# Run by the environment's own interpreter: only it knows where its parts are.
_PROBE = """
import importlib.metadata, json, sysconfig
try:
    release = importlib.metadata.version("nvidia-pytriton")
except importlib.metadata.PackageNotFoundError:
    release = ""
print(json.dumps({
    "release": release,
    "python": sysconfig.get_python_version(),
    "site": sysconfig.get_path("platlib"),
    "libraries": [sysconfig.get_config_var("LIBDIR") or "",
                  "/usr/lib/" + (sysconfig.get_config_var("MULTIARCH") or ""), "/usr/lib",
                  "/usr/local/lib"],
    "library": "libpython" + sysconfig.get_python_version() + ".so.1.0",
}))
"""


@dataclass(frozen=True, kw_only=True)
class ServerEnvironment:
    """A Python environment with the server's wheel. `library_folder` holds its libpython."""

    python: Path
    python_version: str
    release: str
    site: Path
    library_folder: Path

    @property
    def wheel(self) -> Path:
        return self.site / "pytriton" / "tritonserver"

    @property
    def libraries(self) -> Path:
        return self.site / "nvidia_pytriton.libs"


@dataclass(frozen=True, kw_only=True)
class ServerFiles:
    """An assembled server: what to start, and with which backends and environment variables."""

    program: Path
    backends: Path
    environment: dict[str, str]
    release: str


def find_environment() -> ServerEnvironment:
    """The environment named by $PLANSMITH_SERVER_ENV, or `.venv-server` beside this one.

    Raises LacksSomething with the line that installs what is missing.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    folder = Path(named) if named else Path(sys.prefix).parent / ENVIRONMENT_NAME
    python = folder / "bin" / "python"
    if not python.is_file():
        raise LacksSomething(
            f"{folder}: no Python environment with the embedded server there: {INSTALL} makes "
            f"one in the project; {ENVIRONMENT_VARIABLE} names another"
        )
    try:
        done = subprocess.run(
            [python, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise LacksSomething(
            f"{python}: does not run ({error}); remove {folder}, then {INSTALL}"
        ) from error
    if not found["release"]:
        raise LacksSomething(f"{folder}: has no nvidia-pytriton; remove it, then {INSTALL}")
    return ServerEnvironment(
        python=python,
        python_version=found["python"],
        release=found["release"],
        site=Path(found["site"]),
        library_folder=_library_folder(found["library"], found["libraries"]),
    )


def _library_folder(library: str, folders: list[str]) -> Path:
    """Where `library` is; Triton's Python stub is linked to it, a static interpreter lacks it."""
    for folder in folders:
        if folder and (Path(folder) / library).is_file():
            return Path(folder)
    package = library.removesuffix(".so.1.0")
    raise LacksSomething(
        f"{library}: not in {', '.join(dict.fromkeys(filter(None, folders)))}; "
        f"Triton's Python backend needs it: apt-get install {package}"
    )


def assemble(environment: ServerEnvironment, backends: Path, cache: Cache) -> ServerFiles:
    """The server of `environment` with our `backends` beside its own, made once per content.

    Raises LacksSomething where the wheel has no stub for this Python.
    """
    stub = environment.wheel / "python_backend_stubs" / environment.python_version / STUB
    program = environment.wheel / "bin" / "tritonserver"
    for file in (stub, program):
        if not file.is_file():
            raise LacksSomething(
                f"{file}: not in nvidia-pytriton {environment.release}, which has no server for "
                f"Python {environment.python_version} here; use Python 3.11"
            )
    ours = sorted(backends.rglob("*.py"))
    parts = [str(environment.wheel), environment.release, environment.python_version]
    parts += [f"{path.relative_to(backends)} {path.read_text()}" for path in ours]
    folder = cache.make(
        "server", key_of(parts), lambda to: _fill(to, environment.wheel, stub, backends)
    )
    search = f"{environment.libraries}:{environment.library_folder}"
    return ServerFiles(
        program=program,
        backends=folder / "backends",
        environment={
            "LD_LIBRARY_PATH": search,
            # The stub asks `python` on PATH where its packages are.
            "PATH": f"{environment.python.parent}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(environment.site),
        },
        release=environment.release,
    )


def _fill(folder: Path, wheel: Path, stub: Path, ours: Path) -> None:
    shutil.copytree(wheel / "backends", folder / "backends")
    shutil.copy2(stub, folder / "backends" / "python" / STUB)
    shutil.copytree(
        ours,
        folder / "backends",
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
