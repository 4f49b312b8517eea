# `make help` lists what there is. Every target sets up .venv first if it is missing.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
STAMP := $(VENV)/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint docs bench table2 readme clean

help:  ## this list
	@grep -hE '^[a-z0-9]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(STAMP): requirements.lock setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: requirements.lock needs Python 3.11 or newer (PYTHON=python3.11 make ...);" \
	         "with 3.10 use: pip install -e '.[tests]'" >&2; exit 2; }
	@echo "setting up $(VENV) (a minute or two; torch is large)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

venv: $(STAMP)  ## the tested set of packages and this one, in .venv

demo: $(STAMP)  ## train and evaluate a small model on open recordings (ARGS="--stage 3" ...)
	cd egs/wham && PATH="$(BIN):$$PATH" ./run.sh --conf local/conf/demo.yml --tag demo $(ARGS)

test: $(STAMP)  ## the test suite (ARGS="-k gate" ...)
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)  ## ruff (rules and layout) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)  ## the documentation, warnings as errors, in docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: $(STAMP)  ## speed and memory (ARGS are those of benchmarks/run.py)
	$(BIN)/python -m benchmarks.run $(ARGS)

table2: $(STAMP)  ## memory of progressive against end-to-end training, LIR Table 2
	$(BIN)/python -m benchmarks.table2 $(ARGS)

readme: $(STAMP)  ## the figures and the example in README.md, from docs/results
	$(BIN)/python docs/fill_readme.py $(ARGS)

clean:  ## built files and caches; corpora, experiments and .venv stay
	rm -rf build dist *.egg-info docs/_build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
