"""The reader of config.pbtxt: agrees with protobuf's own, and tells where everything stands."""

from __future__ import annotations

import random
import re

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from plansmith.config.message import ModelConfig
from plansmith.config.parsing import BadConfig, parse

TEXT = """\
# a comment
name: "fi" 'rst';
max_batch_size: 0x10
input [
  { name: "x", data_type: TYPE_FP32, dims: [ -1, 3 ] },
  < name: "y" data_type: 8 dims: 017 dims: 2 >
]
parameters { key: "K" value: { string_value: "v" } }
parameters {
  key: "L"
  value { string_value: "\\x41\\u00e9\\101\\n" }
}
dynamic_batching {
  preferred_batch_size: [ 1, 2 ]
}
"""


def _protobuf(text: str) -> ModelConfig | None:
    """What protobuf's own Python reader makes of `text`, None where it refuses."""
    try:
        return text_format.Parse(text, ModelConfig())
    except (text_format.ParseError, ValueError, UnicodeError):
        return None


def _ours(text: str) -> ModelConfig | None:
    try:
        return parse(text, "config.pbtxt").message
    except BadConfig:
        return None


def _lines(text: str) -> dict[str, int]:
    found = parse(text, "config.pbtxt").lines
    return {".".join(str(part) for part in path): line for path, line in found.items()}


def test_all_of_the_syntax_gives_the_message_that_protobuf_gives() -> None:
    assert _ours(TEXT) == _protobuf(TEXT) is not None


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 2),
        ("max_batch_size", 3),
        ("input", 4),
        ("input.0", 5),
        ("input.0.dims", 5),
        ("input.0.dims.1", 5),
        ("input.1.data_type", 6),
        ("input.1.dims.1", 6),
        ("parameters.K", 8),
        ("parameters.K.string_value", 8),
        ("parameters.L", 9),
        ("parameters.L.string_value", 11),
        ("dynamic_batching.preferred_batch_size", 14),
    ],
)
def test_the_line_of_a_field_is_known(path: str, line: int) -> None:
    assert _lines(TEXT)[path] == line


def test_the_line_of_what_is_not_there_is_that_of_what_is_around_it() -> None:
    found = parse(TEXT, "config.pbtxt")
    assert found.line_of(("input", 1, "reshape", "shape")) == 6
    assert found.line_of(("output",)) == 1


def test_a_span_cuts_a_field_out_of_the_text() -> None:
    found = parse(TEXT, "config.pbtxt")

    def cut(*path: str | int) -> str:
        span = found.spans[path]
        return TEXT[span.start : span.end]

    assert cut("name") == "name: \"fi\" 'rst';"
    assert cut("dynamic_batching", "preferred_batch_size") == "preferred_batch_size: [ 1, 2 ]"
    assert cut("parameters", "K") == 'parameters { key: "K" value: { string_value: "v" } }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n max_batchsize: 3", "f:2:2: max_batchsize: did you mean max_batch_size?"),
        ('name "x"', "f:1:6: expected ':' after 'name', not '\"x\"'"),
        ("input { name: 'x'", "f:1:7: '{' is not closed: expected '}' before the text ends"),
        ("max_batch_size: 4k", "f:1:17: max_batch_size: 4k is not a whole number of 32 bits"),
        ("max_batch_size: 3000000000", "f:1:17: max_batch_size: 3000000000 is not a whole"),
        ('name: "x', "f:1:7: name: expected a string that ends on its line"),
        ("name: x", "f:1:7: name: expected a string in quotes, not 'x'"),
        ("input { data_type: TYPE_FP3 }", "f:1:20: data_type: TYPE_FP3 is not one of"),
        ("input { optional: maybe }", "f:1:19: optional: maybe is not true or false"),
        ('name: "a" name: "b"', "f:1:11: name: is set twice"),
        ("dynamic_batching {} sequence_batching {}", "sequence_batching: stands beside dynamic_"),
        ("input { dims: [ 1 2 ] }", "f:1:19: expected ',' or ']' in 'dims', not '2'"),
        ('name: "\\q"', 'f:1:7: name: "\\q" has an unknown escape'),
        ('name: "\\xff"', "f:1:7: name: is not UTF-8"),
        ("{ }", "f:1:1: expected the name of a field, not '{'"),
        ("input 3", "f:1:7: expected '{' after 'input', not '3'"),
        ("max_batch_size:", "f:1:16: max_batch_size: nothing is not a whole number of 32 bits"),
        ("dims: 1", "f:1:1: dims: "),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse(text, "f")
    assert message in str(caught.value)


