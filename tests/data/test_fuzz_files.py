"""Hostile data: a sample of `fuzz_files` in every run, 5,000 inputs in the long one."""

import sys

import pytest

from handgrad.errors import DataError

pytest.importorskip("resource", reason="limits of memory")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, limits of memory, /proc")

from data import fuzz_files  # noqa: E402


def test_a_sample_ends_in_data_or_in_one_clear_error():
    outcomes, findings = fuzz_files.try_all(50, seed=1, first=len(fuzz_files.HOSTILE))
    assert findings == []
    assert sum(outcomes.values()) == 50
    assert min(outcomes.values()) > 5  # neither all are read nor all refused


@pytest.mark.parametrize("name", ["formula.csv", "deep.npz", "pickled.npz", "offsets.safetensors"])
def test_some_of_the_hostile_ones(name):
    _, findings = fuzz_files.try_all(1, seed=0, first=list(fuzz_files.HOSTILE).index(name))
    assert findings == []


@pytest.mark.parametrize("error", [KeyError("x"), DataError("two\nlines"), MemoryError()])
def test_what_should_not_come_is_a_finding(monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(fuzz_files, "load", broken)
    _, findings = fuzz_files.try_all(1, seed=0, first=list(fuzz_files.HOSTILE).index("formula.csv"))
    assert len(findings) == 1


@pytest.mark.long
def test_five_thousand():
    outcomes, findings = fuzz_files.try_all(5000, seed=0)
    assert findings == []
    assert sum(outcomes.values()) == 5000
