"""Advice of the lab."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from advice.rows import follows, refused, said

import handgrad
from handgrad.lab.server import libraries

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@follows("{what} needs the package {name.partition('.')[0]}")
@pytest.mark.parametrize("name", ["starlette", "uvicorn", "anywidget"])
def packages_of_the_lab_that_are_missing(name, monkeypatch):
    model = handgrad.TwoLayerNet(input_dim=64, hidden_dim=4)
    solver = handgrad.Solver(model, handgrad.data.load_digits(), verbose=False)
    monkeypatch.setitem(sys.modules, name, None)  # an import then fails
    call = libraries if name != "anywidget" else lambda: handgrad.lab.show(solver)
    text = refused(call)
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    wanted = extras[said(text, r"pip install 'handgrad\[(\w+)\]'$")]
    assert any(each.partition(">")[0] == name for each in wanted)


@follows("The live view needs the package anywidget where Jupyter itself runs")
def what_jupyter_shows_the_cell_by_comes_with_the_package():
    pytest.importorskip("anywidget")
    model = handgrad.TwoLayerNet(input_dim=64, hidden_dim=4)
    solver = handgrad.Solver(model, handgrad.data.load_digits(), verbose=False)
    found = handgrad.lab.show(solver)._repr_mimebundle_()
    bundle = found[0] if isinstance(found, tuple) else found
    name = said(bundle["text/plain"], r"pip install (\w+) there")
    needs = [re.match(r"[\w-]+", each)[0] for each in metadata.requires(name)]
    assert "ipywidgets" in needs
    for package in (name, "jupyterlab_widgets"):
        assert any("labextensions" in str(file) for file in metadata.files(package))
