"""Which variant is served, and why not each of the others. Pure: figures in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from plansmith.forms import PRECISIONS, Form, ancestors
from plansmith.gate import judge
from plansmith.manifest import Trial, rate
from plansmith.recipe import Budget
from plansmith.statistics import Interval, ratio_interval

# Two medians closer than this are the same whatever the rounds say.
TIE_SHARE = 0.03
# Noise excuses no more than this: a median further behind is slower, whatever one round reached.
NOISE_SHARE = 0.10
# "Faster" and "slower" are one-sided statements: a two-sided interval at 90 % proves each at 95 %.
# Five rounds are the fewest that can: see statistics.ratio_interval.
PROOF = 0.90
# Verdicts of trials that no version can serve.
OUTSIDE = ("reference", "baseline")


def choose(
    trials: Sequence[Trial],
    forms: Sequence[Form],
    budget: Budget,
    *,
    accept_not_measured: bool = False,
) -> tuple[Trial, ...]:
    """`trials` with a verdict and a reason on each variant; at most one is "chosen".

    A variant is a trial that is no reference or baseline. It is refused where the accuracy gate
    says so, or where it is proven slower than the fastest of its relatives that passed: those of
    weights and precision nearer to the trained model's. It is chosen only where it is proven
    faster than that one. What is refused already stays so. `forms` holds the form of every
    variant. Speeds in the reasons are against the fastest trial with verdict "reference".
    Where no variant's speed was measured the smallest that passed is chosen, if
    `accept_not_measured`. None chosen means that nothing passed.
    """
    exactness = _Exactness({form.name: form for form in forms})
    gated = [_gate(trial, budget) for trial in trials]
    if all(trial.throughput is None for trial in gated if trial.verdict not in OUTSIDE):
        return _choose_smallest(gated, exactness, accept_not_measured)
    reference = max((t for t in trials if t.verdict == "reference"), key=_by_rate, default=None)
    measured = [_against(_refuse_unmeasured(trial), reference) for trial in gated]
    kept = [trial for trial in measured if trial.verdict == "kept"]
    if not kept:
        return tuple(measured)
    relatives = {trial.name: exactness.fastest_relative(trial, kept) for trial in kept}
    judged = [_beside(trial, relatives.get(trial.name), exactness) for trial in measured]
    # Those with no relative left are among them: there is always one.
    able = {t.name for t in kept if (other := relatives[t.name]) is None or _beats(t, other)}
    fastest = max((trial for trial in kept if trial.name in able), key=_by_rate)
    chosen = min(
        (t for t in kept if t.name in able and _cannot_be_told_from(fastest, t)),
        key=lambda t: (t.batch_size, _latency_ms(t), exactness.rank(t), -rate(t), t.name),
    )
    return tuple(_rank(t, chosen, fastest) if t.name in able else t for t in judged)


class _Exactness:
    """Which trials are nearer to the trained model than others, by their forms."""

    def __init__(self, forms: dict[str, Form]) -> None:
        self._forms = forms

    def rank(self, trial: Trial) -> int:
        """0 for FP32; a less exact form, or a less exact way to run it, counts."""
        own = self._forms[trial.form].precision
        return max(PRECISIONS.index(own), PRECISIONS.index(trial.precision))

    def fastest_relative(self, trial: Trial, kept: Sequence[Trial]) -> Trial | None:
        """The fastest of `kept` that `trial` has to beat to be of use, or None."""
        found = [one for one in kept if self._is_nearer(one, trial)]
        return max(found, key=_by_rate, default=None)

    def most_exact(self, trials: Iterable[Trial]) -> Trial:
        """The one nearest to the trained model; of equals the first by name."""
        return min(trials, key=lambda t: (len(self._weights(t.form)), self.rank(t), t.name))

    def _is_nearer(self, one: Trial, other: Trial) -> bool:
        weights, lineage = self._weights(one.form)[0], self._weights(other.form)
        if weights not in lineage:
            return False
        is_ancestor = one.form in ancestors(self._forms, other.form)
        if weights != lineage[0]:
            return is_ancestor or self.rank(one) <= self.rank(other)
        ahead = self.rank(other) - self.rank(one)
        return ahead > 0 or (is_ancestor and ahead == 0)

    def _weights(self, form: str) -> tuple[str, ...]:
        """The FP32 forms among `form` and its ancestors, the nearest first: their weights differ.

        The forms below each are the same weights in another precision.
        """
        line = (form, *ancestors(self._forms, form))
        return tuple(name for name in line if self._forms[name].precision == "fp32") or line[-1:]


def _gate(trial: Trial, budget: Budget) -> Trial:
    if trial.verdict in (*OUTSIDE, "refused"):
        return trial
    if trial.fidelity is None:
        reason = "not proven: its answers were not compared with the original's"
        return replace(trial, verdict="refused", reason=reason)
    judgement = judge(trial.fidelity, budget)
    verdict = "kept" if judgement.passed else "refused"
    return replace(trial, verdict=verdict, reason=judgement.reason)


def _refuse_unmeasured(trial: Trial) -> Trial:
    if trial.verdict != "kept" or trial.throughput is not None:
        return trial
    reason = f"not proven: its speed was not measured, others' was; {trial.reason}"
    return replace(trial, verdict="refused", reason=reason)


def _beside(trial: Trial, relative: Trial | None, exactness: _Exactness) -> Trial:
    """`trial` refused where `relative` is proven faster; told where it is not proven slower."""
    if relative is None or _beats(trial, relative):
        return trial
    is_exact = exactness.rank(relative) <= exactness.rank(trial)
    ratio = _ratio(trial, relative)
    figures = (
        f"{'which is more exact' if is_exact else 'its ancestor'}: {ratio.median:.2f}x "
        f"({ratio.low:.2f}-{ratio.high:.2f}) its throughput; {trial.reason}"
    )
    if _beats(relative, trial):
        return replace(trial, verdict="refused", reason=f"slower than {relative.name}, {figures}")
    return replace(trial, reason=f"no faster beyond noise than {relative.name}, {figures}")


def _beats(one: Trial, other: Trial) -> bool:
    """Whether `one` is proven faster, by the rounds in which both were timed."""
    ratio = _ratio(one, other)
    return ratio.low > 1 and ratio.confidence >= PROOF


def _ratio(one: Trial, other: Trial) -> Interval:
    return ratio_interval(_rates(one), _rates(other))


def _rates(trial: Trial) -> tuple[float, ...]:
    return trial.throughput.rates_per_s if trial.throughput else ()


def _by_rate(trial: Trial) -> tuple[float, str]:
    return rate(trial), trial.name


def _latency_ms(trial: Trial) -> float:
    return trial.latency.p50_ms if trial.latency else float("inf")


def _cannot_be_told_from(fastest: Trial, trial: Trial) -> bool:
    """Whether noise alone may set `trial` behind `fastest`.

    On a machine that others share, the one that happened to be fastest would be chosen by chance.
    Of those that may be, the smaller batch and then the lower latency of one request is better.
    """
    behind = 1 - rate(trial) / rate(fastest)
    return behind <= TIE_SHARE or (behind <= NOISE_SHARE and not _beats(fastest, trial))


def _against(trial: Trial, reference: Trial | None) -> Trial:
    """The reason of a kept `trial` begins with its speed against `reference`, where measured."""
    if trial.verdict != "kept" or reference is None or reference.throughput is None:
        return trial
    speedup = f"{rate(trial) / rate(reference):.2f}x {reference.name}"
    return replace(trial, reason=f"{speedup}; {trial.reason}")


def _rank(trial: Trial, chosen: Trial, fastest: Trial) -> Trial:
    if trial.name == chosen.name:
        how = "fastest"
        if trial.name != fastest.name:
            how = f"as fast as {fastest.name} within noise, smaller batch or lower latency"
        return replace(trial, verdict="chosen", reason=f"{how}: {trial.reason}")
    behind = 1 - rate(trial) / rate(chosen)
    slower = f"{behind:.0%} slower than" if behind > 0 else "larger batch or latency than"
    return replace(trial, reason=f"{slower} {chosen.name}; {trial.reason}")


def _choose_smallest(
    trials: Sequence[Trial], exactness: _Exactness, accept_not_measured: bool
) -> tuple[Trial, ...]:
    """The verdicts where no speed is known: the smallest that passed is served, or none."""
    kept = [trial for trial in trials if trial.verdict == "kept"]
    if not kept:
        return tuple(trials)
    if not accept_not_measured:
        return tuple(_refuse_speed_unknown(trial) for trial in trials)
    chosen = min(kept, key=lambda t: (t.size_bytes, exactness.rank(t), t.batch_size, t.name))
    whole = exactness.most_exact(t for t in trials if t.verdict not in OUTSIDE)
    return tuple(_rank_by_size(trial, chosen, whole) for trial in trials)


def _refuse_speed_unknown(trial: Trial) -> Trial:
    if trial.verdict != "kept":
        return trial
    reason = (
        "not proven: speed was not measured here (no GPU): set targets.accept_not_measured = true, "
        f"or build where the GPU is; {trial.reason}"
    )
    return replace(trial, verdict="refused", reason=reason)


def _rank_by_size(trial: Trial, chosen: Trial, whole: Trial) -> Trial:
    if trial.verdict != "kept":
        return trial
    accepted = "SPEED NOT MEASURED, accepted by the recipe"
    if trial.name != chosen.name:
        larger = f"{trial.size_bytes / chosen.size_bytes:.2f}x {chosen.name}'s bytes"
        return replace(trial, reason=f"{accepted}: {larger}; {trial.reason}")
    share = f"{trial.size_bytes / whole.size_bytes:.2f}x {whole.name}'s bytes"
    reason = f"{accepted}: smallest of the faithful: {share}; {trial.reason}"
    return replace(trial, verdict="chosen", reason=reason)
