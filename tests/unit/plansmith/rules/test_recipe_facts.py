"""What the rules know of a recipe: the files beside it, each with the line that names it."""

from __future__ import annotations

from plansmith.rules.recipe_facts import recipe_facts

WEIGHTS = """\
[source]
safetensors = "weights.safetensors"
architecture = "net.py:net"
as_trained = true

[input.x]
dtype = "float32"
shape = [2]

[output.y]
dtype = "float32"
shape = [2]

[golden]
samples = "source.py:golden"
max_deviation = 0.1

[slo]
p99_ms = 100

[targets]
order = ["cpu"]
max_batch_size = 4
"""


def test_files_of_functions_are_named_without_the_function() -> None:
    found = recipe_facts(WEIGHTS, "recipe.toml")
    assert dict(found.files) == {"weights.safetensors": 2, "net.py": 3, "source.py": 15}
