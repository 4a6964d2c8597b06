"""The view in a notebook's cell."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from lab.serving import tiny_config

import handgrad
from handgrad import nn
from handgrad.errors import DtypeError
from handgrad.lab.cell import Cell, Glance
from handgrad.training.callback import Callback
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


def test_a_training_that_is_interrupted_is_not_called_trained():
    model = handgrad.TwoLayerNet(input_dim=64, hidden_dim=4, num_classes=10)
    solver = handgrad.Solver(model, handgrad.data.load_digits(), num_epochs=1, verbose=False, rng=0)
    told = []

    class Interrupt(Callback):
        def on_step_end(self, solver, record):
            if solver.iteration == 5:
                raise KeyboardInterrupt

    solver.callbacks = [Cell(solver, told.append), Interrupt()]
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    assert (told[-1]["state"], told[-1]["iteration"]) == ("stopped", 5)
    solver.callbacks.pop()
    solver.train()
    assert told[-1]["state"] == "trained"


def test_a_jupyter_without_anywidget_says_what_is_missing():
    pytest.importorskip("anywidget", reason="the lab is an extra")
    model = handgrad.TwoLayerNet(input_dim=64, hidden_dim=4, num_classes=10)
    solver = handgrad.Solver(model, handgrad.data.load_digits(), num_epochs=1, verbose=False, rng=0)
    found = handgrad.lab.show(solver)._repr_mimebundle_()
    bundle = found[0] if isinstance(found, tuple) else found
    assert "pip install anywidget" in bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_only_a_solver_is_shown():
    with pytest.raises(DtypeError, match="solver must be a Solver"):
        handgrad.lab.show(5)


@pytest.mark.parametrize("network", ["ConvNet", "Sequential"])
def test_the_glance_at_the_network_changes_no_bit(network):
    def solver():
        data = handgrad.data.load_digits()
        if network == "ConvNet":
            model = handgrad.ConvNet(
                input_dim=(1, 8, 8), num_classes=10, dropout_keep_ratio=0.5,
                normalization="batchnorm", rng=0,
            )  # fmt: skip
        else:
            model = nn.Sequential(
                [nn.Flatten(), nn.Affine(12), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.5), nn.Affine(10)],
                input_shape=(1, 8, 8), rng=0,
            )  # fmt: skip
        return handgrad.Solver(model, data, num_epochs=1, verbose=False, rng=0)

    np.random.seed(1)  # dropout draws from the global stream
    plain = solver()
    plain.train()
    np.random.seed(1)
    seen = solver()
    told = []

    class Each(Cell):
        def _say(self, solver, state):
            super()._say(solver, state)
            self._next = 0.0  # look after every step

    seen.callbacks = [Each(seen, told.append)]
    seen.train()
    assert plain.loss_history == seen.loss_history
    for name, w in plain.model.params.items():
        np.testing.assert_array_equal(w, seen.model.params[name])
    last = json.loads(json.dumps(told[-1]))["network"]
    assert last["layers"][-1]["shape"] == [10]
    assert 0 <= last["rows"][0]["says"] < 10
    assert len(told) >= 12


def test_a_network_without_layers_is_shown_by_its_curves():
    glance = Glance(SimpleNamespace(X_val=np.zeros((3, 2)), y_val=np.zeros(3, int)))
    assert glance.look(SimpleNamespace(model=object())) is None
