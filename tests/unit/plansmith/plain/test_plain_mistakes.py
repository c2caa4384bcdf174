"""Mistakes in the recipe of a model that is served as it is: each with its line and the fix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain_recipes import ENSEMBLE, PYTHON, STATEFUL
from plansmith.errors import BadRecipe
from plansmith.recipe.parser import parse_recipe
from plansmith.recipe.reader import line_of


def problems_of(text: str) -> list[str]:
    with pytest.raises(BadRecipe) as caught:
        parse_recipe(text, "r.toml")
    return [str(problem) for problem in caught.value.problems]


def line(text: str, start: str) -> int:
    """Where the line of `text` is that begins so."""
    return next(n for n, one in enumerate(text.splitlines(), 1) if one.startswith(start))


@pytest.mark.parametrize("section", ["data", "budget", "prune", "quantize", "tensorrt"])
def test_sections_of_variants_are_refused_on_their_line_with_the_reason(section: str) -> None:
    for text in (STATEFUL, PYTHON, ENSEMBLE):
        (problem,) = problems_of(f"{text}[{section}]\n")
        last = len(text.splitlines()) + 1
        assert problem.startswith(f"r.toml:{last}: {section}: has no place here: a model that is")
        assert "no variants to choose among" in problem


@pytest.mark.parametrize("section", ["golden", "sequence"])
def test_an_optimised_recipe_has_no_place_for_sections_of_the_others(section: str) -> None:
    text = STATEFUL.replace("as_trained = true\n", "").replace('backend = "onnxruntime"\n', "")
    found = [one for one in problems_of(text) if f": {section}: goes with source." in one]
    assert found
    assert found[0].startswith(f"r.toml:{line(text, f'[{section}]')}:")


EXPECTED = {
    "golden: missing": (STATEFUL, '[golden]\nsamples = "source.py:golden"', "[other]\na = 1"),
    'source.backend: is "tensorrt"; expected one of openvino, onnxruntime': (
        STATEFUL,
        'backend = "onnxruntime"',
        'backend = "tensorrt"',
    ),
    'source.as_trained: is "yes"; expected true': (STATEFUL, "= true", '= "yes"'),
    "golden.max_deviation: is -1": (STATEFUL, "1e-4", "-1"),
    "golden.samples: is": (STATEFUL, '"source.py:golden"', '"golden.npz"'),
    "targets.order: is ['tensorrt']; expected [\"cpu\"]": (STATEFUL, '["cpu"]', '["tensorrt"]'),
    "targets.max_batch_size: is -1; expected a whole number, 0 for": (PYTHON, "= 0", "= -1"),
    'source.python: is "a/b.py"; expected a .py file': (PYTHON, "own.py", "a/b.py"),
    'source.calls: is "one"; expected a list': (PYTHON, '["one", "other"]', '"one"'),
    "source.decoupled: is 1; expected true or false": (PYTHON, "decoupled = true", "decoupled = 1"),
    "source.onnx: unknown key": (PYTHON, "decoupled = true", 'onnx = "m.onnx"'),
    "source.ensemble: clashes with source.python": (
        PYTHON,
        "decoupled = true",
        "ensemble = true",
    ),
    'input.text.dtype: is "strings"; expected one of': (PYTHON, '"bytes"', '"strings"'),
    "sequence.strategy: is": (STATEFUL, '"oldest"', '"newest"'),
    "targets.max_batch_size: is 2147483648; expected": (PYTHON, "= 0", "= 2147483648"),
    "sequence.max_idle_ms: is 0.0001; expected": (STATEFUL, "2500.5", "0.0001"),
    "sequence.max_idle_ms: is 1e+30; expected": (STATEFUL, "2500.5", "1e30"),
    "sequence.max_idle_ms: missing": (STATEFUL, "max_idle_ms = 2500.5\n", ""),
    'sequence.max_candidates: goes with strategy = "oldest"': (STATEFUL, '"oldest"', '"direct"'),
    "sequence: needs targets.max_batch_size from 1": (STATEFUL, "= 4", "= 0"),
    "sequence.states.state: there is no [output.y2]": (STATEFUL, '"next_state" }', '"y2" }'),
    "sequence.states.state: is float32 [3], but y, which it takes its next value from": (
        STATEFUL,
        '"next_state" }',
        '"y" }',
    ),
    "sequence.controls.start: there is no [input.z]": (STATEFUL, '= "start" }', '= "z" }'),
    "sequence.controls.start: x is float32 [2]; expected int32 or": (
        STATEFUL,
        '= "start" }',
        '= "x" }',
    ),
    "sequence.controls.begin: unknown key": (STATEFUL, "{ start =", "{ begin ="),
    "sequence: leaves callers no input": (
        STATEFUL,
        '[input.x]\ndtype = "float32"\nshape = [2]\n',
        "",
    ),
    "sequence.states: goes with source.as_trained alone": (
        PYTHON,
        "[slo]",
        '[sequence]\nstrategy = "direct"\nmax_idle_ms = 1\nstates = { text = "ids" }\n[slo]',
    ),
    "step.2.model: missing": (ENSEMBLE, 'model = "other"\n', ""),
    'step.2.modell: unknown key (nearest: "model")': (ENSEMBLE, "version =", "modell ="),
    "step.1.inputs: a = 'z': no input and no step gives it": (ENSEMBLE, '"x" }', '"z" }'),
    "input.x: no step reads it": (ENSEMBLE, 'a = "x"', 'a = "middle"'),
    "step.1.outputs: b = 'x': that is an input of the ensemble": (
        ENSEMBLE,
        'b = "middle"',
        'b = "x"',
    ),
    "step.2.outputs: d = 'middle': step 1 writes it too": (ENSEMBLE, 'd = "y"', 'd = "middle"'),
    "output.y: no step writes it": (ENSEMBLE, 'd = "y"', 'd = "z"'),
    "step.2.outputs: d = 'z': nothing reads it": (ENSEMBLE, 'd = "y"', 'd = "z"'),
    "step.1: steps wait for each other in a loop: 1 (one), 2 (other)": (
        ENSEMBLE,
        'a = "x"',
        'a = "x", e = "y"',
    ),
    "step: goes with source.ensemble alone": (PYTHON, "[slo]", '[[step]]\nmodel = "a"\n[slo]'),
    "sequence: has no place here: an ensemble": (ENSEMBLE, "[slo]", "[sequence]\n[slo]"),
    'slow: unknown key (nearest: "slo")': (ENSEMBLE, "[slo]", "[slow]\n[slo]"),
}


@pytest.mark.parametrize("told", EXPECTED)
def test_a_mistake_is_told_with_its_field_and_the_fix(told: str) -> None:
    text, old, new = EXPECTED[told]
    assert old in text
    changed = text.replace(old, new, 1)
    found = problems_of(changed)
    assert any(f": {told}" in problem for problem in found), found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("step",), 1),
        (("output",), 8),
        (("step", "1"), 1),
        (("step", "1", "model"), 2),
        (("step", "2", "inputs", "a"), 5),
        (("step", "2", "more", "b"), 7),
        (("step", "3"), 1),
        (("output", "a.b", "dtype"), 9),
    ],
)
def test_lines_of_lists_of_tables_and_of_quoted_names(path: tuple[str, ...], expected: int) -> None:
    text = (
        '[[step]]\nmodel = "a"\n\n[[step]]\ninputs = { a = "b" }\n[step.more]\nb = 1\n'
        '[output."a.b"]\ndtype = 1\n'
    )
    found = line_of(text, path)
    assert found == expected if path != ("step", "3") else found >= 1


def refused_lines(text: str) -> list[int]:
    """The lines of the problems; none where the text is a recipe."""
    try:
        parse_recipe(text, "r.toml")
    except BadRecipe as error:
        return [problem.line for problem in error.problems]
    return []


@given(st.lists(st.sampled_from(ENSEMBLE.splitlines()), max_size=40))
def test_shuffled_lines_are_read_or_refused_by_line(lines: list[str]) -> None:
    assert set(refused_lines("\n".join(lines))) <= set(range(1, max(1, len(lines)) + 1))
