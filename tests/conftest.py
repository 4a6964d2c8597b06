"""Fixtures and settings for all tests."""

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("handgrad", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("handgrad")


@pytest.fixture
def rng():
    """A seeded generator; tests that ask for it do not depend on their order."""
    return np.random.default_rng(231)
