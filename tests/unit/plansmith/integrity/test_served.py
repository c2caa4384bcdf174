"""What a config lets the server read: versions, and files beside them."""

from __future__ import annotations

import pytest

from plansmith.errors import UnusableInput
from plansmith.integrity.served import served

THERE = (10, 2, 9)


def test_versions_are_those_of_the_policy_whatever_their_order() -> None:
    policy = "version_policy { latest { num_versions: 2 } }"
    assert served(policy, THERE, file="config.pbtxt").versions == (9, 10)


def test_files_beside_the_versions_are_told_by_their_place_in_the_models_folder() -> None:
    text = """
    output { name: "y" label_filename: "labels.txt" }
    output { name: "z" label_filename: "labels.txt" }
    model_warmup { inputs { key: "x" value { input_data_file: "sample" } } }
    model_warmup { inputs { key: "x" value { zero_data: true } } }
    sequence_batching { state { initial_state { data_file: "h0" } initial_state { } } }
    parameters {
      key: "EXECUTION_ENV_PATH"
      value { string_value: "$$TRITON_MODEL_DIRECTORY/packages.tar.gz" }
    }
    """
    assert served(text, THERE, file="config.pbtxt").files == (
        "initial_state/h0",
        "labels.txt",
        "packages.tar.gz",
        "warmup/sample",
    )


def test_what_is_no_config_is_told_with_its_line() -> None:
    with pytest.raises(UnusableInput, match=r"^configs/cpu\.pbtxt:2:"):
        served('name: "m"\nbackend "onnxruntime"', THERE, file="configs/cpu.pbtxt")
