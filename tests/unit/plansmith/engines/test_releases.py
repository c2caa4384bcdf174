"""The table of NVIDIA's releases: every row has its source, and what is not known is None."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.engines.releases import RELEASES, RTX_COMPUTE_CAPABILITIES, Release, find
from plansmith.errors import UnusableInput


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_row_names_where_it_is_from(release: Release) -> None:
    assert release.sources
    assert all(source.startswith("https://") for source in release.sources)
    assert release.name.replace(".", "-") in release.sources[0], "the release's own notes"
    if release.tensorrt is not None:
        assert len(release.sources) > 1, "the notes do not name TensorRT's version"


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_row_is_found_by_its_name(release: Release) -> None:
    assert find(release.name) is release


def test_rows_ascend_so_that_the_last_one_is_the_newest() -> None:
    assert [release.name for release in RELEASES] == sorted(release.name for release in RELEASES)


@pytest.mark.parametrize(("name", "driver"), [("25.06", 525), ("26.06", 580)])
def test_the_driver_follows_from_cuda(name: str, driver: int) -> None:
    assert find(name).minimum_driver == driver


def test_engines_are_built_in_the_image_of_the_release_that_serves_them() -> None:
    release = find("26.06")
    assert release.build_image == "nvcr.io/nvidia/tensorrt:26.06-py3"


def test_of_a_release_that_the_table_lacks_nothing_is_known() -> None:
    release = find("31.12")
    assert (release.tensorrt, release.cuda, release.minimum_driver) == (None, None, None)


@given(st.text().filter(lambda text: not re.fullmatch(r"\d\d\.(0[1-9]|1[0-2])", text)))
def test_what_is_no_release_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(UnusableInput, match=r"26\.06"):
        find(name)


def test_the_installed_library_builds_for_what_the_table_says() -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="needs pip install tensorrt-rtx-cu13")
    minor = ".".join(rtx.__version__.split(".")[:2])
    # A release that the table lacks: look up what it builds for, and raise the package's range.
    assert minor in RTX_COMPUTE_CAPABILITIES
    names = {f"SM{cc.replace('.', '')}" for cc in RTX_COMPUTE_CAPABILITIES[minor]}
    assert names == {n for n in rtx.ComputeCapability.__members__ if n.startswith("SM")}
