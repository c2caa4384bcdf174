"""Every rule finds the mistake that it is for, on its line; a repository without one is clean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.rules.checking import check
from plansmith.rules.facts import Place
from plansmith.rules.findings import Finding
from plansmith.rules.table import RULES
from seeded_mistakes import SEEDS, Seed

Found = Callable[[], tuple[Finding, ...]]


def test_a_repository_without_a_mistake_is_clean(found: Found) -> None:
    assert [str(one) for one in found()] == []


def test_every_rule_has_a_seeded_mistake() -> None:
    # Two repositories at once are another test's.
    assert {seed.rule for seed in SEEDS} | {"folder-twice"} == {rule.id for rule in RULES}


def test_no_two_rules_share_an_id() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.rule)
def test_a_seeded_mistake_is_found_on_its_line(
    seed: Seed, good_repository: Path, binary: dict[str, bytes], found: Found
) -> None:
    _spoil(seed, good_repository, binary)
    findings = found()

    ours = [one for one in findings if one.rule == seed.rule]
    assert ours, [str(one) for one in findings]
    assert {one.rule for one in findings} <= {seed.rule, *seed.also}
    file = good_repository / seed.file
    assert (ours[0].file, ours[0].line) == (str(file), _line(file, seed.at or seed.new))


def test_a_name_in_two_repositories_is_found(
    good_repository: Path, good_template: Path, tmp_path: Path
) -> None:
    (tmp_path / "more" / "plain").mkdir(parents=True)
    recipe = tmp_path / "more" / "plain" / "recipe.toml"
    recipe.write_bytes((good_template / "plain" / "recipe.toml").read_bytes())
    for name in ("source.py", "labels.txt"):
        (recipe.parent / name).touch()
    findings = check([good_repository, tmp_path / "more"], Place(cores=4))

    assert [(one.rule, one.file) for one in findings] == [("folder-twice", str(recipe))]


def _spoil(seed: Seed, root: Path, binary: dict[str, bytes]) -> None:
    if seed.old or seed.new:
        _edit(root / seed.file, seed.old, seed.new)
    for name, old, new in seed.edits:
        _edit(root / name, old, new)
    for name, what in seed.files.items():
        _put(root, name, what, binary)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else f"{text}{new}\n")


def _put(root: Path, name: str, what: str | None, binary: dict[str, bytes]) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if what is None:
        path.unlink()
    elif what == "/":
        path.mkdir()
    elif what == "-":
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    elif what.startswith("> "):
        path.rename(root / what[2:])
    elif what.startswith("@"):
        path.symlink_to(what[1:])
    elif what.startswith("="):
        path.write_text(what[1:])
    else:
        path.write_bytes(binary[what])


def _line(file: Path, at: str) -> int:
    """Where `at` begins in `file`; 1 where it has no text or nothing is looked for."""
    if not at or not file.is_file():
        return 1
    text = file.read_text()
    assert at in text
    return text[: text.index(at)].count("\n") + 1
