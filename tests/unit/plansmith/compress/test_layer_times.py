"""Times of single layers of a tiny network, written as IR by script."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from plansmith.compress.layer_times import layer_times_ms
from plansmith.errors import UnusableInput

FEED = {"x": np.random.default_rng(0).normal(size=(3, 8, 32, 32)).astype(np.float32)}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x [batch, 8, 32, 32] → conv "light" to 8 channels → conv "heavy" to 256, 7x7 → fc [10]."""
    random = np.random.default_rng(1)

    def weights(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32) / 10

    x = ops.parameter([-1, 8, 32, 32], np.float32, name="x")
    x.output(0).set_names({"x"})
    found = x
    for name, out, into, size in (("light", 8, 8, 1), ("heavy", 256, 8, 7)):
        pad = size // 2
        conv = ops.convolution(
            found, weights(out, into, size, size), [1, 1], [pad, pad], [pad, pad], [1, 1], name=name
        )
        biased = ops.add(conv, weights(1, out, 1, 1), name=f"{name}/bias")
        found = ops.relu(biased, name=f"{name}/relu")
    pooled = ops.reduce_mean(found, np.array([2, 3]), keep_dims=False, name="pool")
    product = ops.matmul(pooled, weights(10, 256), False, True, name="fc")
    scaled = ops.add(product, weights(1, 10), name="fc/bias")
    path = tmp_path_factory.mktemp("network") / "model.xml"
    openvino.save_model(openvino.Model([scaled], [x], "tiny"), path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="module")
def times_ms(network: Path) -> dict[str, float]:
    return layer_times_ms(network, FEED, rounds=9)


def test_every_layer_with_weights_is_named_as_in_the_ir(times_ms: dict[str, float]) -> None:
    assert {"light", "heavy", "fc"} <= times_ms.keys()


def test_what_is_fused_into_a_layer_has_no_time_of_its_own(times_ms: dict[str, float]) -> None:
    assert not {"heavy/bias", "heavy/relu", "light/relu", "fc/bias"} & times_ms.keys()


def test_all_times_are_positive(times_ms: dict[str, float]) -> None:
    assert min(times_ms.values()) > 0


def test_the_layer_with_by_far_the_most_work_takes_longest(times_ms: dict[str, float]) -> None:
    assert max(times_ms, key=lambda name: times_ms[name]) == "heavy"


def test_the_layers_of_one_run_take_no_longer_than_the_run(network: Path) -> None:
    begun = time.perf_counter()
    found = layer_times_ms(network, FEED, rounds=1)
    assert sum(found.values()) < (time.perf_counter() - begun) * 1000


def test_no_rows_are_refused(network: Path) -> None:
    with pytest.raises(UnusableInput, match="no rows"):
        layer_times_ms(network, {"x": FEED["x"][:0]})
