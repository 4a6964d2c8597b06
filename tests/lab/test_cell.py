"""The view in a notebook's cell."""

import json

import numpy as np
import pytest
from lab.serving import tiny_config

import handgrad
from handgrad.errors import DtypeError
from handgrad.lab.cell import Cell
from handgrad.training.run import start_run


def test_a_view_is_told_of_the_whole_training_and_changes_no_bit(tmp_path):
    plain = start_run(tiny_config(), tmp_path / "plain")
    plain.train()
    run = start_run(tiny_config(), tmp_path / "shown")
    told = []
    run.train([Cell(run.solver, told.append)])
    last = json.loads(json.dumps(told[-1]))
    assert (last["state"], last["iteration"], last["epoch"]) == ("trained", 48, 2)
    np.testing.assert_allclose(last["steps"]["loss"][2], run.solver.loss_history, rtol=1e-5)
    assert [e["epoch"] for e in last["epochs"]] == [0, 1, 2]
    assert run.solver.loss_history == plain.solver.loss_history


def test_show_makes_a_widget_that_follows_the_solver():
    pytest.importorskip("anywidget", reason="the lab is an extra")
    model = handgrad.TwoLayerNet(input_dim=64, hidden_dim=4, num_classes=10)
    solver = handgrad.Solver(model, handgrad.data.load_digits(), num_epochs=1, verbose=False, rng=0)
    view = handgrad.lab.show(solver)
    assert json.loads(view.state)["iteration"] == 0
    solver.train()
    assert json.loads(view.state)["iteration"] == 12
    assert "export default { render }" in view._esm
    assert sum(line.startswith("export default") for line in view._esm.splitlines()) == 1


def test_only_a_solver_is_shown():
    with pytest.raises(DtypeError, match="solver must be a Solver"):
        handgrad.lab.show(5)
