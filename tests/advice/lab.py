"""Advice of the lab."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from advice.rows import follows, refused, said

import handgrad
from handgrad.lab.server import libraries

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@follows(
    "the lab needs the package {error.name}; get it with: pip install 'handgrad[lab]'",
    "show needs the package {error.name}; get it with: pip install 'handgrad[lab]'",
)
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
