"""The tree of errors, which docs and callers go by."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from plansmith import errors

PACKAGE = Path(errors.__file__).parent


def bases_of_classes() -> dict[str, list[str]]:
    """What every class of the package is made from, by name; read, not imported."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py"))
    classes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {
        one.name: [base.id for base in one.bases if isinstance(base, ast.Name)] for one in classes
    }


def test_every_error_is_in_the_tree_that_the_docstring_draws() -> None:
    bases = bases_of_classes()
    kinds = {"PlansmithError"}
    while more := {name for name, of in bases.items() if kinds & set(of)} - kinds:
        kinds |= more
    drawn = set(re.findall(r"^[│├└─ ]*(\w+) {2,}", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {name for name in kinds if not name.startswith("_")}
