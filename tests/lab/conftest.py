"""Fixtures of the lab."""

import pytest
from lab.browser import browser, opened
from lab.serving import Served, serve, trained

__all__ = ["browser", "opened", "serve", "shown", "trained"]

LAYERS = """import numpy as np
from handgrad import nn


@nn.layer
def swish(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


@swish.backward
def swish_backward(dout, cache):
    x, s = cache
    return dout * (s + x * s * (1 - s))
"""


@pytest.fixture(scope="session")
def shown(trained, browser, tmp_path_factory):
    """A server of the lab with a trained run and a file of layers, for all pages."""
    layers = tmp_path_factory.mktemp("own") / "mine.py"
    layers.write_text(LAYERS)
    served = Served(trained.parent, "--layers", str(layers))
    served.layers, served.run = layers, trained.name
    yield served
    served.close()
