"""The command line's values → one frozen LoadOptions, or every problem at once.

Pure, but for looking whether the named files are there.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from load_arrivals import Arrivals, ClosedLoop, OpenLoop, Window

# name, default, help. All are text for Locust, because its web form sends text; `parse` reads it.
ARGUMENTS = (
    ("model", None, "the model's name on the server (required)"),
    ("url", "localhost:8001", "the server's gRPC address"),
    ("concurrency", None, "closed loop: users, each with one request in flight"),
    ("rate", None, "open loop: requests per second, due whether or not others are answered"),
    ("max-in-flight", "256", "open loop: requests that may wait for an answer at once"),
    ("duration-s", "10", "measured seconds"),
    ("warmup-s", "2", "seconds of the same load before that, not counted"),
    ("batch-size", "1", "items per request"),
    ("p99-ms", None, "the SLO: p99 latency to keep to, in milliseconds (required)"),
    ("max-error-share", "0", "share of requests that may fail, 0 to 1"),
    ("timeout-s", "5", "seconds after which a request has failed"),
    ("input", None, "real samples along the first axis: .npy (one input), .npz (by input name)"),
    ("json", None, "file for the result"),
    ("seed", "0", "of the random samples sent where there is no --input"),
)
DEFAULTS = {name: default for name, default, _ in ARGUMENTS}
# Locust's own --json (its rounded statistics on stdout) keeps the attribute `json`.
ATTRIBUTES = {"json": "result_file", "input": "input_file"}


class BadOptions(ValueError):
    """Arguments that cannot be used; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """One run. `max_in_flight`: users of an open loop. `p99_ms`: the SLO."""

    model: str
    url: str
    arrivals: Arrivals
    window: Window
    max_in_flight: int
    batch_size: int
    p99_ms: float
    max_error_share: float
    timeout_s: float
    input_file: Path | None
    json_file: Path | None
    seed: int

    @property
    def users(self) -> int:
        """How many Locust users it takes."""
        if isinstance(self.arrivals, ClosedLoop):
            return self.arrivals.concurrency
        return self.max_in_flight


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Puts ARGUMENTS on Locust's parser, where --json takes the place of Locust's."""
    for name, default, text in ARGUMENTS:
        if name != "json":
            parser.add_argument(f"--{name}", dest=attribute(name), default=default, help=text)
    # Only a group of its own may take an option over. Locust's web form leaves groups out, which
    # suits a file's name; its main() reads `json` at the end, which went with the option.
    group = parser.add_argument_group("Result", conflict_handler="resolve")
    group.add_argument("--json", dest=attribute("json"), help="file for the result")
    parser.set_defaults(json=False)


def attribute(name: str) -> str:
    """Under which name Locust's parsed options hold the argument --`name`."""
    return ATTRIBUTES.get(name, name.replace("-", "_"))


def parse(values: Mapping[str, object]) -> LoadOptions:
    """`values`: Locust's parsed options. Raises BadOptions with every problem in one line."""
    read = _Reader(values)
    for name, what in (("model", "NAME"), ("p99-ms", "MILLISECONDS")):
        if read.text(name) is None:
            read.problems.append(f"--{name} {what} is missing")
    # A number that is 1 or 0 for want of a better one never leaves: its problem is raised below.
    options = LoadOptions(
        model=read.text("model") or "",
        url=read.text("url") or "",
        arrivals=_arrivals(read),
        window=Window(
            warmup_s=read.number("warmup-s", least=0) or 0,
            duration_s=read.number("duration-s", above=0) or 1,
        ),
        max_in_flight=read.whole("max-in-flight", least=1) or 1,
        batch_size=read.whole("batch-size", least=1) or 1,
        p99_ms=read.number("p99-ms", above=0) or 1,
        max_error_share=read.number("max-error-share", least=0, most=1) or 0,
        timeout_s=read.number("timeout-s", above=0) or 1,
        input_file=_input_file(read),
        json_file=_json_file(read),
        seed=read.whole("seed", least=0) or 0,
    )
    if read.problems:
        raise BadOptions("; ".join(read.problems))
    return options


class _Reader:
    """Reads one argument at a time and notes what is wrong; a wrong or absent one is None."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        value = self._values.get(attribute(name))
        return DEFAULTS[name] if value is None or value == "" else str(value)

    def number(
        self,
        name: str,
        *,
        least: float = -math.inf,
        above: float = -math.inf,
        most: float = math.inf,
    ) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and least <= value <= most and value > above:
            return value
        limits = [f"at least {least:g}"] if math.isfinite(least) else []
        limits += [f"above {above:g}"] if math.isfinite(above) else []
        limits += [f"at most {most:g}"] if math.isfinite(most) else []
        self.problems.append(f"--{name} {text}: not a number {' and '.join(limits)}")
        return None

    def whole(self, name: str, *, least: int) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if text.isdecimal() and int(text) >= least:
            return int(text)
        self.problems.append(f"--{name} {text}: not a whole number of at least {least}")
        return None


def _arrivals(read: _Reader) -> Arrivals:
    concurrency = read.whole("concurrency", least=1)
    rate_per_s = read.number("rate", above=0)
    given = [name for name in ("concurrency", "rate") if read.text(name) is not None]
    if len(given) == 2:
        read.problems.append("--concurrency (closed loop) and --rate (open loop): give one of them")
    if not given:
        read.problems.append("give --concurrency N (closed loop) or --rate PER_SECOND (open loop)")
    if rate_per_s is not None:
        return OpenLoop(rate_per_s=rate_per_s)
    return ClosedLoop(concurrency=concurrency or 1)


def _input_file(read: _Reader) -> Path | None:
    text = read.text("input")
    if text is None:
        return None
    path = Path(text)
    if path.suffix not in (".npy", ".npz"):
        read.problems.append(f"--input {path}: not a .npy or .npz file")
    elif not path.is_file():
        read.problems.append(f"--input {path}: no such file")
    return path


def _json_file(read: _Reader) -> Path | None:
    """Looked at before the run: a long run must not end without a place for its result."""
    text = read.text("json")
    if text is None:
        return None
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        read.problems.append(f"--json {path}: not a file in an existing folder")
    return path
