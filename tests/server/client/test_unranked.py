"""Outputs that Triton ranks no classes of are refused before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from plansmith.server import Server
from plansmith_client import InvalidInput
from python_models import Tensor, write_model
from real_server import Serve, url_of
from twins import Connect

ARRAYS = {
    # What ends Triton 2.51 if it is asked.
    "STRING": np.array([[b"a"]], object),
    "BOOL": np.ones((1, 1), bool),
    "FP16": np.ones((1, 1), np.float16),
}


@pytest.fixture(scope="module")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("unranked")
    for datatype in ARRAYS:
        write_model(repository, datatype.lower(), [Tensor("x", datatype, "1")])
    with serve(repository) as served:
        yield served


@pytest.mark.parametrize("datatype", ARRAYS)
def test_the_output_and_its_dtype_are_named(
    connect: Connect, server: Server, protocol: str, datatype: str
) -> None:
    model = connect(url_of(server, protocol)).model(datatype.lower())
    with pytest.raises(InvalidInput, match=r"output x_out is .* call the model itself") as caught:
        model.classify(ARRAYS[datatype])
    assert (caught.value.tensor, caught.value.status) == ("x_out", None)
    assert model(ARRAYS[datatype]).tolist() == ARRAYS[datatype].tolist()
