"""Checkpoints with a right checksum that say what cannot be: refused, and nothing is changed."""

import json

import numpy as np
import pytest
from training.fuzz_checkpoints import good_checkpoint, joined, split
from training.toys import outcome, solver_of

from handgrad.errors import CheckpointError


def changed(change):
    """Return a checkpoint with a right checksum in which `change` has changed the content."""
    header, body = split(good_checkpoint())
    content = json.loads(header["__metadata__"]["content"])
    change(header, content)
    header["__metadata__"]["content"] = json.dumps(content)
    return joined(header, body)


def set_in(tree, *path):
    *parents, last, value = path
    for key in parents:
        tree = tree[key]
    tree[last] = value


W1 = {"$array": "params/W1", "order": [0, 1]}
LIES = {
    "an array twice": lambda h, c: set_in(c, "best_params", "W1", W1),
    "an order with an axis twice": lambda h, c: set_in(c, "params", "W1", "order", [0, 0]),
    "an order of many axes": lambda h, c: set_in(c, "params", "W1", "order", [0] * 12),
    "a number of 2 GB": lambda h, c: set_in(
        c, "progress", "epoch", {"$scalar": "V9", "value": 2**31 - 1}
    ),
    "progress that is a text": lambda h, c: set_in(c, "progress", "iteration", "3"),
    "progress below zero": lambda h, c: set_in(c, "progress", "_position", -1),
    "an estimate that is due at another place": lambda h, c: set_in(
        c, "progress", "_estimate_due", 3
    ),
    "an accuracy that is NaN": lambda h, c: set_in(c, "progress", "best_val_acc", float("nan")),
    "parameters of another shape": lambda h, c: set_in(c, "params", "W1", c["params"]["b1"]),
    "a state of another shape": lambda h, c: set_in(
        c, "optim_configs", "W1", "m", c["optim_configs"]["b1"]["m"]
    ),
    "an array for a setting": lambda h, c: (
        set_in(c, "should", "lr_decay", c["optim_configs"]["W1"]["m"]),
        set_in(c, "optim_configs", "W1", "m", 0.0),
    ),
    "an array for a size": lambda h, c: (
        set_in(c, "must", "batch size", c["optim_configs"]["W1"]["m"]),
        set_in(c, "optim_configs", "W1", "m", 0.0),
    ),
    "no history": lambda h, c: set_in(c, "history", "loss_history", None),
    "a stream of another kind": lambda h, c: set_in(c, "streams", "of the Solver", {"state": 3}),
    "overlapping tensors": lambda h, c: set_in(
        h, "params/W1", "data_offsets", h["best_params/W1"]["data_offsets"]
    ),
    "a tensor behind the end": lambda h, c: set_in(h, "params/W1", "data_offsets", [0, 2**40]),
    "a shape beyond 64 bits": lambda h, c: set_in(h, "params/W1", "shape", [2**63, 2**63]),
    "a dtype that does not exist": lambda h, c: set_in(h, "params/W1", "dtype", "X99"),
    "a dtype that NumPy lacks": lambda h, c: set_in(h, "params/W1", "dtype", "BF16"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_changes_nothing(lie, tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(changed(lambda header, content: None))
    solver = solver_of(update_rule="adam", num_epochs=1, rng=0)
    solver.resume(path)  # what is not changed is taken
    solver = solver_of(update_rule="adam", num_epochs=1, rng=0)
    np.random.seed(1)
    before = outcome(solver)
    path.write_bytes(changed(LIES[lie]))
    with pytest.raises(CheckpointError, match=r"c\.safetensors"):
        solver.resume(path)
    assert outcome(solver) == before


@pytest.mark.parametrize("due", [None, 0, 2])
def test_an_estimate_may_be_due(due, tmp_path):
    """Files of version 0.1.0 do not say, as none was ever left to do."""

    def change(header, content):
        del content["progress"]["_estimate_due"]
        if due is not None:
            content["progress"]["_estimate_due"] = due

    path = tmp_path / "c.safetensors"
    path.write_bytes(changed(change))
    solver = solver_of(update_rule="adam", num_epochs=1, rng=0)
    solver.resume(path)
    assert solver.place.estimate_due == (due or 0)
