"""What was given as calls to the model, each by itself; a model that keeps state gets sequences."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.infer.connection import connected
from plansmith.infer.inputs import Input, input_of
from plansmith.infer.reading import Reader, text

if TYPE_CHECKING:
    from plansmith_client import Model, ModelMetadata, Ranked

# What most speech models are trained on.
RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server said of one input: ranked classes of each item, or the outputs as they are.

    `source`: the file, or what was given in place of one. `classes` is empty where the model's
    output has no labels on the server.
    """

    source: str
    classes: tuple[tuple[Ranked, ...], ...]
    outputs: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The inputs of one call; of a model that keeps state, those of a sequence of them."""

    source: str
    inputs: Mapping[str, NDArray[Any]]


def ask(
    model: str,
    given: Sequence[str | Path],
    *,
    url: str,
    top: int,
    timeout_s: float,
    texts: Sequence[str] = (),
    version: int | None = None,
    rate_hz: int = RATE_HZ,
    stdin: BinaryIO | None = None,
) -> tuple[Answer, ...]:
    """The answers to what is `given`, in order, then to the `texts`.

    Each of `given` is a file, "-" for stdin, or NAME=VALUE or NAME=FILE for an input of that name,
    which then goes with every call. A model that streams gives any number of answers to a call.
    Raises UnusableInput for a file that cannot be read or that does not fit the model, and for a
    model that is not there; LacksSomething without the client; PlansmithError where the server
    cannot be reached or fails.
    """
    with connected(url, timeout_s) as client:
        served = client.model(model, version)
        metadata = served.metadata()
        known = tuple(input_of(metadata, spec) for spec in metadata.inputs)
        reader = Reader(known, rate_hz=rate_hz, stdin=stdin or sys.stdin.buffer)
        requests = requests_of([str(one) for one in given], texts, metadata, reader)
        return tuple(_answers(served, metadata, requests, top))


def requests_of(
    given: Sequence[str], texts: Sequence[str], metadata: ModelMetadata, reader: Reader
) -> list[Request]:
    """What to send. Raises UnusableInput."""
    shared: dict[str, NDArray[Any]] = {}
    words: list[str] = []
    for word in given:
        wanted = next((one for one in reader.known if word.startswith(f"{one.name}=")), None)
        if wanted is None:
            _check_is_no_input(word, metadata)
            words.append(word)
        elif wanted.name in shared:
            raise UnusableInput(f"{word}: {wanted.name} was given before")
        else:
            shared[wanted.name] = reader.value(word.removeprefix(f"{wanted.name}="), wanted)
    requests: list[Request] = []
    for word in words:
        content = reader.content(word)
        inputs = reader.several(content)
        if inputs is None:
            wanted = _remaining(metadata, shared, reader, word)
            inputs = {wanted.name: reader.single(content, wanted)}
        requests.append(Request(source=word, inputs={**shared, **inputs}))
    for written in texts:
        wanted = _remaining(metadata, shared, reader, written)
        inputs = {**shared, wanted.name: text(written.encode(), wanted)}
        requests.append(Request(source=written, inputs=inputs))
    if not requests:
        if not shared:
            raise UnusableInput(f"{metadata.name}: nothing to send: give a file, or --text")
        requests.append(Request(source=" ".join(given), inputs=shared))
    return requests


def _check_is_no_input(word: str, metadata: ModelMetadata) -> None:
    name, sign, _ = word.partition("=")
    if sign and not Path(word).is_file():
        names = ", ".join(spec.name for spec in metadata.inputs)
        fact = f"{metadata.name} has {names}, no input {name!r}"
        raise UnusableInput(f"{word}: {fact}; nor is there such a file")


def _remaining(
    metadata: ModelMetadata, shared: Mapping[str, object], reader: Reader, word: str
) -> Input:
    """The input that what has no name is for: the only one, or the only one that is needed."""
    specs = [spec for spec in metadata.inputs if spec.name not in shared]
    needed = [spec for spec in specs if not spec.optional]
    found = specs if len(specs) == 1 else needed
    if len(found) != 1:
        names = ", ".join(spec.name for spec in specs) or "no input left"
        fix = f"give them by name, as {specs[0].name}={word}" if specs else "leave it out"
        raise UnusableInput(f"{word}: {metadata.name} has {names}: {fix}")
    return next(one for one in reader.known if one.name == found[0].name)


def _answers(
    served: Model, metadata: ModelMetadata, requests: Sequence[Request], top: int
) -> Iterator[Answer]:
    labelled = _ranks(metadata)
    for request in requests:
        source, inputs = request.source, request.inputs
        if labelled and len(inputs) == 1:
            (array,) = inputs.values()
            classes = _classes(served, array, top)
            if classes and (labelled := _has_labels(classes)):
                yield Answer(source=source, classes=classes, outputs={})
                continue
        found = _in_sequence(served, metadata, inputs) if metadata.stateful else None
        if found is None:
            found = served.stream(inputs) if metadata.decoupled else [served.infer(inputs)]
        for outputs in found:
            yield Answer(source=source, classes=(), outputs=outputs)


def _classes(served: Model, array: NDArray[Any], top: int) -> tuple[tuple[Ranked, ...], ...]:
    """None where there are values that have no rank: NaN and infinity."""
    from plansmith_client import ServerFault

    try:
        return tuple(tuple(item) for item in served.classify(array, top=top))
    except ServerFault as error:
        if error.status is not None:
            raise
        return ()


def _has_labels(classes: tuple[tuple[Ranked, ...], ...]) -> bool:
    """As of one input, so of all: labels are the model's."""
    return any(one.label is not None for item in classes for one in item)


