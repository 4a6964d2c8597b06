# make train   trains a network on real images and shows the result
# make test    runs the tests against the installed package
# Both need Python 3.11+ only; the rest goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml $(shell find src native CMakeLists.txt -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: train test test-long test-cifar10 coverage docs goals mutants fuzz lint types format clean

train: .venv/installed
	$(BIN)/handgrad train --open

test: .venv/installed-test
	$(BIN)/python -m pytest -n 2 -m "not long and not cifar10"

test-long: .venv/installed-test
	$(BIN)/python -m pytest -m "long and not cifar10"

# HANDGRAD_DATA names the folder that holds cifar-10-batches-py
test-cifar10: .venv/installed-test
	$(BIN)/python -m pytest -m cifar10

# which lines of the package no test runs; fails below 95 %
coverage: .venv/installed-coverage
	$(BIN)/python -m pytest -n 2 -m "not long and not cifar10" --cov --cov-report=term

# the documentation, as pages in build/docs
docs: .venv/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

# the page of the reliability goals, from the figures that the suites left in docs/goals.jsonl
goals:
	$(PYTHON) tests/goals_page.py

# small bugs, one at a time, put into the mathematics and the checkpoints: does a test notice?
mutants: .venv/installed-test
	$(BIN)/python tests/mutation/run.py

# ten million hostile checkpoints (an hour or more)
fuzz: .venv/installed-test
	$(BIN)/python tests/training/fuzz_checkpoints.py 10000000

lint: .venv/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-lint
	$(BIN)/mypy

format: .venv/installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Handgrad needs Python 3.11 or newer; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

.venv/installed: .venv/created $(SOURCES)
	$(BIN)/python -m pip install --quiet .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet '.[test]'
	touch $@

.venv/installed-coverage: .venv/installed-test
	$(BIN)/python -m pip install --quiet '.[coverage]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet '.[docs]'
	touch $@

.venv/installed-lint: .venv/installed
	$(BIN)/python -m pip install --quiet '.[lint]'
	touch $@
