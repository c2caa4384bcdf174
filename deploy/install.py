"""Makes the project's two environments: .venv for everything, .venv-server for the embedded Triton.

Run by `make setup` with any Python from 3.11 on; uses nothing but the standard library. A folder
with the stamp of what it was made from is left alone, so a second run installs nothing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAIN, SERVER = ROOT / ".venv", ROOT / ".venv-server"
CONSTRAINTS = ROOT / "build" / "constraints.txt"
OVERRIDES = ROOT / "build" / "overrides.txt"
EXTRAS = "torch,openvino,modelopt,tensorrt-rtx,client,load,report,samples,signing,test"
# Of torch built for CPUs only; PyPI's own build for Linux on x86-64 brings CUDA.
CPU_TORCH = "https://download.pytorch.org/whl/cpu/"
STAMP = ".made-from"
REQUIREMENTS = sorted(ROOT.glob("model_repository/*/requirements.txt"))
EXIT_LACKS, EXIT_INTERRUPTED = 3, 130


class Lacks(Exception):
    """This machine lacks something; the message names the line that installs it."""


def main() -> int:
    """Both environments; 0, or 3 where something is missing, or the installer's own status."""
    try:
        version = platform.python_version()
        if tuple(map(int, version.split(".")[:2])) < (3, 11):
            raise Lacks(f"Python {version} is too old: make setup PYTHON=python3.11")
        sources = [Path(__file__), CONSTRAINTS, OVERRIDES, *ROOT.glob("*/pyproject.toml")]
        _make(MAIN, sources, _install_main)
        _make(SERVER, [Path(__file__), MAIN / STAMP, *REQUIREMENTS], _install_server)
    except Lacks as error:
        print(f"make setup: {error}", file=sys.stderr)
        return EXIT_LACKS
    except subprocess.CalledProcessError as error:
        print(
            "make setup: the installer's message is above; run it again to go on", file=sys.stderr
        )
        return error.returncode
    except KeyboardInterrupt:
        print("make setup: interrupted; run it again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _make(folder: Path, sources: list[Path], install: Callable[[], None]) -> None:
    """Fills `folder` unless its stamp says that it was made from these `sources`."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return
    if not (folder / "bin" / "python").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        except subprocess.CalledProcessError as error:
            raise Lacks("no venv module: apt-get install python3-venv") from error
    install()
    stamp.write_text(digest)


def _install_main() -> None:
    subprocess.run([MAIN / "bin" / "pip", "install", "--quiet", "uv>=0.6,<1"], check=True)
    found = os.environ.get("PIP_FIND_LINKS")
    # uv does not read pip's settings: a folder of wheels that pip knows of is handed on.
    source = ["--find-links", found] if found else ["--torch-backend=cpu"] if _answers() else []
    size = "3.2 GB" if source else "7.4 GB (torch with CUDA: no other can be reached)"
    print(f"installing into {MAIN.name}: {size} on disk", file=sys.stderr)
    # The workspace's other member, the client, comes with it.
    pins = ["--constraint", str(CONSTRAINTS), "--overrides", str(OVERRIDES)]
    _uv(MAIN, [*source, *pins, "--editable", f"{ROOT}/build[{EXTRAS}]"])


def _install_server() -> None:
    """The server's wheel wants numpy < 2 and packages that only its Python API needs."""
    print(f"installing into {SERVER.name}: 0.6 GB on disk", file=sys.stderr)
    # The same runtimes as those that variants are measured with.
    runtimes = [f"{name}=={_installed(name)}" for name in ("openvino", "onnxruntime")]
    base = ["nvidia-pytriton>=0.7,<0.8", "numpy>=1.26,<2", "packaging"]
    _uv(SERVER, ["--no-deps", *base, *runtimes, "flatbuffers", "protobuf"])
    # What the repository's own Python models import.
    for file in REQUIREMENTS:
        _uv(SERVER, ["--requirement", str(file), "numpy>=1.26,<2"])


def _installed(name: str) -> str:
    """The version of a distribution in .venv."""
    program = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    command = [MAIN / "bin" / "python", "-c", program, name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _uv(folder: Path, arguments: list[str]) -> None:
    # On a terminal uv shows its progress; elsewhere it would list every package.
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    command = [str(MAIN / "bin" / "uv"), "pip", "install", "--compile-bytecode", *quiet]
    subprocess.run([*command, "--python", str(folder / "bin" / "python"), *arguments], check=True)


def _answers() -> bool:
    try:
        with urllib.request.urlopen(CPU_TORCH, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
