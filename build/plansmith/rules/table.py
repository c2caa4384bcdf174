"""All rules, in the order of their topics: what docs/rules.md shows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from plansmith.rules import (
    batch_tensors,
    ensemble,
    ensemble_edges,
    extensions,
    files,
    graph_rules,
    identity,
    instances,
    model_files,
    optimization,
    scheduling,
    sequence,
    sequence_states,
    served_versions,
    tensor_rules,
    warm_up,
)
from plansmith.rules.findings import Rule

TOPICS: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "Names, backends, texts": identity.RULES,
        "Folders and files": (*files.RULES, *model_files.RULES),
        "Inputs and outputs": (*tensor_rules.RULES, *batch_tensors.RULES),
        "Config against model file and manifest": graph_rules.RULES,
        "Batching, queues, caches": (*scheduling.RULES, *extensions.RULES),
        "Instances and threads": instances.RULES,
        "Optimisation and parameters": optimization.RULES,
        "Warm-up": warm_up.RULES,
        "Sequences": (*sequence.RULES, *sequence_states.RULES),
        "Ensembles": (*ensemble.RULES, *ensemble_edges.RULES),
        "Versions and recipes": served_versions.RULES,
    }
)
RULES = tuple(rule for rules in TOPICS.values() for rule in rules)


def markdown() -> str:
    """The tables of docs/rules.md."""
    parts: list[str] = []
    for topic, rules in TOPICS.items():
        parts += [f"## {topic}", "", "| rule | severity | what holds | source |"]
        parts += ["| --- | --- | --- | --- |"]
        parts += [f"| `{r.id}` | {r.severity} | {r.about} | {r.source} |" for r in rules]
        parts.append("")
    return "\n".join(parts)
