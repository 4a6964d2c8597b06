"""Fixtures and settings for all tests."""

import os

# Tests run side by side: one BLAS thread each (set before NumPy loads its BLAS).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("handgrad", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("handgrad")


@pytest.fixture
def rng():
    """A seeded generator; tests that ask for it do not depend on their order."""
    return np.random.default_rng(231)
