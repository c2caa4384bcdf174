"""Every rule over every model: findings in a fixed order. Pure but for what `check` reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from plansmith.rules.case import ConfigCase, ModelCase, case_of
from plansmith.rules.facts import CONFIG_FILE, ModelFacts, Place, RepositoryFacts
from plansmith.rules.findings import ERROR, Finding, Hit, Rule
from plansmith.rules.reading import empty_config, read_repositories
from plansmith.rules.table import RULES


def check(roots: Sequence[Path], place: Place) -> tuple[Finding, ...]:
    """What is wrong in the repositories `roots`, by file and line.

    Raises UnusableInput where one of them is no folder that can be read.
    """
    return check_facts(read_repositories(roots), place)


def check_facts(facts: RepositoryFacts, place: Place) -> tuple[Finding, ...]:
    """The findings of all rules, each once, by file, line and rule."""
    found = [one for model in facts.models for one in _of_model(model, facts, place)]
    return tuple(sorted(dict.fromkeys(found), key=_order))


def _order(finding: Finding) -> tuple[str, int, bool, str, str]:
    is_warning = finding.severity != ERROR
    return finding.file, finding.line, is_warning, finding.rule, finding.message


def _of_model(model: ModelFacts, facts: RepositoryFacts, place: Place) -> Iterator[Finding]:
    case = ModelCase(model=model, repository=facts, place=place)
    for rule in RULES:
        for hit in rule.of_model(case) if rule.of_model is not None else ():
            yield _finding(rule, hit, model.folder, hit.file or "", hit.line or 1)
    for one in _config_cases(model, facts, place):
        for rule in RULES:
            for hit in rule.of_config(one) if rule.of_config is not None else ():
                line = hit.line or (1 if hit.file is not None else one.config.line_of(hit.path))
                yield _finding(rule, hit, model.folder, hit.file or one.file, line)


def _config_cases(model: ModelFacts, facts: RepositoryFacts, place: Place) -> Iterator[ConfigCase]:
    """Each config that parses; an empty one where there is none and the server would load it."""
    texts = model.configs
    unread = CONFIG_FILE in model.files
    if not texts and not unread and model.versions:
        texts = (empty_config(model),)
    for text in texts:
        case = case_of(model, text, facts, place)
        if case is not None:
            yield case


def _finding(rule: Rule, hit: Hit, folder: str, file: str, line: int) -> Finding:
    return Finding(
        file=f"{folder}/{file}" if file else folder,
        line=line,
        rule=rule.id,
        severity=hit.severity or rule.severity,
        message=hit.message,
        fix=hit.fix,
        repair=hit.repair,
    )
