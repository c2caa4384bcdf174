"""The client installs by itself: in an empty environment it brings little and works."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from kserve import ODD_NAME, kserving

CLIENT = Path(__file__).parents[2] / "client"
# What tritonclient asks for, and what that asks for in turn.
PLAIN = {"plansmith-client", "numpy", "tritonclient", "ml-dtypes", "python-rapidjson", "urllib3"}
GRPC = {*PLAIN, "grpcio", "protobuf", "packaging", "typing-extensions"}
# A download may be slow.
INSTALL_S = 300


def pip(*arguments: str) -> None:
    line = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert done.returncode == 0, done.stderr


def install(what: str, python: Path) -> None:
    pip("--python", str(python), "install", "--quiet", "--no-compile", what)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's, built once."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(CLIENT))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the client alone."""
    folder = tmp_path_factory.mktemp("plain") / "venv"
    venv.create(folder, with_pip=False)
    install(str(wheel), folder / "bin" / "python")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def with_grpc(plain: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another with the extra too; begun with what the first was given, which saves its time."""
    folder = tmp_path_factory.mktemp("grpc") / "venv"
    shutil.copytree(plain.parents[1], folder, symlinks=True)
    install(f"{wheel}[grpc]", folder / "bin" / "python")
    return folder / "bin" / "python"


def output(python: Path, program: str) -> str:
    """Of a program that sees nothing but its environment: no PYTHONPATH, no working directory."""
    line = [str(python), "-I", "-W", "error", "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def distributions(python: Path) -> set[str]:
    program = """
from importlib.metadata import distributions
for one in distributions():
    print(one.name.lower().replace("_", "-"))
"""
    return set(output(python, program).split())


def test_it_brings_numpy_and_tritonclient_and_what_that_needs(plain: Path) -> None:
    found = distributions(plain)
    assert {"plansmith-client", "numpy", "tritonclient"} <= found <= PLAIN


def test_grpc_is_an_extra(with_grpc: Path) -> None:
    found = distributions(with_grpc)
    assert {"plansmith-client", "grpcio", "protobuf"} <= found <= GRPC


def test_http_works_without_grpc(plain: Path) -> None:
    program = """
import sys
import numpy as np
from plansmith_client import AsyncClient, Client
import asyncio

url, name = sys.stdin.read().splitlines()
x = np.ones((1, 2), np.float32)

async def ask():
    async with AsyncClient(url) as client:
        return await client.model(name)(x)

with Client(url) as client:
    assert (client.model(name)(x) == x).all()
assert (asyncio.run(ask()) == x).all()
assert not [name for name in sys.modules if name.partition(".")[0] in ("grpc", "google")]
print("fine")
"""
    with kserving() as url:
        done = subprocess.run(
            [str(plain), "-I", "-X", "utf8", "-W", "error", "-c", program],
            input=f"{url}\n{ODD_NAME}\n",
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_without_grpc_its_install_line_is_told(plain: Path) -> None:
    program = """
from plansmith_client import Client, MissingExtra
try:
    Client("localhost:8001")
except MissingExtra as error:
    print(error)
"""
    line = 'gRPC support is not installed: pip install "plansmith-client[grpc]"\n'
    assert output(plain, program) == line


def test_with_grpc_a_client_of_it_imports_nothing_of_http(with_grpc: Path) -> None:
    program = """
import sys
from plansmith_client import Client
with Client("localhost:1", timeout_s=0.2) as client:
    assert client.is_ready() is False
print(*sys.modules)
"""
    loaded = set(output(with_grpc, program).split())
    assert "plansmith_client.over_grpc.transport" in loaded
    assert not loaded & {
        "plansmith_client.over_http.transport",
        "http.client",
        "tritonclient.http",
        "gevent",
    }


def test_the_wheel_holds_the_package_its_types_and_nothing_else(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    sources = CLIENT / "plansmith_client"
    wanted = {
        str(path.relative_to(CLIENT))
        for path in sources.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    assert "plansmith_client/py.typed" in wanted
    assert {name for name in held if ".dist-info/" not in name} == wanted
