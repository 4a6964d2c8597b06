"""What some tests of the checker need of the system."""

import os

import pytest

needs_a_copy = pytest.mark.skipif(
    not hasattr(os, "fork"),
    reason="edits of what is in no file are tried in a copy of this process",
)
