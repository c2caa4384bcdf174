"""Rules of the response cache, metrics and repository agents. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from plansmith.rules.case import ConfigCase
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule

_VALIDATOR = "core:src/model_config_utils.cc, ValidateModelConfig"


def _cache(case: ConfigCase) -> Iterator[Hit]:
    if not case.message.response_cache.enable:
        return
    clashes = {
        "sequence_batching": case.has("sequence_batching"),
        "a decoupled model": case.message.model_transaction_policy.decoupled,
    }
    for what in (what for what, there in clashes.items() if there):
        message = f"response_cache does not go with {what}"
        yield Hit(path=("response_cache",), message=message, fix="take response_cache out")


def _metric_family(case: ConfigCase) -> Iterator[Hit]:
    for index, control in enumerate(case.message.model_metrics.metric_control):
        path = ("model_metrics", "metric_control", index)
        if not control.metric_identifier.family:
            yield Hit(path=path, message="a metric control names no family", fix="write family:")


def _metric_buckets(case: ConfigCase) -> Iterator[Hit]:
    for index, control in enumerate(case.message.model_metrics.metric_control):
        path = ("model_metrics", "metric_control", index)
        buckets: Sequence[float] = list(control.histogram_options.buckets)
        if not buckets:
            message = "a metric control has no buckets"
            yield Hit(path=path, message=message, fix="write histogram_options { buckets: [ … ] }")
        elif any(high <= low for low, high in pairwise(buckets)):
            yield Hit(path=path, message="buckets do not ascend", fix="sort them, each once")


def _agent_name(case: ConfigCase) -> Iterator[Hit]:
    for index, agent in enumerate(case.message.model_repository_agents.agents):
        if not agent.name:
            path = ("model_repository_agents", "agents", index)
            yield Hit(path=path, message="a repository agent has no name", fix="write name:")


def _agent_none(case: ConfigCase) -> Iterator[Hit]:
    if case.has("model_repository_agents") and not case.message.model_repository_agents.agents:
        message = "model_repository_agents without an agent: the server ends when it loads this"
        yield Hit(path=("model_repository_agents",), message=message, fix="take it out")


def _agent_unknown(case: ConfigCase) -> Iterator[Hit]:
    for index, agent in enumerate(case.message.model_repository_agents.agents):
        if agent.name and agent.name != "checksum":
            path = ("model_repository_agents", "agents", index, "name")
            message = f"repository agent '{agent.name}' does not come with the server"
            yield Hit(path=path, message=message, fix="install it there, or take it out")


RULES = (
    Rule(
        id="response-cache",
        severity=ERROR,
        about="`response_cache` goes neither with sequences nor with decoupled models.",
        source=_VALIDATOR,
        of_config=_cache,
    ),
    Rule(
        id="metric-family",
        severity=ERROR,
        about="A metric control names its family.",
        source="core:src/model_config_utils.cc, ValidateModelMetrics",
        of_config=_metric_family,
    ),
    Rule(
        id="metric-buckets",
        severity=ERROR,
        about="A histogram has buckets, and they ascend.",
        source="core:src/model_config_utils.cc, ValidateModelMetrics; prometheus-cpp",
        of_config=_metric_buckets,
    ),
    Rule(
        id="agent-unknown",
        severity=WARNING,
        about="A repository agent is one that comes with the server: checksum.",
        source="server:docs/customization_guide/repository_agents.md",
        of_config=_agent_unknown,
    ),
    Rule(
        id="agent-none",
        severity=ERROR,
        about="`model_repository_agents` has an agent: without one the server crashes.",
        source="the embedded server",
        of_config=_agent_none,
    ),
    Rule(
        id="agent-name",
        severity=ERROR,
        about="A repository agent has a name.",
        source="core:src/repo_agent.cc",
        of_config=_agent_name,
    ),
)
