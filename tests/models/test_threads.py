"""One thread trains a network, others ask it: each call keeps its mode, statistics and draws to itself.

Run with a Python without a global interpreter lock, these tests look at real concurrency; with one, threads
change places as often as they can.
"""

import copy
import sys
import threading
import time

import numpy as np
import pytest

from handgrad import nn
from handgrad.errors import ConcurrencyError, NonFiniteError
from handgrad.models import MODELS, build
from handgrad.training import Callback, Solver
from handgrad.training.arrays import commit
from handgrad.training.averaging import replace
from handgrad.training.evaluate import scores_of

IMAGE, CLASSES = (2, 8, 8), 4
SMALL = {"input_shape": IMAGE, "num_classes": CLASSES}
CONV = {"num_filters": 3, "filter_size": 3}
LAYERS = [
    {"layer": "Conv2d", "num_filters": 4, "filter_size": 3, "pad": 1}, {"layer": "BatchNorm"},
    {"layer": "ReLU"}, {"layer": "Affine", "width": 6}, {"layer": "BatchNorm", "momentum": 0.5},
    {"layer": "Dropout", "p": 0.7, "rng": 3}, {"layer": "Affine", "width": CLASSES},
]  # fmt: skip
FULL = {"input_dim": 2 * 8 * 8, "num_classes": CLASSES}
NORMED = {"normalization": "batchnorm", "dropout_keep_ratio": 0.7}
OPTIONS = {
    "TwoLayerNet": {**FULL, "hidden_dim": 5},
    "FullyConnectedNet": {**FULL, **NORMED, "hidden_dims": [6, 5], "seed": 4},
    "ThreeLayerConvNet": {"input_dim": IMAGE, "num_classes": CLASSES, "hidden_dim": 5, "num_filters": 3},
    "ConvNet": {"input_dim": IMAGE, "num_classes": CLASSES, "conv_params": [CONV, CONV],
                "hidden_dims": [5], **NORMED},
    "Sequential": {"layers": LAYERS, "input_shape": IMAGE},
    "resnet8": SMALL,
    "resnet20": SMALL,
    "resnet56": SMALL,
    "densenet": {**SMALL, "depth": 2, "growth": 3},
    "vgg": {**SMALL, "widths": [3, 4], "hidden_dim": 5},
    "allconv": {**SMALL, "widths": [3, 4]},
    "speednet": {**SMALL, "widths": [3, 4], "components": 4},
}  # fmt: skip


class Block(nn.Model):
    """A Model that looks at its mode, and uses a normalisation twice."""

    def __init__(self):
        super().__init__(IMAGE, rng=0)
        self.stem, self.bn, self.relu = nn.Conv2d(4, 3, pad=1), nn.BatchNorm(), nn.ReLU()
        self.second, self.drop, self.scores = (
            nn.Conv2d(4, 3, pad=1),
            nn.Dropout(0.8, seed=5),
            nn.Affine(4),
        )

    def forward(self, x):
        x = self.relu(self.bn(self.stem(x)))
        x = self.relu(self.bn(self.second(x))) + x
        return self.scores(self.drop(x) if self.training else x)


def make(name):
    return Block() if name == "Model" else build(name, **OPTIONS[name], rng=0)


def data():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((24, *IMAGE)).astype(np.float32), rng.integers(CLASSES, size=24)
    return {"X_train": X[:16], "y_train": y[:16], "X_val": X[16:], "y_val": y[16:]}


ALL = [*MODELS, "Model"]
every_network = pytest.mark.parametrize("name", ALL)
ASKED = data()["X_val"][:6]


def evaluated(model):
    """Return scores of three batches of one state; nothing where a deep one has no statistics yet."""
    try:
        return scores_of(model, ASKED, batch_size=2)
    except NonFiniteError:
        return np.zeros(0)


ASK = {
    "loss(X)": lambda model: model.loss(ASKED),
    "activations": lambda model: list(model.activations(ASKED).values())[-1],
    "evaluate": lambda model: evaluated(model),
    "predict": lambda model: model.predict(ASKED, batch_size=2),
    "buffers": lambda model: np.concatenate(
        [np.ravel(b) for b in [*model.buffers().values(), [0.0]]]
    ),
}


def answers(model):
    with np.errstate(over="ignore", invalid="ignore"):  # a deep one has no statistics yet
        return {(what, ask(model).tobytes()) for what, ask in ASK.items()}


