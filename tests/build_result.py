"""What `make build` must have come to on any machine, however slow: `build_result.py REPOSITORY`.

Speeds are printed, not judged: a machine that others share proves nothing by one run.
"""

from __future__ import annotations

import sys
from pathlib import Path

from plansmith.manifest import Manifest, TargetBuild, rate
from plansmith.repository import ModelFolder
from plansmith.statistics import ratio_interval

TARGETS = ("cpu", "tensorrt-rtx")
CAPABILITIES = {"8.6", "8.9"}


def main(repository: Path) -> None:
    """Raises AssertionError where a model is not what it has to be."""
    manifests = {name: _latest(repository / name) for name in MODELS}
    for name, check in MODELS.items():
        manifest = manifests[name]
        assert manifest.targets == TARGETS, (name, manifest.targets)
        for build in manifest.builds:
            _check_any(name, build)
        check(manifest)
        print(f"{name}: {_said(manifest.on('cpu'))}")


def _latest(folder: Path) -> Manifest:
    found = ModelFolder(path=folder).latest()
    assert found is not None, f"{folder}: nothing was published"
    return found


def _check_any(name: str, build: TargetBuild) -> None:
    assert build.chosen.fidelity is not None, (name, build.target)
    for trial in build.trials:
        assert trial.reason, (name, trial)
        assert trial.verdict in ("chosen", "kept", "refused", "reference", "baseline"), trial
    if build.target == "tensorrt-rtx":
        built_for = {one for passport in build.passports for one in passport.compute_capabilities}
        assert built_for == CAPABILITIES, (name, built_for)
        plans = [one for one in build.artifacts if one.path.endswith(".plan")]
        assert len(plans) == len(CAPABILITIES), (name, build.artifacts)


def _check_digits(manifest: Manifest) -> None:
    build = manifest.on("cpu")
    chosen, trained = build.form(build.chosen.form), build.form("fp32")
    assert chosen.parent is not None
    # A quantised form has the multiply-accumulates of the one that it was made from.
    macs = chosen.macs or build.form(chosen.parent).macs
    assert macs is not None
    assert trained.macs is not None
    assert trained.macs >= 3 * macs, (trained.macs, macs)
    fidelity = build.chosen.fidelity
    assert fidelity is not None
    assert fidelity.labelled is not None
    assert fidelity.labelled.drop_high <= 0.005, fidelity.labelled


def _check_efficientnet(manifest: Manifest) -> None:
    fidelity = manifest.on("cpu").chosen.fidelity
    assert fidelity is not None
    assert fidelity.top1_agreement >= 0.99, fidelity
    assert fidelity.count >= 300, fidelity
    sizes = {trial.form: trial.size_bytes for trial in manifest.on("tensorrt-rtx").trials}
    assert sizes["int8"] <= 0.75 * sizes["fp32"], sizes


def _check_magika(manifest: Manifest) -> None:
    refused = {form.name: form.refused for form in manifest.on("tensorrt-rtx").forms}
    assert "overflows FP16" in refused["fp16"], refused


MODELS = {
    "digits_cnn": _check_digits,
    "efficientnet_lite0": _check_efficientnet,
    "magika": _check_magika,
}


def _said(build: TargetBuild) -> str:
    chosen, reference = build.chosen, build.fastest("reference")
    assert chosen.throughput is not None
    assert chosen.latency is not None
    assert reference is not None
    assert reference.throughput is not None
    assert reference.latency is not None
    rates = ratio_interval(chosen.throughput.rates_per_s, reference.throughput.rates_per_s)
    times = ratio_interval(reference.latency.round_p50_ms, chosen.latency.round_p50_ms)
    return (
        f"{chosen.name}: {rate(chosen):.1f} items/s, {rates.median:.2f}x ({rates.low:.2f}-"
        f"{rates.high:.2f}) {reference.name}; one request {times.median:.2f}x ({times.low:.2f}-"
        f"{times.high:.2f}) as fast"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
