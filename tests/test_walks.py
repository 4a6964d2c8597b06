"""The way from a call to its arithmetic stays short: the bars of two walks (`walks.py`)."""

import pytest
from walks import walk

from handgrad import engines

BARS = {"a": (40, 5), "d": (120, 12)}  # Python calls, files


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
@pytest.mark.parametrize("name", BARS)
def test_the_walk_is_within_its_bar(name):
    found = walk(name)
    calls, files = BARS[name]
    assert 5 < found.total <= calls, found.calls.most_common(20)
    assert 2 < found.files <= files, sorted({file for file, _ in found.calls})
