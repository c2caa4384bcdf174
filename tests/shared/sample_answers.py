"""Answers in the sample report: of pictures, of every served model, and of the showcase."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from plansmith.findings import (
    ModelKind,
    Prediction,
    Ranked,
    ServedCheck,
    ServedModel,
)
from plansmith.showcase.calls import Showcase
from plansmith.showcase.page import Line, Page
from plansmith.showcase.sentences import Likeness
from plansmith.showcase.speech import Hearing, Segment


def prediction_of(title: str, labels: tuple[str, ...], reference: tuple[int, str]) -> Prediction:
    """The picture is a gradient: what it shows does not matter, that it is shown does."""
    across, down = np.meshgrid(np.linspace(0, 255, 320), np.linspace(0, 255, 240))
    image = np.stack([across, down, np.full_like(across, 90 + 20 * len(title))], axis=-1)
    shares = (0.62, 0.21, 0.09, 0.04, 0.0004)
    return Prediction(
        title=title,
        caption="scikit-image, resized to 224 x 224.",
        image=image.astype(np.uint8),
        served=tuple(
            Ranked(index=281 + place, label=label, probability=share)
            for place, (label, share) in enumerate(zip(labels, shares, strict=True))
        ),
        reference_index=reference[0],
        reference_label=reference[1],
    )


def served_models() -> tuple[ServedModel, ...]:
    """One of each kind: an ensemble, one that keeps state, one that streams, one not checked."""

    def model(name: str, kind: ModelKind, rows: int, deviation: float, limit: float) -> ServedModel:
        check = ServedCheck(
            count=rows,
            batch_sizes=(1,),
            max_abs_deviation=deviation,
            tolerance=limit,
            passed=True,
            top1_agreement=62 / 64 if name == "efficientnet_lite0" else None,
        )
        return ServedModel(model=name, version=3, kind=kind, check=check, note="", failed=False)

    steps = ("sentence_tokenizer", "sentence_encoder")
    return (
        model("efficientnet_lite0", ModelKind(backend="openvino"), 64, 0.0021, 0.05),
        ServedModel(
            model="older",
            version=1,
            kind=ModelKind(backend="onnxruntime"),
            check=None,
            note="not checked: no golden answers",
            failed=False,
        ),
        model("sentence_embedding", ModelKind(backend="ensemble", calls=steps), 8, 3.1e-7, 1e-3),
        model("speech_activity", ModelKind(backend="onnxruntime", keeps_state=True), 240, 0, 1e-4),
        model(
            "speech_segments",
            ModelKind(backend="python", streams=True, calls=("speech_activity",)),
            *(2, 0.0, 0.033),
        ),
    )


def showcase() -> Showcase:
    """Three sentences, three seconds of sound with two segments, a page of two lines."""
    seconds = np.arange(94) * 0.032
    speaks = ((seconds > 0.5) & (seconds < 1.2)) | ((seconds > 1.9) & (seconds < 2.5))
    blank = Image.new("RGB", (320, 120), (250, 248, 240))
    png = io.BytesIO()
    blank.save(png, "PNG")
    return Showcase(
        sentences=Likeness(
            texts=("It is late.", "The hour is late.", "Cats sleep."),
            paraphrases=((0, 1),),
            cosines=((1.0, 0.8123, -0.0312), (0.8123, 1.0, 0.4), (-0.0312, 0.4, 1.0)),
        ),
        speech=Hearing(
            frame_s=0.032,
            peaks=tuple((0.02 + 0.4 * speaks).tolist()),
            probabilities=tuple((0.01 + 0.97 * speaks).tolist()),
            segments=(
                Segment(start_s=0.5, end_s=1.2, after_ms=81.2),
                Segment(start_s=1.9, end_s=2.5, after_ms=143.9),
            ),
            took_ms=171.5,
        ),
        page=Page(
            picture=png.getvalue(),
            width=320,
            height=120,
            written=("Total due", "12.50 EUR"),
            lines=(
                Line(
                    text="Total due", score=0.991, corners=((9, 20), (120, 18), (120, 40), (9, 42))
                ),
                Line(text="12.50EUR", score=0.95, corners=((9, 70), (130, 68), (130, 90), (9, 92))),
            ),
        ),
    )
