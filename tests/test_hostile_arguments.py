"""Hostile arguments in every place of the public interface: results, or errors of the family.

The interface is walked, so that a new function is in the test on the day that it is public.
"""

import warnings

import numpy as np
import pytest
from wrong_calls.hostile import call, calls, functions
from wrong_calls.hostile_things import HOSTILE

from handgrad.errors import HandgradError

FUNCTIONS = list(functions())
PLACES = list(calls())
DOCUMENTED = {"training.atomic_write": OSError, "interop.export": OSError}


def attempt(name, make, right, changes):
    """Return None for a result or an error of the family, else the raw error."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            call(make, right, changes)
        except HandgradError as error:
            return None if str(error) else error
        except DOCUMENTED.get(name, ()):
            return None
        except Exception as error:
            return error
    return None


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some texts are the paths of files that may be written


@pytest.mark.parametrize(("name", "make", "right"), FUNCTIONS, ids=[f[0] for f in FUNCTIONS])
def test_right_arguments_are_taken(name, make, right):
    """So that the test below gets as far as to the one wrong argument."""
    assert attempt(name, make, right, {}) is None


@pytest.mark.thorough(keep=8)
@pytest.mark.parametrize(
    ("name", "parameter", "make", "right"), PLACES, ids=[f"{p[0]}-{p[1]}" for p in PLACES]
)
def test_no_raw_error_comes_through(name, parameter, make, right, capsys):
    raw = {}
    for thing, hostile in HOSTILE.items():
        error = attempt(name, make, right, {parameter: hostile()})
        if error is not None:
            raw[thing] = f"{type(error).__name__}: {error}"
    assert not raw
