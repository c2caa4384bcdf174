"""What a recipe may say of a model that is served as it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import recipes
from plain_recipes import ENSEMBLE, PYTHON, STATEFUL
from plansmith.recipe import AsTrained, GoldenSource, PlainRecipe, PythonModel, Recipe, Source
from plansmith.recipe.parser import parse_recipe
from plansmith.recipe.serving_words import Control, Ensemble, SequenceBatching, State, Step
from plansmith.tensors import TRITON_DTYPES, TensorSpec


def read(text: str) -> PlainRecipe:
    found = parse_recipe(text, "r.toml")
    assert isinstance(found, PlainRecipe)
    return found


def test_a_trained_model_may_keep_state_in_fp32_on_a_runtime_of_ones_choice() -> None:
    found = read(STATEFUL)
    assert found.model == AsTrained(
        source=Source(kind="onnx", location="model.onnx"), backend="onnxruntime"
    )
    assert found.golden == GoldenSource(samples="source.py:golden", max_deviation=1e-4)
    state = TensorSpec(name="state", dtype="float32", shape=(3,))
    assert found.sequence == SequenceBatching(
        strategy="oldest",
        max_idle_us=2_500_500,
        max_candidates=7,
        queue_delay_us=90,
        states=(State(input="state", output="next_state", spec=state),),
        controls=(Control(kind="start", input="start", dtype="int32"),),
    )
    assert (found.targets, found.max_batch_size, found.p99_ms) == (("cpu",), 4, 100)


def test_callers_are_offered_neither_states_nor_controls() -> None:
    found = read(STATEFUL)
    assert [spec.name for spec in found.offered_inputs] == ["x"]
    assert [spec.name for spec in found.offered_outputs] == ["y"]


def test_a_trained_model_runs_on_openvino_if_nothing_else_is_said() -> None:
    text = STATEFUL.replace('backend = "onnxruntime"\n', "")
    assert read(text).backend == "openvino"


def test_a_python_model_says_what_lies_beside_it_and_whom_it_calls() -> None:
    found = read(PYTHON)
    assert found.model == PythonModel(
        location="own.py", files="source.py:files", decoupled=True, calls=("one", "other")
    )
    assert (found.backend, found.calls, found.decoupled) == ("python", ("one", "other"), True)
    assert (found.max_batch_size, found.golden) == (0, None)


def test_an_ensemble_is_its_steps() -> None:
    found = read(ENSEMBLE)
    assert found.model == Ensemble(
        steps=(
            Step(model="one", inputs=(("a", "x"),), outputs=(("b", "middle"),)),
            Step(model="other", inputs=(("c", "middle"),), outputs=(("d", "y"),), version=3),
        )
    )
    assert (found.backend, found.calls) == ("ensemble", ("one", "other"))


def test_as_trained_false_is_a_model_to_be_optimised() -> None:
    text = recipes.TINY.replace("[source]", "[source]\nas_trained = false")
    assert isinstance(parse_recipe(text), Recipe)


NAMES = st.text("abcdefgh_", min_size=1, max_size=6)


@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique=True),
    dtype=st.sampled_from(sorted(TRITON_DTYPES)),
    shape=st.lists(st.sampled_from([-1, 1, 3, 224]), min_size=1, max_size=4),
    limit=st.integers(0, 64),
    deviation=st.floats(0, 10, allow_subnormal=False),
)
def test_whatever_python_recipe_is_written_is_read_back(
    names: list[str], dtype: str, shape: list[int], limit: int, deviation: float
) -> None:
    tensors = [
        f'[{side}.{name}]\ndtype = "{dtype}"\nshape = {shape}'
        for side, name in zip(("input", "output"), names, strict=False)
    ]
    text = "\n".join(
        [
            f'[source]\npython = "model.py"\ncalls = {names}'.replace("'", '"'),
            *tensors,
            f'[golden]\nsamples = "s.py:f"\nmax_deviation = {deviation!r}',
            "[slo]\np99_ms = 1",
            f'[targets]\norder = ["cpu"]\nmax_batch_size = {limit}',
        ]
    )
    found = read(text)
    assert found.calls == tuple(names)
    assert found.offered_inputs == (TensorSpec(name=names[0], dtype=dtype, shape=tuple(shape)),)
    assert found.offered_outputs == (TensorSpec(name=names[1], dtype=dtype, shape=tuple(shape)),)
    assert found.max_batch_size == limit
    assert found.golden == GoldenSource(samples="s.py:f", max_deviation=deviation)
