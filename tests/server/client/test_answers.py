"""Both clients get right answers from a real Triton: one body for the two of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plansmith_client import InvalidInput
from python_models import DTYPES
from twins import Connect


def test_ready_and_metadata(connect: Connect, echo_server: str) -> None:
    client = connect(echo_server)
    assert client.is_ready() is True
    metadata = client.model("pair").metadata()
    assert (metadata.name, metadata.version, metadata.versions) == ("pair", None, (1,))
    assert metadata.max_batch_size == 4
    assert [(one.name, one.dtype, one.shape) for one in metadata.inputs] == [
        ("numbers", "INT64", (-1, 3)),
        ("words", "BYTES", (-1, -1)),
    ]
    assert [one.name for one in metadata.outputs] == ["numbers_out", "words_out"]


def test_one_in_one_out(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("echo", 1)
    x = np.random.default_rng(0).normal(size=(4, 2, 7)).astype(np.float32)
    np.testing.assert_array_equal(model(x), x)
    turned = x.transpose(2, 1, 0)[:3, :, ::2]
    np.testing.assert_array_equal(model(turned), turned)
    assert not model(x).flags.writeable


def test_five_megabytes_each_way(connect: Connect, echo_server: str) -> None:
    """More than gRPC's default limit of 4 MB."""
    x = np.random.default_rng(0).random((1, 2, 650_000), np.float32)
    np.testing.assert_array_equal(connect(echo_server).model("echo")(x), x)


def test_every_dtype(connect: Connect, echo_server: str) -> None:
    values = np.array([[0, 1, 0, 1, 1], [1, 2, 3, 100, 127]])
    inputs = {name.lower(): values.astype(dtype) for name, dtype in DTYPES.items()}
    outputs = connect(echo_server).model("types").infer(inputs)
    assert len(outputs) == len(DTYPES)
    for name, array in inputs.items():
        np.testing.assert_array_equal(outputs[f"{name}_out"], array)
        assert outputs[f"{name}_out"].dtype == array.dtype


def test_two_inputs_and_bytes(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("pair")
    words = np.array([[b"a\0\0", "é"], [b"", b"\xff"]], dtype=object)
    inputs = {"numbers": np.arange(6, dtype=np.int64).reshape(2, 3), "words": words}
    outputs = model.infer(inputs)
    assert outputs.keys() == {"numbers_out", "words_out"}
    np.testing.assert_array_equal(outputs["numbers_out"], inputs["numbers"])
    assert outputs["words_out"].tolist() == [[b"a\0\0", "é".encode()], [b"", b"\xff"]]
    assert model.infer(inputs, ["words_out"]).keys() == {"words_out"}
    empty = inputs | {"words": np.empty((2, 0), dtype=object)}
    assert model.infer(empty)["words_out"].shape == (2, 0)
    with pytest.raises(InvalidInput, match="give them by name, as numbers="):
        model(words)


def test_unbatched(connect: Connect, echo_server: str) -> None:
    model = connect(echo_server).model("unbatched")
    x = np.array([1, 3, 2], np.float32)
    np.testing.assert_array_equal(model(x), x)
    ((best,),) = model.classify(x, top=1)
    assert (best.index, best.label, best.logit) == (1, "b", 3.0)


def test_classify(connect: Connect, echo_server: str) -> None:
    x = np.array([[1, 2, 0], [-5, -5.5, 4]], np.float32)
    first, second = connect(echo_server).model("classes").classify(x)
    assert [(one.index, one.label) for one in first] == [(1, "dog: big"), (0, "cat"), (2, None)]
    assert [one.index for one in second] == [2, 0, 1]
    for item, logits in ((first, x[0]), (second, x[1])):
        exponentials = [math.exp(logit) for logit in logits]
        for one in item:
            assert one.logit == logits[one.index]
            share = exponentials[one.index] / sum(exponentials)
            assert one.probability == pytest.approx(share, rel=1e-12)


def test_classify_with_a_free_number_of_classes(connect: Connect, echo_server: str) -> None:
    ((best, *rest),) = (
        connect(echo_server)
        .model("free_classes")
        .classify(np.arange(50, dtype=np.float32)[None], top=50)
    )
    assert (best.index, len(rest)) == (49, 49)