def looking(model, allowed):
    """Return a function that adds the answers of now, and leaves no trace in NumPy's global stream."""

    def look():
        state = np.random.get_state()
        allowed.update(answers(model))
        np.random.set_state(state)

    return look


def step(w, dw, config):
    """SGD in place, as a program of one's own may have it."""
    config.get("look", lambda: None)()
    w -= 0.05 * dw
    return w, config


class Watch(Callback):
    def __init__(self, look):
        self.look = look

    def on_step_end(self, solver, record):
        self.look()


DEEP = {"resnet20": 2, "resnet56": 1}  # where a step takes long: fewer epochs


def trained(model, look=None, num_epochs=4, rng=None):
    """Train; `look` is called whenever parameters or statistics have changed."""
    looks = [] if look is None else [Watch(look)]
    config = {} if look is None else {"look": look}
    np.random.seed(1)
    solver = Solver(model, data(), update_rule=step, optim_config=config, batch_size=8,
                    num_epochs=num_epochs, ema=0.6, rng=rng, verbose=False, callbacks=looks)  # fmt: skip
    if look:
        look()
    solver.train()
    if look:
        look()
    return solver


@pytest.fixture
def restless():
    """Let threads change places as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Asking:
    """Threads that call functions again and again; what they return and raise is kept."""

    def __init__(self, *functions):
        self.found, self.errors, self.is_over = set(), [], False
        self.threads = [threading.Thread(target=self.run, args=(f,)) for f in functions]

    def run(self, function):
        try:
            while not self.is_over:
                self.found |= function()
        except BaseException as error:  # the test fails with it
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors[0]


def test_every_ready_network_is_asked():
    assert set(OPTIONS) == set(MODELS)


@pytest.mark.thorough(keep=13)
@every_network
def test_predictions_beside_a_training(name, restless):
    """Losses are those of the quiet training; each answer is one of a state between two of its steps."""
    quiet, allowed = make(name), set()
    epochs = DEEP.get(name, 4)
    expected = trained(quiet, looking(quiet, allowed), epochs)
    for _ in range(1 if "resnet" in name or name == "densenet" else 4):
        model = make(name)
        model.prepare(data()["X_train"]) if hasattr(model, "prepare") else None
        ask = [lambda model=model: answers(model)] * (1 if name in DEEP else 2)
        with Asking(*ask) as asking:
            solver = trained(model, num_epochs=epochs)
        assert solver.loss_history == expected.loss_history
        assert solver.val_acc_history == expected.val_acc_history
        for key, w in expected.model.params.items():
            np.testing.assert_array_equal(solver.model.params[key], w)
        assert asking.found
        wrong = {what for what, _ in asking.found - allowed}
        assert not wrong, f"{wrong} answered from a state that never was"


@every_network
def test_two_threads_that_train_one_network_are_told(name):
    model, X, y = make(name), data()["X_train"][:4], data()["y_train"][:4]
    is_inside, go_on = threading.Event(), threading.Event()

    class Wait(Callback):
        def on_step_end(self, solver, record):
            is_inside.set()
            assert go_on.wait(60)

    kwargs = {"batch_size": 8, "num_epochs": 2, "rng": 2, "verbose": False}
    solver = Solver(model, data(), callbacks=[Wait()], **kwargs)
    other = Solver(copy.deepcopy(model), data(), **kwargs)
    thread = threading.Thread(target=solver.train, name="first")
    thread.start()
    try:
        assert is_inside.wait(60)
        for train in (lambda: model.loss(X, y), solver.train):
            with pytest.raises(ConcurrencyError, match=f"{type(model).__name__}: .*'first'"):
                train()
        model.loss(X)
        np.random.seed(0)  # of the other network's dropout
        other.train()
    finally:
        go_on.set()
        thread.join()
    assert len(solver.loss_history) == len(other.loss_history) == 4
    model.loss(X, y)  # now it is free


@pytest.mark.parametrize("name", ["FullyConnectedNet", "Model"])
def test_two_training_calls_at_once(name):
    model, X, y = make(name), data()["X_train"][:4], data()["y_train"][:4]
    is_inside, go_on, found = threading.Event(), threading.Event(), []
    loss = model._loss.func

    def waits(*arguments, **options):
        is_inside.set()
        assert go_on.wait(60)
        return loss(*arguments, **options)

    model._loss.func = waits
    expected = make(name).loss(X, y)[0]
    thread = threading.Thread(target=lambda: found.append(model.loss(X, y)[0]))
    thread.start()
    assert is_inside.wait(60)
    before = model.buffers()
    with pytest.raises(ConcurrencyError, match=type(model).__name__):
        model.loss(X, y)
    assert before == model.buffers() == {}
    go_on.set()
    thread.join()
    if name == "FullyConnectedNet":  # its dropout has a seed; the Model's is seeded as well
        assert found == [expected]
    assert model.buffers()


def test_different_networks_train_in_threads(restless):
    quiet = trained(make("resnet8"), rng=2).loss_history
    found = {}

    def train(number):
        model = make("resnet8")
        found[number] = Solver(model, data(), update_rule=step, batch_size=8, num_epochs=4, ema=0.6,
                               rng=2, verbose=False)  # fmt: skip
        found[number].train()

    threads = [threading.Thread(target=train, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number].loss_history for number in range(3)] == [quiet] * 3


def test_a_network_is_built_once(restless):
    """Threads that make the first call of a network without a shape share what one of them draws."""
    for _ in range(10):
        model = nn.Sequential([nn.Affine(6), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)], rng=0)
        scores, threads = [], []
        for _ in range(4):
            ask = threading.Thread(target=lambda m=model, s=scores: s.append(m.loss(ASKED)))
            threads.append(ask)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(scores) == 4
        for found in scores:
            np.testing.assert_array_equal(found, scores[0])


def test_check_accuracy_from_another_thread_leaves_the_random_stream_alone(restless):
    quiet = trained(make("FullyConnectedNet"), rng=2)
    solver = Solver(make("FullyConnectedNet"), data(), update_rule=step, batch_size=8, num_epochs=4,
                    ema=0.6, rng=2, verbose=False)  # fmt: skip
    X, y = data()["X_val"], data()["y_val"]
    is_inside = threading.Event()

    class First(Callback):
        def on_train_begin(self, solver):
            is_inside.set()

    solver.callbacks = [First()]

    def ask():
        is_inside.wait(60)
        return {solver.check_accuracy(X, y, num_samples=3)} if solver.iteration else set()

    np.random.seed(1)
    with Asking(ask, ask):
        solver.train()
    assert solver.loss_history == quiet.loss_history


def test_the_parameters_of_a_step_come_together(restless):
    model = make("TwoLayerNet")
    model._params = dict.fromkeys(map(str, range(20_000)), 0)
    with Asking(lambda: {len(set(model._state().params.values()))}) as asking:
        for value in range(60):
            commit(model.params, dict.fromkeys(model.params, value))
    assert asking.found == {1}


def test_the_best_parameters_and_statistics_come_together():
    """A thread that asks between the two waits for both."""
    model, found = make("FullyConnectedNet"), []
    trained(model)
    best = {name: 2 * w for name, w in model.params.items()}
    statistics = {name: 3 * b for name, b in model.buffers().items()}
    with model.fixed(best, statistics):
        allowed = [model.loss(ASKED).tobytes()]
    load_buffers = model.load_buffers

    def beside(buffers):
        thread = threading.Thread(target=lambda: found.append(model.loss(ASKED).tobytes()))
        thread.start()
        thread.join(0.3)
        load_buffers(buffers)

    model.load_buffers = beside
    replace(model, best, statistics)
    for _ in range(600):
        if found:
            break
        time.sleep(0.01)
    assert found == allowed


def test_estimates_of_averages_are_seen_by_their_own_thread_alone():
    model = make("Model")
    X = ASKED
    raw = model.loss(X)
    other = {name: 2 * w for name, w in model.params.items()}
    found = []
    with model.fixed(other, {}):
        assert not np.array_equal(model.loss(X), raw)
        assert model.params["stem.W"] is other["stem.W"]
        thread = threading.Thread(target=lambda: found.append(model.loss(X)))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(found[0], raw)
    np.testing.assert_array_equal(model.loss(X), raw)
    with model.fixed(other, {}):
        model.params = other  # a change by hand ends it
        assert model.params is not other
        model.params["stem.W"] = raw_weights = other["stem.W"] / 2
    assert model.params["stem.W"] is raw_weights
