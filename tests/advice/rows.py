"""The table of advice: a piece of a message's text in the sources, and the test that does what it says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from handgrad.errors import HandgradError

ROWS: list[tuple[str, Any]] = []


def follows(*pieces: str) -> Any:
    """Enter the decorated test, which follows the advice that stands in the sources as `pieces`."""

    def enter(test: Any) -> Any:
        ROWS.extend((piece, test) for piece in pieces)
        return test

    return enter


def refused(call: Any) -> str:
    """Return the message with which `call` is refused."""
    with pytest.raises(HandgradError) as caught:
        call()
    return str(caught.value)


def said(text: str, pattern: str) -> str:
    """Return what `text` advises, the group of `pattern`."""
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in: {text}"
    return found.group(1)
