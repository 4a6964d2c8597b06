"""Fixtures of the lab."""

import pytest
from lab.browser import browser, opened
from lab.serving import SWISH, Served, serve, trained

__all__ = ["browser", "opened", "serve", "shown", "trained"]


@pytest.fixture(scope="session")
def shown(trained, browser, tmp_path_factory):
    """A server of the lab with a trained run and a file of layers, for all pages."""
    layers = tmp_path_factory.mktemp("own") / "mine.py"
    layers.write_text(SWISH)
    served = Served(trained.parent, "--layers", str(layers))
    served.layers, served.run = layers, trained.name
    yield served
    served.close()
