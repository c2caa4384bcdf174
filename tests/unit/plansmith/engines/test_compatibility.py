"""Will it load there: GPU, library, driver and system, and unknown is never a pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.engines.compatibility import Mismatch, Place, mismatches
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import InputShapes, Profile

ENGINE = EnginePassport(
    file="model-cc86.plan",
    sha256="ab" * 32,
    size_bytes=10,
    library="tensorrt",
    library_version="10.16.1.11",
    compute_capabilities=("8.6",),
    gpu_name="NVIDIA A10",
    driver="580.95.05",
    cuda="13.2.1",
    container=None,
    system="Linux",
    machine="x86_64",
    precision="fp32",
    onnx_sha256="cd" * 32,
    calibration_sha256=None,
    timing_cache_sha256=None,
    profile=Profile(inputs=(InputShapes(name="x", min=(1, 3), opt=(8, 3), max=(8, 3)),)),
    options=BuildOptions(),
)
RTX = replace(ENGINE, library="tensorrt-rtx", library_version="1.7.1.116", cuda="13")
PLACE = Place(
    compute_capability="8.6",
    driver="610.43.02",
    tensorrt="10.16.1.11",
    tensorrt_rtx="1.7.1.116",
)


def check(engine: EnginePassport, **changes: Any) -> tuple[Mismatch, ...]:
    return mismatches([engine], replace(PLACE, **changes), "digits")


@pytest.mark.parametrize("engine", [ENGINE, RTX], ids=lambda engine: engine.library)
def test_an_engine_loads_where_all_is_as_it_was_built(engine: EnginePassport) -> None:
    assert check(engine) == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"compute_capability": "8.9"}, "compute capability"),
        ({"tensorrt": "10.14.1.48"}, "tensorrt version"),
        ({"tensorrt": "11.0.0.114"}, "tensorrt version"),
        ({"driver": "575.57.08"}, "driver"),
        ({"system": "Windows"}, "system"),
        ({"machine": "aarch64"}, "system"),
    ],
)
def test_what_differs_is_named_with_both_sides_and_a_remedy(
    changes: dict[str, str], field: str
) -> None:
    (mismatch,) = check(ENGINE, **changes)
    assert (mismatch.field, mismatch.proven) == (field, True)
    assert next(iter(changes.values())) in mismatch.place_has
    assert mismatch.engine_has
    assert mismatch.remedy


def test_the_remedy_is_the_command_that_rebuilds() -> None:
    (mismatch,) = check(ENGINE, tensorrt="11.1.0.106", container="26.07")
    assert mismatch.remedy == "plansmith build digits --target tensorrt --container 26.07"
    (mismatch,) = check(RTX, tensorrt_rtx="1.5.0.114")
    assert mismatch.remedy == (
        "pip install tensorrt-rtx-cu13==1.5.0.114 && plansmith build digits --target tensorrt-rtx"
    )


@pytest.mark.parametrize("unknown", ["compute_capability", "tensorrt", "driver"])
def test_what_is_unknown_is_not_proven_to_load(unknown: str) -> None:
    (mismatch,) = check(ENGINE, **{unknown: None})
    assert (mismatch.place_has, mismatch.proven) == ("unknown", False)
    assert "not proven" in str(mismatch)


def test_a_container_tells_the_version_where_the_table_knows_it() -> None:
    newer = replace(ENGINE, library_version="11.1.0.106")
    assert check(newer, tensorrt=None, container="26.07") == ()
    (mismatch,) = check(ENGINE, tensorrt=None, container="26.07")
    assert (mismatch.place_has, mismatch.proven) == ("11.1.0.106", True)


def test_an_engine_loads_in_the_release_it_was_built_in_whatever_is_in_it() -> None:
    built_there = replace(ENGINE, container="26.05")
    assert check(built_there, tensorrt=None, container="26.05") == ()
    (mismatch,) = check(built_there, tensorrt=None, container="26.06")
    assert not mismatch.proven


@pytest.mark.parametrize(("container", "told_of"), [("26.05", ["7.0"]), ("24.10", [])])
def test_a_container_serves_no_gpu_older_than_it_supports(
    container: str, told_of: list[str]
) -> None:
    """7.0 is a V100: 24.10's notes have it, those of 26.05 begin at 7.5."""
    volta = replace(ENGINE, compute_capabilities=("7.0",), container=container)
    found = check(volta, compute_capability="7.0", container=container, tensorrt=None)
    told = [one.place_has for one in found if "is served by container" in one.engine_has]
    assert told == told_of


