"""Recipes of models that are served as they are, with every word that such a recipe has."""

from __future__ import annotations

from recipes import slo_and_targets

# A graph as it was trained, which keeps state.
STATEFUL = f"""\
[source]
onnx = "model.onnx"
as_trained = true
backend = "onnxruntime"

[input.x]
dtype = "float32"
shape = [2]

[input.start]
dtype = "int32"
shape = [1]

[input.state]
dtype = "float32"
shape = [3]

[output.y]
dtype = "float32"
shape = [-1]
labels = "labels.txt"

[output.next_state]
dtype = "float32"
shape = [3]

[sequence]
strategy = "oldest"
max_idle_ms = 2500.5
max_candidates = 7
queue_delay_us = 90
states = {{ state = "next_state" }}
controls = {{ start = "start" }}

[golden]
samples = "source.py:golden"
max_deviation = 1e-4

{slo_and_targets(4)}"""
# Python that calls other models.
PYTHON = f"""\
[source]
python = "own.py"
files = "source.py:files"
decoupled = true
calls = ["one", "other"]

[input.text]
dtype = "bytes"
shape = [1]

[output.ids]
dtype = "bfloat16"
shape = [-1]

{slo_and_targets(0)}"""
# Two steps, one after the other.
ENSEMBLE = f"""\
[source]
ensemble = true

[[step]]                         # first
model = "one"
inputs = {{ a = "x" }}
outputs = {{ b = "middle" }}

[[step]]
model = "other"
version = 3
inputs = {{ c = "middle" }}
outputs = {{ d = "y" }}

[input.x]
dtype = "float32"
shape = [2]

[output.y]
dtype = "float32"
shape = [2]

{slo_and_targets(8)}"""
