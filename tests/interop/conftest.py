"""Every network of the room, trained a little, once for all tests."""

import numpy as np
import pytest
from interop.nets import layers, ready, rows, trained

from handgrad.errors import HandgradError
from handgrad.interop.optional import library


def _inputs(name, model):
    if name == "two inputs":
        rng = np.random.default_rng(1)
        return tuple(rng.standard_normal((4, *s)).astype(np.float32) for s in model._input_shapes)
    return rows(model)


@pytest.fixture(scope="session")
def networks():
    """Name -> (network, rows)."""
    found = {}
    for name, model in {**ready(), **layers()}.items():
        found[name] = (model if name == "two inputs" else trained(model)), _inputs(name, model)
    return found


@pytest.fixture(scope="session")
def keras():
    pytest.importorskip("torch")
    try:
        return library("keras", "the tests")
    except HandgradError as error:
        pytest.skip(str(error))
