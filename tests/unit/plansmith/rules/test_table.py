"""The table of rules, and the document that shows it."""

from __future__ import annotations

from pathlib import Path

from plansmith.rules.table import RULES, markdown

DOCUMENT = Path(__file__).parents[4] / "docs" / "rules.md"


def test_the_document_shows_every_rule_as_the_table_has_it() -> None:
    # After an edit of a rule: put table.markdown() in place of the document's tables.
    assert DOCUMENT.read_text(encoding="utf-8").endswith(markdown())


def test_every_rule_says_in_one_line_what_holds() -> None:
    for rule in RULES:
        assert "\n" not in rule.about, rule.id
        assert "|" not in rule.about + rule.source, rule.id
        assert rule.about.endswith("."), rule.id
        assert rule.source, rule.id
