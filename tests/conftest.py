"""Fixtures and settings for all tests."""

import collections
import gc
import importlib.util
import os
import signal
from pathlib import Path

# A shell may start what it puts in the background with SIGINT ignored, and processes inherit that: the
# tests of interrupts need it as it is at a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests run side by side: one BLAS thread each (set before NumPy loads its BLAS).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import goals
import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("handgrad", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("handgrad")

_counter = goals.Counter()
_sanitizer = os.environ.get("HANDGRAD_SANITIZER")  # in whose presence the Makefile runs the tests


_PORTABLE = Path(__file__).parent / "portable"


def pytest_addoption(parser):
    parser.addoption(
        "--portable", action="store_true", help="take away what Windows lacks; see tests/portable"
    )


def pytest_configure(config):
    if config.getoption("--portable"):
        path = [str(_PORTABLE), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(path)  # for the processes that tests start
        spec = importlib.util.spec_from_file_location("portable", _PORTABLE / "sitecustomize.py")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the collector of garbage pass over what stays: the tests, which it would visit all the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(10_000)  # trees of the sources are kept, too


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Take the mark "thorough" from each n-th case of a test that is marked with keep=n."""
    seen = collections.Counter()
    for item in items:
        mark = item.get_closest_marker("thorough")
        if mark is None or "keep" not in mark.kwargs:
            continue
        test = item.nodeid.partition("[")[0]
        if seen[test] % mark.kwargs["keep"] == 0:
            item.own_markers = [m for m in item.own_markers if m.name != "thorough"]
        seen[test] += 1


@pytest.fixture
def rng():
    """A seeded generator; tests that ask for it do not depend on their order."""
    return np.random.default_rng(231)


# the goals of reliability: see goals.py


def pytest_runtest_setup(item):
    for marker in item.iter_markers("goal"):
        goal, what = marker.args
        item.user_properties.append(("goal", [goal, what]))


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        file, checks = (
            report.nodeid.partition("::")[0],
            dict(report.user_properties).get("checks", 1),
        )
        for name, value in report.user_properties:
            if name == "goal":
                _counter.add(*value, file, report.outcome, checks)
        if _sanitizer:  # its reports end the process, and then nothing is recorded
            what = f"tests of the native engine under {_sanitizer} without a report"
            _counter.add(37, what, "tests/engines", report.outcome)


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):  # a worker's reports reach the main process too
        _counter.write()
