"""What `--fix` does: repairs of findings, each file written at once or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plansmith.config.parsing import BadConfig, parse
from plansmith.errors import PlansmithError
from plansmith.rules.findings import Cut, Finding, Removal
from plansmith.versions.disk import replace_text


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was done to `file`, and for which rule."""

    file: str
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what} ({self.rule})"


def repair(findings: Iterable[Finding]) -> tuple[Change, ...]:
    """Does the repairs of `findings`, file by file, and tells which.

    Raises PlansmithError where a file cannot be written; it is then as it was.
    """
    cuts: dict[str, list[tuple[Cut, str]]] = {}
    changes: list[Change] = []
    for finding in findings:
        if isinstance(finding.repair, Removal):
            changes.append(_remove(finding.repair.file, finding.rule))
        elif isinstance(finding.repair, Cut):
            cuts.setdefault(finding.repair.file, []).append((finding.repair, finding.rule))
    for file, wanted in sorted(cuts.items()):
        changes += _rewrite(file, wanted)
    return tuple(changes)


def _remove(file: str, rule: str) -> Change:
    path = Path(file)
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as error:
        raise PlansmithError(f"{file}: cannot be removed: {error.strerror}") from error
    return Change(file=file, rule=rule, what="removed")


def _rewrite(file: str, wanted: list[tuple[Cut, str]]) -> list[Change]:
    path = Path(file)
    try:
        # As it was read: offsets count the \r of every line that has one.
        text = path.read_bytes().decode("utf-8")
        new, changes = cut(text, wanted)
        parse(new, file)
        replace_text(path, new)
    except (OSError, UnicodeDecodeError, BadConfig) as error:
        raise PlansmithError(f"{file}: cannot be repaired: {error}; it is as it was") from error
    return changes


def cut(text: str, wanted: list[tuple[Cut, str]]) -> tuple[str, list[Change]]:
    """`text` with the cuts made, and what was changed; of cuts that overlap the first is made."""
    changes: list[Change] = []
    done = len(text) + 1
    for one, rule in sorted(wanted, key=lambda pair: pair[0].start, reverse=True):
        if one.end > done:
            continue
        old = text[one.start : one.end]
        text = text[: one.start] + one.text + text[one.end :]
        done = one.start
        what = f"{_flat(old)} became {_flat(one.text)}" if one.text else f"{_flat(old)} taken out"
        changes.append(Change(file=one.file, rule=rule, what=what))
    return text, changes[::-1]


def _flat(text: str) -> str:
    return " ".join(text.split())