def _ranks(metadata: ModelMetadata) -> bool:
    """Whether the only output may be class scores: one row of numbers for each item, at once."""
    from plansmith_client.classification import RANKED_DTYPES

    if metadata.decoupled or metadata.stateful or len(metadata.outputs) != 1:
        return False
    if metadata.max_batch_size is None:
        # Perhaps no Triton, which alone ranks classes.
        return False
    (output,) = metadata.outputs
    rank = 1 + input_of(metadata, output).batched
    return output.dtype in RANKED_DTYPES and len(output.shape) == rank


def _in_sequence(
    served: Model, metadata: ModelMetadata, inputs: Mapping[str, NDArray[Any]]
) -> list[Mapping[str, NDArray[Any]]]:
    """The answers to the items of `inputs`, one after another as the steps of one sequence.

    Joined along their first axis where they are alike.
    """
    from plansmith_client import SequenceStep

    steps = list(steps_of(metadata, inputs))
    id_ = served.sequence().id
    answers: list[Mapping[str, NDArray[Any]]] = []
    for place, feed in enumerate(steps):
        step = SequenceStep(id=id_, start=place == 0, end=place == len(steps) - 1)
        if metadata.decoupled:
            answers += served.stream(feed, sequence=step)
        else:
            answers.append(served.infer(feed, sequence=step))
    return _joined(answers, batched=bool(metadata.max_batch_size))


def steps_of(
    metadata: ModelMetadata, inputs: Mapping[str, NDArray[Any]]
) -> Iterator[dict[str, NDArray[Any]]]:
    """One item of each input after another; of an input with a single item always that one.

    Raises UnusableInput for inputs that have different numbers of them, or none.
    """
    axes = {spec.name: len(spec.shape) for spec in metadata.inputs}
    # Without a batch axis in the model's shape, several items have one more axis than it.
    batched = bool(metadata.max_batch_size)
    many = {
        name: array if batched or array.ndim > axes.get(name, array.ndim) else array[None]
        for name, array in ((name, np.atleast_1d(one)) for name, one in inputs.items())
    }
    counts = {name: len(array) for name, array in many.items()}
    count = max(counts.values(), default=0)
    if not count:
        raise UnusableInput(f"{metadata.name}: there are no items to send")
    if not set(counts.values()) <= {1, count}:
        shown = ", ".join(f"{name} {items}" for name, items in counts.items())
        raise UnusableInput(f"{metadata.name}: the inputs have different numbers of steps: {shown}")
    for place in range(count):
        at = {name: place if items > 1 else 0 for name, items in counts.items()}
        yield {
            name: array[at[name] : at[name] + 1] if batched else array[at[name]]
            for name, array in many.items()
        }


def _joined(
    answers: list[Mapping[str, NDArray[Any]]], *, batched: bool
) -> list[Mapping[str, NDArray[Any]]]:
    kinds = [{name: (one.dtype, one.shape) for name, one in answer.items()} for answer in answers]
    if len(answers) < 2 or any(kind != kinds[0] for kind in kinds):
        return answers
    join = np.concatenate if batched else np.stack
    return [{name: join([answer[name] for answer in answers]) for name in answers[0]}]
