"""What a configuration has a model warmed up with."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from plansmith.config.compose import compose
from plansmith.recipe.serving_words import Serving
from served_models import MODEL, ROW, made


def test_every_row_warms_up_every_batch_size() -> None:
    model = replace(MODEL, warm_up_rows=(ROW, ROW), warm_up_batch_sizes=(4, 1, 4))
    found = made(model).model_warmup
    assert [(one.name, one.batch_size) for one in found] == [
        ("row 1, batch 1", 1),
        ("row 1, batch 4", 4),
        ("row 2, batch 1", 1),
        ("row 2, batch 4", 4),
    ]


def test_samples_lie_in_a_file_named_by_what_is_in_it() -> None:
    config = compose(replace(MODEL, warm_up_rows=(ROW,)))
    (tensor,) = [one.inputs["x"] for one in config.message.model_warmup]
    name = f"{hashlib.sha256(bytes(range(8))).hexdigest()[:32]}.bin"
    assert tensor.input_data_file == name
    assert list(tensor.dims) == [2]
    assert config.files == {f"warmup/{name}": bytes(range(8))}


def test_zeros_need_no_file() -> None:
    config = compose(replace(MODEL, warm_up_rows=(ROW,), serving=Serving(warm_up="zeros")))
    (tensor,) = [one.inputs["x"] for one in config.message.model_warmup]
    assert tensor.zero_data
    assert config.files == {}


def test_who_wants_no_warm_up_has_none() -> None:
    assert not made(replace(MODEL, warm_up_rows=(ROW,)), warm_up="none").model_warmup
