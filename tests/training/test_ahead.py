"""Batches made ahead by a thread: the same bits as without it, whatever comes in between."""

import numpy as np
import pytest

from handgrad import ConvNet
from handgrad.data import Augmentation, load
from handgrad.training import Solver
from handgrad.training import ahead as module
from handgrad.training.callbacks import Callback
from handgrad.training.compiled import Planned

SMALL = {"num_training": 60, "num_validation": 10, "num_test": 5}
AUGMENT = {"flip": 0.5, "crop": 2}


def trained(monkeypatch, worth, rows="rows", augment=AUGMENT, callbacks=(), **options):
    monkeypatch.setattr(module, "WORTH", worth)
    monkeypatch.setattr(Planned, "do", lambda *_: None)  # a plan takes its batches by itself
    dataset = load("shapes", **SMALL)
    data = dataset.rows if rows == "rows" else dict(dataset.arrays)
    np.random.seed(3)
    model = ConvNet(
        input_dim=(3, 32, 32), conv_params=[{"num_filters": 2, "filter_size": 3}], hidden_dims=[4],
        dropout_keep_ratio=options.pop("dropout", 1), rng=np.random.default_rng(0),
    )  # fmt: skip
    solver = Solver(
        model, data, update_rule="adam", batch_size=10, num_epochs=2, verbose=False, num_train_samples=20,
        augment=None if augment is None else Augmentation(augment), callbacks=callbacks, **options,
    )  # fmt: skip
    solver.train()
    return solver


def same(one, two):
    assert one.loss_history == two.loss_history
    assert one.val_acc_history == two.val_acc_history
    for name, w in one.model.params.items():
        assert np.array_equal(w, two.model.params[name]), name


@pytest.mark.parametrize(
    ("options", "hits"),
    [
        ({}, True),
        ({"augment": None}, True),
        ({"sampling": "shuffled"}, True),
        ({"rng": 5}, True),
        (
            {
                "sampling": "shuffled",
                "rng": 5,
                "augment": {"alternating_flip": 0, "color_jitter": 0.1},
            },
            True,
        ),
        ({"dropout": 0.5}, False),
        ({"dropout": 0.5, "rng": 5}, True),
        ({"sampling": "shuffled", "skip_easy": 0.5}, False),
    ],
)
def test_the_bits_are_those_without_the_thread(monkeypatch, options, hits):
    ahead, behind, arrays = (
        trained(monkeypatch, worth, rows, **options)
        for worth, rows in ((0, "rows"), (10**9, "rows"), (0, "arrays"))
    )
    assert behind.ahead.hits == arrays.ahead.hits == 0
    assert (ahead.ahead.hits >= 6) == hits
    same(ahead, behind)
    same(ahead, arrays)


class Disturb(Callback):
    """Draws from the stream, stops, and takes steps back."""

    def __init__(self, what):
        self.what = what

    def on_step_end(self, solver, record):
        if self.what == "draw" and solver.iteration % 3 == 0:
            solver.random.random(2)
        if self.what == "raise" and solver.iteration == 4:
            self.what = ""
            raise KeyboardInterrupt
        if self.what == "augment" and solver.iteration == 5:
            solver.augment = Augmentation({"cutout": 9})


@pytest.mark.parametrize("what", ["draw", "augment"])
def test_what_comes_in_between_is_noticed(monkeypatch, what):
    same(*(trained(monkeypatch, worth, callbacks=[Disturb(what)]) for worth in (0, 10**9)))


def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(monkeypatch):
    whole = trained(monkeypatch, 10**9)
    disturb = Disturb("raise")
    made = []

    class Keep(Callback):
        def on_train_begin(self, solver):
            made.append(solver)

    with pytest.raises(KeyboardInterrupt):
        trained(monkeypatch, 0, callbacks=[Keep(), disturb])
    made[0].train()
    same(whole, made[0])
    assert made[0].ahead._pool is None


def test_an_error_of_the_thread_is_raised(monkeypatch):
    from handgrad.data import Rows

    read = Rows.stored
    calls = []

    def damaged(self, chosen):
        calls.append(len(chosen))
        if len(calls) > 12:
            raise OSError("the disk is gone")
        return read(self, chosen)

    monkeypatch.setattr(Rows, "stored", damaged)
    with pytest.raises(OSError, match="the disk is gone"):
        trained(monkeypatch, 0)
