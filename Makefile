# A table of contents; the logic is in Python.
PYTHON ?= python3
PLANSMITH := .venv/bin/plansmith
SOURCES := build client loadtests benchmarks deploy docs tests model_repository

.DEFAULT_GOAL := help
.PHONY: help setup demo build preflight check verify sign serve load image up lint test test-unit \
	bench-build bench-check bench-client bench-serve clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what the other targets need, into .venv and .venv-server
	@$(PYTHON) deploy/install.py

demo: setup ## build the sample model, serve, check and load it: out/report.html [SHORT=1]
	@$(PLANSMITH) demo $(MODEL) $(if $(SHORT),--short)

build: setup ## recipes to published versions [MODEL=name] [TARGET=cpu] [ARGS=...]
	@$(PLANSMITH) build $(MODEL) $(if $(TARGET),--target $(TARGET)) $(ARGS)

preflight: setup ## will the engines load there? TARGET=tensorrt-rtx [MODEL=name] [ARGS=...]
	@$(PLANSMITH) preflight $(MODEL) $(if $(TARGET),--target $(TARGET)) $(ARGS)

verify: setup ## are published files as they were built? [MODEL=name] [ARGS=...]
	@$(PLANSMITH) verify $(MODEL) $(ARGS)

serve: setup ## the repository on an embedded Triton, for development [TARGET=cpu]
	@$(PLANSMITH) serve $(if $(TARGET),--target $(TARGET))

load: setup ## load on a served model, with a verdict [MODEL=name] [ARGS=...]
	@$(PLANSMITH) load $(or $(MODEL),efficientnet_lite0) $(ARGS)

image: setup ## a container image that serves the repository (Docker or Podman)
	@$(PLANSMITH) image $(if $(TARGET),--target $(TARGET))

up: setup ## that image, on this machine's loopback
	@$(PLANSMITH) up

check: setup ## recipes, configs and versions against the server's rules [ARGS=...]
	@$(PLANSMITH) check $(ARGS)

sign: setup ## sign published versions [MODEL=name] ARGS="--private-key FILE"
	@$(PLANSMITH) sign $(MODEL) $(ARGS)

lint: setup ## style and types
	@! git check-ignore build/plansmith client loadtests tests || \
		{ echo "git ignores a source folder" >&2; exit 1; }
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/pyright --pythonpath .venv/bin/python

test: ## style, types and all tests
	@# Side by side: the types keep one core busy for a minute.
	@$(MAKE) --no-print-directory --jobs 2 lint test-unit
	@# Four whatever the cores: most of the time they wait, for servers and deadlines. In the order
	@# of the folders: what takes long is not left to the end.
	.venv/bin/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder \
		-m "not alone" tests/docs tests/browser tests/server
	.venv/bin/python -m pytest -m alone tests/server

test-unit: setup
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests/unit

bench-build: setup ## what building brings, one table [ARGS=...]
	@.venv/bin/python benchmarks/build.py $(ARGS)

bench-check: setup ## how long a check of many models takes [ARGS=...]
	@.venv/bin/python benchmarks/check.py $(ARGS)

bench-client: setup ## what a call costs against tritonclient's, one table [ARGS=...]
	@.venv/bin/python benchmarks/client.py $(ARGS)

bench-serve: setup ## served against in-process throughput, one table
	@.venv/bin/python benchmarks/serve.py $(ARGS)

clean: ## remove what was made, keep the sources
	rm -rf .venv .venv-server .cache out dist
