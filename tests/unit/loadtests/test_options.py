"""Every wrong argument is named at once, in one line; Locust's own arguments go on working."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from load_arrivals import ClosedLoop, OpenLoop
from load_options import BadOptions, add_arguments, parse

NEEDED = {"model": "m", "p99_ms": "50"}


def test_defaults() -> None:
    options = parse(NEEDED | {"rate": "12.5"})
    assert options.arrivals == OpenLoop(rate_per_s=12.5)
    assert (options.url, options.users, options.p99_ms) == ("localhost:8001", 256, 50)
    assert (options.window.warmup_s, options.window.duration_s, options.timeout_s) == (2, 10, 5)
    assert parse(NEEDED | {"concurrency": 3}).arrivals == ClosedLoop(concurrency=3)
    assert parse(NEEDED | {"concurrency": 3}).users == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": None}, "--model NAME is missing"),
        ({"p99_ms": ""}, "--p99-ms MILLISECONDS is missing"),
        ({"rate": "5"}, "give one of them"),
        ({"concurrency": None}, "give --concurrency N"),
        ({"concurrency": "0"}, "--concurrency 0: not a whole number of at least 1"),
        ({"concurrency": "2.5"}, "--concurrency 2.5: not a whole number"),
        ({"duration_s": "nan"}, "--duration-s nan: not a number above 0"),
        ({"warmup_s": "-1"}, "--warmup-s -1: not a number at least 0"),
        ({"max_error_share": "2"}, "--max-error-share 2: not a number at least 0 and at most 1"),
        ({"p99_ms": "fast"}, "--p99-ms fast"),
        ({"input_file": "no.npy"}, "no such file"),
        ({"input_file": "x.csv"}, "not a .npy or .npz file"),
        ({"result_file": "/no/such/folder/x.json"}, "not a file in an existing folder"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, str | None], message: str) -> None:
    with pytest.raises(BadOptions, match=message):
        parse(NEEDED | {"concurrency": "4"} | values)


def test_all_problems_come_at_once_in_one_line() -> None:
    with pytest.raises(BadOptions) as caught:
        parse({"rate": "x", "concurrency": "y", "seed": "-1"})
    message = str(caught.value)
    assert "\n" not in message
    for name in ("--model", "--rate", "--concurrency", "--seed"):
        assert name in message


def test_our_json_takes_the_place_of_locusts(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    add_arguments(parser)
    values = parser.parse_args(
        ["--model", "m", "--rate", "5", "--p99-ms", "9", "--json", str(tmp_path / "result.json")]
    )
    assert values.json is False
    assert parse(vars(values)).json_file == tmp_path / "result.json"
