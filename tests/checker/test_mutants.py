"""Bugs that nobody planned are called wrong."""

import pytest
from checker.mutants import FILES, survey


@pytest.mark.thorough
@pytest.mark.parametrize("file", ["affine", "losses"])
def test_mutants(file):
    changing, wrong, missed = survey(0.5, (file,))
    assert changing >= 15
    assert wrong == changing, missed


@pytest.mark.long
def test_all_mutants():
    """At least 95 % (what is left changes only what the courses do not have: unequal strides and pads)."""
    changing, wrong, missed = survey(1.0, FILES)
    assert changing >= 500
    assert wrong >= 0.95 * changing, missed
