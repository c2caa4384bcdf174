"""The machine: what /proc/cpuinfo says, and what is unknown where there is none."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import pytest

from plansmith import machine
from plansmith.gpu import Gpu
from plansmith.machine import describe, installed, tool_versions

CPUINFO = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu avx2 avx512f amx_bf16 avx512_bf16x

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu avx2 avx512f amx_bf16 avx512_bf16x
"""


def test_the_cpu_and_its_noted_features_are_cpuinfos(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    found = describe(tmp_path / "cpuinfo")
    assert found.cpu == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"
    # Whole words: avx512_bf16x is not avx512_bf16.
    assert found.features == ("avx2", "avx512f", "amx_bf16")


def test_without_cpuinfo_nothing_is_claimed_of_the_cpu(tmp_path: Path) -> None:
    found = describe(tmp_path / "missing")
    assert found.features == ()
    assert found.cpu == (platform.processor() or "unknown")


def test_cores_are_those_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert describe().cores == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert describe().cores == len(allowed)


def test_memory_is_what_the_kernel_says() -> None:
    kernel = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert describe().memory_bytes == kernel


def test_the_same_machine_is_described_the_same_twice() -> None:
    assert describe() == describe()


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (Gpu(name="H100", compute_capability="9.0", driver="550.5"), "H100, 9.0, driver 550.5"),
        (None, None),
    ],
)
def test_a_gpu_is_part_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, gpu: Gpu | None, said: str | None
) -> None:
    monkeypatch.setattr(machine, "describe_gpu", lambda: gpu)
    assert describe().gpu == said


def test_installed_names_are_normalised() -> None:
    found = installed()
    assert found["numpy"] == np.__version__
    assert all(name == name.lower() and not {"_", "."} & set(name) for name in found)


def test_what_a_broken_installation_has_left_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()
    whole = tmp_path / "Some_Data.set-2.0.dist-info"
    whole.mkdir()
    (whole / "METADATA").write_text("Metadata-Version: 2.1\nName: Some_Data.set\nVersion: 2.0\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert installed.__wrapped__() == {"some-data-set": "2.0"}


def test_versions_are_those_installed_and_what_is_missing_is_left_out() -> None:
    assert tool_versions(("numpy", "no-such-distribution")) == {
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