def test_a_containers_cuda_needs_its_driver_too() -> None:
    older = replace(ENGINE, cuda="12.9", container="26.05")
    (mismatch,) = check(older, container="26.05", tensorrt=None, driver="535.1")
    assert (mismatch.field, mismatch.engine_has) == ("driver", "needs 580 or newer")


def test_an_engine_of_unknown_cuda_is_not_proven_to_load() -> None:
    (mismatch,) = check(replace(ENGINE, cuda=None))
    assert (mismatch.field, mismatch.proven) == ("driver", False)


@pytest.mark.parametrize(
    ("there", "loads"),
    [
        ("10.16.1.11", True),
        ("10.17.0.1", True),
        ("11.2.0.1", True),  # 10 to 11 is one of the two steps that NVIDIA supports
        ("10.14.1.48", False),
        ("12.0.0.1", False),
    ],
)
def test_a_version_compatible_engine_loads_in_later_releases(there: str, loads: bool) -> None:
    engine = replace(ENGINE, options=BuildOptions(version_compatible=True))
    assert (check(engine, tensorrt=there) == ()) is loads


@pytest.mark.parametrize(
    ("capability", "loads"), [("8.0", True), ("9.0", True), ("12.0", True), ("7.5", False)]
)
def test_a_hardware_compatible_engine_loads_from_ampere_on(capability: str, loads: bool) -> None:
    engine = replace(ENGINE, options=BuildOptions(hardware_compatible=True))
    assert (check(engine, compute_capability=capability) == ()) is loads


def test_a_version_may_be_described_by_its_first_numbers_but_not_by_one() -> None:
    assert check(ENGINE, tensorrt="10.16") == ()
    assert [mismatch.field for mismatch in check(ENGINE, tensorrt="10")] == ["tensorrt version"]


@given(st.tuples(*[st.integers(0, 3)] * 4))
def test_rtx_engines_load_in_their_own_release_only(numbers: tuple[int, ...]) -> None:
    there = ".".join(map(str, numbers))
    engine = replace(RTX, library_version="1.2.3.0")
    assert (check(engine, tensorrt_rtx=there) == ()) is (numbers == (1, 2, 3, 0))


def test_rtx_engines_go_to_windows() -> None:
    assert check(RTX, system="Windows") == ()
    assert [mismatch.field for mismatch in check(RTX, machine="aarch64")] == ["system"]


OTHER = replace(RTX, file="model-cc89.plan", compute_capabilities=("8.9",))


@pytest.mark.parametrize("capability", ["8.6", "8.9"])
def test_of_several_engines_the_one_for_the_gpu_counts(capability: str) -> None:
    there = replace(PLACE, compute_capability=capability, tensorrt_rtx="1.5.0.114")
    (mismatch,) = mismatches([RTX, OTHER], there, "digits")
    assert mismatch.file == f"model-cc{capability.replace('.', '')}.plan"


def test_where_no_engine_is_for_the_gpu_the_recipe_is_to_name_it() -> None:
    (mismatch,) = mismatches([RTX, OTHER], replace(PLACE, compute_capability="12.0"), "digits")
    assert (mismatch.engine_has, mismatch.place_has) == ("8.6, 8.9", "12.0")
    assert "targets.compute_capabilities" in mismatch.remedy
    assert "plansmith build digits --target tensorrt-rtx" in mismatch.remedy


def test_openvino_compiles_where_it_is_served() -> None:
    engine = replace(ENGINE, library="openvino", compute_capabilities=())
    assert mismatches([engine], Place(), "digits") == ()


def test_every_mismatch_is_told_at_once() -> None:
    found = check(ENGINE, tensorrt="11.0.0.114", driver="535.1", system="Windows")
    assert [mismatch.field for mismatch in found] == ["tensorrt version", "driver", "system"]
