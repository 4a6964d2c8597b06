"""Bugs that nobody planned are called wrong."""

import pytest
from checker.mutants import FILES, options_of_courses, survey


@pytest.mark.thorough
@pytest.mark.parametrize("file", ["affine", "losses"])
def test_mutants(file):
    found = survey(0.5, (file,))
    assert found.changing >= 15
    assert found.wrong == found.changing, found.missed


def test_options_of_the_courses():
    """A border is no option of the courses' pools, and is one of their convolution."""
    assert "pad" not in options_of_courses("max_pool")
    assert {"pad", "stride"} <= options_of_courses("conv")


@pytest.mark.long
def test_all_mutants():
    """At least 99 % of those that change what the courses have; the others are in lines for other options."""
    found = survey(1.0, FILES)
    assert found.changing >= 500
    assert found.wrong >= 0.99 * found.changing, found.missed
    assert len(found.beyond) <= 0.1 * found.changing, found.beyond
