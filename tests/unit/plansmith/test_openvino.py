"""The OpenVINO target: sensible variants, engines that answer as ONNX Runtime, a fitting config."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith import warm_up
from plansmith.forms import Form
from plansmith.recipe.parser import parse_recipe
from plansmith.targets import onnxruntime, openvino
from plansmith.targets.openvino import OpenVinoEngine, Variant, list_variants, serving_config


def form(name: str, precision: str = "fp32", parent: str | None = None) -> Form:
    return Form(name=name, precision=precision, parent=parent, tool="-", macs=None, parameters=1)


FP32 = form("fp32")
FORMS = st.lists(
    st.sampled_from(
        [
            FP32,
            form("pruned", parent="fp32"),
            form("int8", "int8", parent="fp32"),
            form("int8-mixed", "int8", parent="fp32"),
            form("pruned-int8", "int8", parent="pruned"),
        ]
    ),
    min_size=1,
    unique=True,
).map(tuple)
LISTS = st.builds(
    list_variants,
    FORMS,
    cores=st.integers(1, 64),
    has_bf16=st.booleans(),
    max_batch_size=st.integers(1, 128),
    static=st.booleans(),
)
VARIANTS = st.builds(
    Variant,
    form=st.just("fp32"),
    precision=st.sampled_from(["fp32", "bf16"]),
    streams=st.integers(1, 64),
    threads=st.integers(1, 64),
    batch_size=st.integers(1, 128),
    static=st.booleans(),
)


@given(LISTS)
def test_variants_have_names_of_their_own(variants: tuple[Variant, ...]) -> None:
    assert len({variant.name for variant in variants}) == len(variants) > 0


@given(forms=FORMS, cores=st.integers(1, 64), limit=st.integers(1, 128), static=st.booleans())
def test_no_variant_asks_for_more_than_there_is(
    forms: tuple[Form, ...], cores: int, limit: int, static: bool
) -> None:
    variants = list_variants(forms, cores=cores, has_bf16=True, max_batch_size=limit, static=static)
    assert all(v.streams <= v.threads <= cores and v.batch_size <= limit for v in variants)
    for one in forms:
        sizes = {v.batch_size for v in variants if v.form == one.name}
        assert {1, limit} <= sizes, "both ends are tried of every form"


@pytest.mark.parametrize(("has_bf16", "want"), [(False, {"fp32"}), (True, {"fp32", "bf16"})])
def test_bf16_is_tried_only_where_the_cpu_has_it(has_bf16: bool, want: set[str]) -> None:
    variants = list_variants((FP32,), cores=2, has_bf16=has_bf16, max_batch_size=8, static=True)
    assert {v.precision for v in variants} == want


def test_only_an_fp32_graph_is_run_in_bf16() -> None:
    forms = (FP32, form("pruned", parent="fp32"), form("int8", "int8", parent="fp32"))
    variants = list_variants(forms, cores=2, has_bf16=True, max_batch_size=8, static=True)
    assert {(v.form, v.precision) for v in variants} == {
        *(("fp32", "fp32"), ("fp32", "bf16"), ("pruned", "fp32"), ("pruned", "bf16")),
        ("int8", "int8"),
    }


@given(FORMS)
def test_no_shape_is_fixed_where_the_model_has_free_ones(forms: tuple[Form, ...]) -> None:
    variants = list_variants(forms, cores=2, has_bf16=False, max_batch_size=8, static=False)
    assert not any(v.static for v in variants)


def test_of_a_form_made_from_another_only_fixed_shapes_of_both_ends_are_tried() -> None:
    forms = (FP32, form("int8", "int8", parent="fp32"))
    variants = list_variants(forms, cores=2, has_bf16=False, max_batch_size=8, static=True)
    assert {(v.streams, v.batch_size, v.static) for v in variants if v.form == "int8"} == {
        *((1, 1, True), (2, 1, True), (2, 8, True)),
    }
    assert {(v.batch_size, v.static) for v in variants if v.form == "fp32"} == {
        *((1, True), (4, True), (8, True), (1, False), (8, False)),
    }


@pytest.mark.parametrize(
    ("what", "precision", "static", "name"),
    [
        ("fp32", "fp32", False, "fp32-s2t4-b8-dynamic"),
        ("fp32", "bf16", True, "bf16-s2t4-b8"),
        ("pruned", "bf16", True, "pruned-bf16-s2t4-b8"),
        ("pruned-int8-mixed", "int8", True, "pruned-int8-mixed-s2t4-b8"),
    ],
)
def test_a_name_says_form_precision_streams_threads_batch_and_shape(
    what: str, precision: str, static: bool, name: str
) -> None:
    variant = Variant(
        form=what, precision=precision, streams=2, threads=4, batch_size=8, static=static
    )
    assert variant.name == name


@given(VARIANTS)
def test_fixed_shapes_serve_any_batch_in_few_calls(variant: Variant) -> None:
    sizes = variant.static_batch_sizes
    if not variant.static:
        assert sizes == ()
        return
    assert sizes[0] == variant.batch_size
    assert sizes == tuple(sorted(set(sizes), reverse=True))
    for rows in range(1, variant.batch_size + 1):
        calls, left = 0, rows
        for size in sizes:
            calls, left = calls + left // size, left % size
        assert left == 0
        assert calls <= variant.batch_size.bit_length(), "one call a binary digit"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, tiny_onnx: onnx.ModelProto) -> Path:
    """A folder with model.onnx and the IR that was compiled from it."""
    folder = tmp_path_factory.mktemp("compiled")
    onnx.save(tiny_onnx, folder / "model.onnx")
    openvino.compile_model(folder / "model.onnx", folder)
    return folder


SMALL = list_variants((FP32,), cores=2, has_bf16=False, max_batch_size=4, static=True)
X = np.random.default_rng(3).normal(size=(7, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def reference(compiled: Path) -> np.ndarray:
    """What ONNX Runtime answers to X."""
    return onnxruntime.open_engine(compiled / "model.onnx", 1).answer({"x": X})["logits"]


def test_the_ir_keeps_its_weights_in_fp32(compiled: Path, tiny_weights: np.ndarray) -> None:
    assert (compiled / "model.bin").stat().st_size >= tiny_weights.nbytes
    assert tiny_weights.tobytes() in (compiled / "model.bin").read_bytes()


@pytest.mark.parametrize("variant", SMALL, ids=lambda variant: variant.name)
def test_an_fp32_variant_answers_any_number_of_rows_as_onnx_runtime_does(
    compiled: Path, reference: np.ndarray, variant: Variant
) -> None:
    engine = openvino.open_engine(compiled / "model.xml", variant)
    for count in (1, 4, 7):
        got = engine.answer({"x": X[:count]})["logits"]
        # Float32 sums of eight products in another order.
        np.testing.assert_allclose(got, reference[:count], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", SMALL, ids=lambda variant: variant.name)
def test_a_single_row_is_answered_alike(
    compiled: Path, reference: np.ndarray, variant: Variant
) -> None:
    engine = openvino.open_engine(compiled / "model.xml", variant)
    answer = engine.single({"x": X[:1]})
    (logits,) = answer.values()  # type: ignore[attr-defined]
    # As above.
    np.testing.assert_allclose(logits, reference[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", SMALL, ids=lambda variant: variant.name)
def test_a_variant_answers_a_single_row_by_an_engine_that_is_like_it(
    compiled: Path, variant: Variant
) -> None:
    like = next(one for one in SMALL if one.single == variant.single)
    first = openvino.open_engine(compiled / "model.xml", like)
    second = openvino.open_engine(compiled / "model.xml", variant, first)
    one, other = (engine.single({"x": X[:1]}) for engine in (first, second))
    # Its very memory: OpenVINO's requests answer in their own.
    assert np.shares_memory(one["logits"], other["logits"])  # type: ignore[index]


def in_time(work: Callable[[], None]) -> None:
    """Runs `work`; fails where it hangs, which it would do for ever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive(), "hangs"


