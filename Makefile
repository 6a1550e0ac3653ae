SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint types pytest bench clean

# PYTHON makes the virtual environment; an active one (or WARMTILE_PYTHON) is used as it is.
PYTHON ?= python3
PY := $(or $(WARMTILE_PYTHON),$(if $(VIRTUAL_ENV),$(VIRTUAL_ENV)/bin/python),.venv/bin/python)
SOURCES := runner device_ext scripts tests

# quiet(name, command): one line when it is fine, the whole output when it is not.
quiet = @if out=$$($(2) 2>&1); then echo "$(1): ok"; else printf '%s\n' "$$out" "$(1): failed" >&2; exit 1; fi

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup:  ## virtual environment, torch, aihwkit built against it, the extension (seconds when nothing changed)
	@$(PYTHON) scripts/setup_env.py

demo: setup  ## train LeNet-5 three ways on 4,000 MNIST images and compare: digital, analog, analog with warm start
	@$(PY) -m runner.demo

test: setup lint types pytest  ## set-up where it is missing, then lint, types and the test suite

lint: setup  ## ruff: rules and format
	$(call quiet,ruff check,$(PY) -m ruff check $(SOURCES))
	$(call quiet,ruff format,$(PY) -m ruff format --check $(SOURCES))

types: setup  ## pyright
	$(call quiet,pyright,$(PY) -m basedpyright --pythonpath $(PY))

# One thread: the tensors of the tests are too small to gain from more, and torch's bits depend on the number.
# A file's tests share what they have set up, so they stay together.
pytest: export OMP_NUM_THREADS := 1
pytest: setup
	@$(PY) -m pytest --no-header --numprocesses auto --maxprocesses 4 --dist loadfile

bench: setup  ## time the update, a training step and an epoch on this machine
	@$(PY) scripts/bench.py

clean:  ## remove the virtual environment, build folders and tool caches (runs and downloads stay)
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	find runner device_ext scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