# What the C++ parser, which is Triton's, takes or refuses otherwise than the Python one. Each was
# tried on the embedded server.
@pytest.mark.parametrize(
    ("text", "taken", "why"),
    [
        ("max_batch_size: - 1", True, "the sign is a token of its own"),
        ("\ufeffmax_batch_size: 1", True, "a byte order mark is skipped"),
        ("input { optional: 0x1 }", True, "a bool is any way to write 0 or 1"),
        ("model_metrics { metric_control { histogram_options { buckets: .5 } } }", True, "as ever"),
        ("max_batch_size: 1_000", False, "digits have no underscores"),
        ("max_batch_size: 0b1", False, "there are no binary numbers"),
        ("max_batch_size: +1", False, "there is no plus sign"),
        ("max_batch_size:\u00a01", False, "only ASCII has spaces"),
    ],
)
def test_where_the_parsers_differ_ours_is_the_servers(text: str, taken: bool, why: str) -> None:
    assert (_ours(text) is not None) == taken, why


def _field_texts() -> st.SearchStrategy[str]:
    """Texts of fields of every kind, most of them legal, in any order and layout."""
    number = st.one_of(
        st.integers(-(2**33), 2**33).map(str),
        st.integers(0, 2**33).map(hex),
        st.sampled_from(["007", "08", "0", "1.5", "1f", "inf", "true"]),
    )
    quoted = st.text(st.characters(codec="utf-8", exclude_characters='"\\\n\r\0'), max_size=6).map(
        lambda text: f'"{text}"'
    )
    flag = st.sampled_from(["true", "false", "t", "f", "1", "0", "True", "yes", "2"])
    kind = st.sampled_from(["TYPE_FP32", "TYPE_STRING", "11", "99", "TYPE_NONE"])
    space = st.sampled_from([" ", "\n", "\t", " # note\n", ""])
    sizes = st.lists(number, max_size=3).map(lambda numbers: f"[{', '.join(numbers)}]")
    tensor = st.builds(
        "{{{}name: {}{} data_type: {}, dims: {}; {}}}".format,
        space, quoted, space, kind, sizes, space,
    )  # fmt: skip
    field = st.one_of(
        quoted.map("name: {}".format),
        number.map("max_batch_size: {}".format),
        st.lists(tensor, min_size=1, max_size=2).map(lambda all_: f"input [ {', '.join(all_)} ]"),
        tensor.map("output {}".format),
        flag.map("model_transaction_policy < decoupled: {} >".format),
        st.tuples(quoted, quoted).map(
            lambda pair: f"parameters {{ key: {pair[0]} value {{ string_value: {pair[1]} }} }}"
        ),
        st.tuples(number, number).map(
            lambda pair: (
                "dynamic_batching { priority_queue_policy { key: "
                f"{pair[0]} value {{ max_queue_size: {pair[1]} }} }} }}"
            )
        ),
        number.map(
            "sequence_batching {{ direct {{ minimum_slot_utilization: {} }} }}".format
        ),
    )  # fmt: skip
    separator = st.sampled_from([" ", "\n", ", ", ";", "\n\n# note\n"])
    return st.lists(st.tuples(field, separator), max_size=5).map(
        lambda parts: "".join(text + between for text, between in parts)
    )


@given(_field_texts())
def test_generated_texts_mean_what_protobuf_takes_them_for(text: str) -> None:
    theirs, ours = _protobuf(text), _ours(text)
    assert (ours is None) == (theirs is None)
    assert ours is None or str(ours) == str(theirs)


# Of the differences above the one that a mutation makes: a sign apart from its number.
_SIGN_APART = re.compile(r"-[\s#]")


@given(_field_texts(), st.integers(0, 2**32))
def test_mutated_texts_are_refused_by_both_or_neither(text: str, seed: int) -> None:
    chance = random.Random(seed)
    letters = list(text) or [" "]
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(letters))
        letters[place] = chance.choice(["", letters[place] * 2, *'{}[]<>:,;"0a# \n'])
    mutated = "".join(letters)
    theirs, ours = _protobuf(mutated), _ours(mutated)
    if not _SIGN_APART.search(mutated):
        assert (ours is None) == (theirs is None)
        assert ours is None or str(ours) == str(theirs)