@pytest.mark.parametrize("variant", SMALL, ids=lambda variant: variant.name)
def test_answering_takes_no_request_away_from_those_that_are_timed(
    compiled: Path, reference: np.ndarray, variant: Variant
) -> None:
    engine = openvino.open_engine(compiled / "model.xml", variant)
    batch = {"x": X[: variant.batch_size]}

    def work() -> None:
        engine.answer({"x": X})
        for _ in range(50):
            engine.start(batch)
        engine.finish()

    in_time(work)
    # As above; and what was timed has not changed what is answered.
    np.testing.assert_allclose(engine.answer({"x": X})["logits"], reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", SMALL, ids=lambda variant: variant.name)
def test_callers_arrays_stay_as_they_were(compiled: Path, variant: Variant) -> None:
    engine = openvino.open_engine(compiled / "model.xml", variant)
    x = X.copy()
    for _ in range(2):
        engine.start({"x": x[: variant.batch_size]})
        engine.finish()
        engine.answer({"x": x[::-1].copy()})
        engine.single({"x": x[:1]})
    np.testing.assert_array_equal(x, X)


def test_finishing_what_was_never_begun_returns(compiled: Path) -> None:
    in_time(OpenVinoEngine(compiled / "model.xml", SMALL[0]).finish)


@given(VARIANTS, st.integers(1, 9))
def test_a_config_has_an_instance_for_every_stream_and_serves_that_version(
    tiny_recipe: str, variant: Variant, version: int
) -> None:
    text = tiny_recipe.replace("max_batch_size = 2", f"max_batch_size = {variant.batch_size}")
    config = serving_config(variant, "tiny", parse_recipe(text), (version,)).message
    assert sum(group.count for group in config.instance_group) == variant.streams
    priorities = [group.rate_limiter.priority for group in config.instance_group]
    assert priorities == sorted(set(priorities)), "the first instance has the first turn"
    assert (config.name, config.backend) == ("tiny", "openvino")
    assert list(config.version_policy.specific.versions) == [version]
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert parameters["INFERENCE_NUM_THREADS"] == str(variant.threads)
    assert parameters.get("HINT_BF16", "NO") == ("YES" if variant.precision == "bf16" else "NO")
    sizes = tuple(int(one) for one in parameters.get("STATIC_BATCH_SIZES", "").split(",") if one)
    assert sizes == variant.static_batch_sizes


@given(VARIANTS)
def test_every_batch_size_that_is_compiled_is_warmed_up(tiny_recipe: str, variant: Variant) -> None:
    text = tiny_recipe.replace("max_batch_size = 2", "max_batch_size = 128")
    recipe = parse_recipe(text)
    rows = warm_up.zeros([tensor.spec for tensor in recipe.inputs])
    config = serving_config(variant, "tiny", recipe, (1,), warm_up_rows=rows).message
    sizes = [one.batch_size for one in config.model_warmup]
    assert sizes == sorted(variant.static_batch_sizes or (1, 128))
    # Only where a larger batch would be cut into pieces of several sizes.
    is_cut = variant.static and 1 < variant.batch_size < 128
    preferred = [variant.batch_size] if is_cut else []
    assert list(config.dynamic_batching.preferred_batch_size) == preferred


def test_a_config_names_the_labels_of_its_output(tiny_recipe: str) -> None:
    labelled = tiny_recipe.replace("shape = [4]", 'shape = [4]\nlabels = "labels.txt"')
    for text, labels in ((labelled, "labels.txt"), (tiny_recipe, "")):
        config = serving_config(SMALL[0], "tiny", parse_recipe(text), (1,))
        assert [output.label_filename for output in config.message.output] == [labels]
