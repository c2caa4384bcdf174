"""What the server's log says of batches that cannot be run as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper

from backend_models import Caller, Network, Value, batching, rows_of, write_model
from real_server import Serve

# y = x, float32 [batch, 2], on the way in as many rows as the largest of `rows`, int64 [batch, 1].
FIXED = Network(
    inputs=(Value("x", ("batch", 2)), Value("rows", ("batch", 1), "INT64")),
    outputs=(Value("y", ("batch", 2)),),
    nodes=[
        helper.make_node("ReduceMax", ["rows"], ["most"], axes=[0, 1], keepdims=0),
        helper.make_node("Unsqueeze", ["most", "zero"], ["first"]),
        helper.make_node("Concat", ["first", "two"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ],
    constants={"zero": np.array([0], np.int64), "two": np.array([2], np.int64)},
)


def test_requests_that_only_run_one_by_one_are_answered_and_logged_once(
    serve: Serve, tmp_path: Path
) -> None:
    # ONNX Runtime leaves such a Reshape out.
    write_model(tmp_path, "openvino", "fixed", FIXED, more=batching(2))
    feeds = [{"x": rows_of(seed, 1, 2), "rows": np.array([[1]])} for seed in range(2)]
    with serve(tmp_path) as server:
        for _ in range(2):
            answers = Caller(server.grpc_url).all_at_once("fixed", feeds)
            for feed, answer in zip(feeds, answers, strict=True):
                assert isinstance(answer, dict)
                np.testing.assert_array_equal(answer["y"], feed["x"])
        log = server.log.read_text(errors="replace")
    assert log.count("do not run as a batch") == 1
