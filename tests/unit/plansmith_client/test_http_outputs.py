"""Outputs as JSON, by KServe's protocol: what any server may answer in place of binary tensors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.datatypes import decode, numpy_dtype
from plansmith_client.errors import PlansmithClientError
from plansmith_client.over_http.outputs import decode_infer
from plansmith_client.over_http.response import Response


def answered(*outputs: dict[str, Any], tensors: bytes = b"") -> dict[str, np.ndarray]:
    header = json.dumps({"outputs": outputs}).encode()
    response = Response(
        status=200,
        reason="OK",
        header=memoryview(header),
        tensors=memoryview(tensors),
        reusable=True,
    )
    found = decode_infer(response)
    return {one.name: decode(one.content, one.dtype, one.shape) for one in found}


def in_json(datatype: str, shape: list[int], data: object, name: str = "x") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@pytest.mark.parametrize("data", [[1, 2.5, 3, 4], [[1, 2.5], [3, 4]]])
def test_numbers_may_be_flat_or_nested(data: object) -> None:
    (x,) = answered(in_json("FP32", [2, 2], data)).values()
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, [[1, 2.5], [3, 4]])


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-128, 127]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP64", [0.1, -1e300]),
        ("FP16", [0.5, 2]),
    ],
)
def test_each_datatype_is_read(datatype: str, values: list[Any]) -> None:
    (x,) = answered(in_json(datatype, [2], values)).values()
    assert x.dtype == numpy_dtype(datatype)
    assert x.tolist() == values


def test_texts_come_as_bytes() -> None:
    (x,) = answered(in_json("BYTES", [2, 1], ["ä", ""])).values()
    assert x.tolist() == [["ä".encode()], [b""]]


def test_an_empty_tensor_stays_empty() -> None:
    (x,) = answered(in_json("INT32", [0, 3], [])).values()
    assert (x.shape, x.dtype) == ((0, 3), np.dtype("int32"))


def test_json_and_binary_may_stand_side_by_side() -> None:
    binary = {"name": "b", "datatype": "INT32", "shape": [1]}
    found = answered(
        in_json("INT32", [1], [7], name="a"),
        {**binary, "parameters": {"binary_data_size": 4}},
        in_json("INT32", [1], [9], name="c"),
        tensors=np.int32(8).tobytes(),
    )
    assert {name: x.item() for name, x in found.items()} == {"a": 7, "b": 8, "c": 9}


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [1], ["1"]),
        ("FP32", [1], [None]),
        ("FP32", [1], [True]),
        ("FP32", [2], [1]),
        ("FP32", [2, 2], [[1, 2], [3]]),
        ("INT32", [1], [1.5]),
        ("INT32", [1], [True]),
        ("INT8", [1], [128]),
        ("UINT8", [1], [-1]),
        ("BOOL", [1], [1]),
        ("BYTES", [1], [1]),
        ("BYTES", [2], ["a"]),
    ],
)
def test_data_that_do_not_fit_are_refused(datatype: str, shape: list[int], data: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        answered(in_json(datatype, shape, data))


def test_an_unknown_datatype_is_refused() -> None:
    with pytest.raises(PlansmithClientError, match="datatype FP7"):
        answered(in_json("FP7", [1], [1]))


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_integers_arrive_as_they_were(values: list[int]) -> None:
    (x,) = answered(in_json("INT32", [len(values)], values)).values()
    assert x.tolist() == values
