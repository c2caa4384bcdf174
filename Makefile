# A table of contents; the logic is in Python.
PYTHON ?= python3
UV := .venv/bin/uv pip install --quiet --python .venv/bin/python
# uv does not read pip's settings: a folder of wheels that pip knows of is handed on.
TORCH_LINKS := $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)")
SOURCES := build tests model_repository

.DEFAULT_GOAL := help
.PHONY: help setup check test clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.ready ## install what the other targets need, into .venv

.venv/.ready: build/pyproject.toml build/constraints.txt
	@$(PYTHON) -m venv .venv || { echo "no venv module: apt-get install python3-venv" >&2; exit 3; }
	.venv/bin/pip install --quiet "uv>=0.5,<1"
	@echo "installing into .venv: 1 GB where a CPU build of torch can be had, else 6 GB"
	$(UV) $(TORCH_LINKS) --constraint build/constraints.txt --editable "build[torch,openvino,samples,test]"
	@touch $@

check: setup ## lint and types
	@! git check-ignore build/plansmith tests || { echo "git ignores a source folder" >&2; exit 1; }
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/pyright --pythonpath .venv/bin/python

test: check ## all checks and tests
	.venv/bin/python -m pytest

clean: ## remove what was made, keep the sources
	rm -rf .venv out dist
