"""Steps of a Solver by plans that call Python for layers and losses: their bits, errors and headers."""

from __future__ import annotations

import numpy as np
import pytest
from nn import own_layers as own
from training import test_compiled as plans
from training.interrupting import is_interrupted
from training.test_compiled import conv_net, regression, sequential, timeless, trained
from training.toys import images, make_data, outcome

from handgrad import nn
from handgrad.errors import NonFiniteError, ShapeError
from handgrad.optim import build_schedule
from handgrad.training import Solver

pytestmark = plans.pytestmark
whole_epochs = plans.whole_epochs


def mixed(**options):
    return sequential(
        nn.Affine(9), own.swish(), nn.BatchNorm(), own.scaled(), nn.Affine(3), **options
    )


def drawing(p=None):
    def make():
        drop = [] if p is None else [nn.Dropout(p)]
        return sequential(nn.Affine(9), own.noisy(), *drop, nn.Affine(3))

    return make


def on_images():
    return nn.Sequential(
        [nn.Conv2d(4, 3, pad=1), own.less_mean(), own.in_rows_order(), own.scaled(), nn.ReLU(), own.scaled(),
         nn.MaxPool(2), own.less_mean(), nn.Affine(4)],
        input_shape=(2, 6, 6), rng=0, reg=1e-2,
    )  # fmt: skip


def narrow_labels():
    data = make_data()
    return {name: x.astype(np.int32) if name[0] == "y" else x for name, x in data.items()}


def strict_hinge(scores, y):
    """Takes labels as they are in the data alone."""
    assert y.dtype == np.int32
    return own.squared_hinge(scores, y)


def bordered_chain():
    """A sandwich with running statistics that no operation computes."""
    return nn.Sequential(
        [nn.Conv2d(4, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(3, 2, pad=1), own.swish(),
         nn.Affine(4)],
        input_shape=(2, 6, 6), rng=0,
    )  # fmt: skip


class Branched(nn.Model):
    """A class with a forward of its own, which is fixed once it is compiled."""

    def __init__(self):
        super().__init__((2, 6, 6), rng=0, reg=1e-2)
        self.first, self.second = nn.Conv2d(4, 3, pad=1), nn.Conv2d(4, 3, pad=1)
        self.norm, self.act, self.gate, self.out = (
            nn.BatchNorm(),
            own.swish(),
            own.gated(),
            nn.Affine(4),
        )

    def forward(self, x):
        a = self.act(self.norm(self.first(x)))
        b = self.second(a)
        return self.out(self.gate(a + b, b))


def branched():
    model = Branched()
    model.compile((10, 2, 6, 6))
    return model


CASES = {
    "a loss of int32 labels": (
        lambda: sequential(nn.Affine(9), nn.Tanh(), nn.Affine(3), loss=strict_hinge), {"data": narrow_labels}
    ),
    "running statistics of a sandwich": (bordered_chain, {"data": images}),
    "branches": (branched, {"data": images}),
    "plain": (mixed, {}),
    "all at once": (
        mixed,
        {
            "clip_norm": 0.5,
            "ema": 0.9,
            "lr_decay": 0.9,
            "sampling": "shuffled",
            "schedule": build_schedule({"name": "cosine", "final": 0.1}),
            "update_rule": "adamw",
            "optim_config": {"learning_rate": 1e-2, "parameters": {"*W": {"l2": 1e-3}}},
        },
    ),
    "frozen": (mixed, {"freeze": ["scaled1.a"], "ema": 0.5, "update_rule": "sgd_momentum"}),
    "images": (on_images, {"data": images}),
    "noise from the stream of the rows": (drawing(), {"rng": None}),
    "noise and dropout from the stream of the rows": (drawing(0.7), {"rng": None}),
    "noise from a stream of its own": (drawing(0.7), {}),
    "noise, shuffled": (drawing(), {"rng": None, "sampling": "shuffled"}),
    "a mask that is always the same": (
        lambda: sequential(nn.Affine(9), nn.Dropout(0.7, seed=3), nn.Affine(3)), {"rng": None}
    ),
    "pools with a border": (
        lambda: nn.Sequential(
            [nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.MaxPool(3, 2, pad=1), nn.PReLU(), nn.AvgPool(3, 2, pad=1),
             nn.Affine(4)], input_shape=(2, 6, 6), rng=0,
        ),
        {"data": images},
    ),
    "a loss": (lambda: sequential(nn.Affine(9), nn.ReLU(), nn.Affine(3), loss=own.squared_hinge), {}),
    "focal loss, weights of rows": (
        lambda: sequential(nn.Affine(9), own.swish(), nn.Affine(3), loss="focal"),
        {"sample_weight": np.linspace(0.0, 3.0, 60) ** 3, "clip_norm": 0.5},
    ),
    "huber": (
        lambda: sequential(nn.Affine(9), nn.Tanh(), nn.Affine(2), loss={"name": "huber", "delta": 0.5}),
        {"data": regression, "metric": "loss"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_single_steps(name, precision):
    make, options = CASES[name]
    options = {**options, "precision": precision}
    single, singly_told = trained(make, by_plan=False, **options)
    planned, told = trained(make, by_plan=True, **options)
    assert planned.planned.why_not is None
    assert planned.planned.in_python
    assert planned.planned.steps == planned.iteration - 1
    assert outcome(planned) == outcome(single)
    assert timeless(told) == timeless(singly_told)
    for part in ("ema_params", "ema_buffers"):
        for key, array in getattr(single, part).items():
            assert getattr(planned, part)[key].tobytes() == array.tobytes(), key


def test_a_plan_that_was_made_before_a_step_has_shown_how_arrays_lie():
    """The header of a run asks for it."""
    found = []
    for by_plan in (False, True):
        solver = Solver(on_images(), images(), num_epochs=2, batch_size=10, verbose=False, rng=0)
        assert solver.planned.why_not is None
        if not by_plan:
            solver.planned.do = lambda *_: None
        solver.train()
        found.append(outcome(solver))
    assert found[0] == found[1]
    assert solver.planned.steps == solver.iteration - 1


class _Failing(nn.Layer):
    """Does what `problem` says from call number `at` of its forward or backward on."""

    def __init__(self, where, at, problem):
        super().__init__()
        self.where, self.at, self.problem, self.calls = where, at, problem, 0

    def shape(self, *shapes):
        return shapes[0]

    def _went(self, where, array):
        self.calls += where == self.where
        return self.problem(array) if where == self.where and self.calls > self.at else array

    def forward(self, xs, params, mode):
        return (self._went("forward", xs[0]) if mode == "train" else xs[0]), None

    def backward(self, dout, cache):
        return (self._went("backward", dout),), ()


def _raises(array):
    raise ZeroDivisionError("what a user's code may raise")


def _wrong(array):
    raise ShapeError("an error of the library")


PROBLEMS = {"of Python": (_raises, ZeroDivisionError), "of the library": (_wrong, ShapeError),
            "not finite": (lambda x: x * np.inf, NonFiniteError)}  # fmt: skip


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_errors_are_those_of_single_steps(problem, where):
    """They name the layer, and leave what they leave without a plan; another try goes on from there."""
    function, kind = PROBLEMS[problem]
    found = []
    for by_plan in (False, True):
        np.random.seed(7)
        layer = _Failing(where, 9, function)
        model = sequential(
            nn.Affine(9), own.noisy(), layer, nn.Dropout(0.8), nn.BatchNorm(), nn.Affine(3)
        )
        solver = Solver(
            model, make_data(), num_epochs=3, batch_size=10, verbose=False, rng=0, ema=0.9
        )
        if not by_plan:
            solver.planned.do = lambda *_: None
        with pytest.raises(kind) as error:
            solver.train()
        told = str(error.value) + "".join(getattr(error.value, "__notes__", []))
        assert problem == "not finite" or "layer1" in told, told
        state = outcome(solver)
        layer.at = 10**9
        solver.train()
        found.append((told, state, outcome(solver)))
    assert solver.planned.steps > 8
    assert found[0] == found[1]


def test_gradients_that_are_not_finite():
    """They matter where their parameter is trained."""

    class Infinite(own.Projection):
        def __init__(self, units):
            super().__init__(units)
            self.calls = 0

        def backward(self, dout, cache):
            dxs, (dw,) = super().backward(dout, cache)
            self.calls += 1
            return dxs, (np.full_like(dw, np.inf) if self.calls > 5 else dw,)

    found = {}
    for by_plan in (False, True):
        model = sequential(nn.Affine(9), Infinite(4), nn.Affine(3))
        solver, _ = trained(lambda model=model: model, by_plan=by_plan, freeze=["layer1.W"])
        found[by_plan] = outcome(solver)
        with pytest.raises(NonFiniteError, match=r"layer1\.W"):
            trained(lambda: sequential(nn.Affine(9), Infinite(4), nn.Affine(3)), by_plan=by_plan)
    assert found[True] == found[False]
    assert solver.planned.steps == solver.iteration - 1


def _doubled(array):
    return array.astype(np.float64 if array.dtype == np.float32 else np.float32)


@pytest.mark.parametrize(
    ("problem", "why"),
    [(_doubled, "is float64"), (lambda x: x[:, ::-1], "in another order")],
    ids=["dtype", "order"],
)
def test_what_a_plan_cannot_take_is_done_one_by_one(problem, why):
    found = []
    for by_plan in (False, True):
        model = sequential(nn.Affine(9), _Failing("forward", 5, problem), nn.Affine(3))
        solver = Solver(model, make_data(), num_epochs=2, batch_size=10, verbose=False, rng=0)
        if not by_plan:
            solver.planned.do = lambda *_: None
        solver.train()
        found.append(outcome(solver))
    assert why in solver.planned.why_not
    assert 0 < solver.planned.steps < 6
    assert found[0] == found[1]


def test_what_changes_its_inputs_is_done_one_by_one():
    class Decaying(own.Projection):
        def forward(self, xs, params, mode):
            if mode == "train":
                params[0][...] *= 0.9
            return super().forward(xs, params, mode)

    def proud(scores, y):
        scores -= 1
        return own.squared_hinge(scores, y)

    for make, why in [
        (lambda: sequential(nn.Affine(9), Decaying(4), nn.Affine(3)), "changes layer1.W"),
        (lambda: sequential(nn.Affine(3), loss=proud), "changes the scores"),
    ]:
        single, _ = trained(make, by_plan=False)
        planned, _ = trained(make, by_plan=True)
        assert why in planned.planned.why_not
        assert outcome(planned) == outcome(single)


def test_an_interruption_at_any_line_takes_the_steps_back():
    files = ("compiled/calls.py", "nn/own_layers.py", "compiled/training.py")

    def solver_of():
        np.random.seed(7)
        model = sequential(
            nn.Affine(5), own.noisy(), own.scaled(), nn.Affine(3), loss=own.squared_hinge
        )
        return Solver(model, make_data(), num_epochs=2, num_train_samples=20, verbose=False, rng=1,
                      update_rule="adam", batch_size=20, ema=0.9)  # fmt: skip

    whole = solver_of()
    whole.train()
    expected, lines = outcome(whole), 0
    for at in range(1, 10**6, 17):
        solver = solver_of()
        if not is_interrupted(solver.train, at, files):
            break
        solver.train()
        assert outcome(solver) == expected, at
        lines += 1
    assert lines > 20


def test_a_forward_of_ones_own_is_fixed_for_the_shape_it_was_compiled_for_alone():
    for make, size in [(Branched, 10), (branched, 9)]:
        solver, _ = trained(make, by_plan=True, data=images, batch_size=size, epochs=1)
        assert "may do something else in each call" in solver.planned.why_not
        assert solver.planned.steps == 0


def test_averages_of_what_a_call_keeps_are_left_to_single_steps():
    single, _ = trained(bordered_chain, by_plan=False, data=images, ema=0.9)
    planned, _ = trained(bordered_chain, by_plan=True, data=images, ema=0.9)
    assert "averages of what" in planned.planned.why_not
    assert outcome(planned) == outcome(single)


def test_the_plan_says_what_python_computes():
    solver, _ = trained(mixed, by_plan=True)
    assert solver.planned.in_python == ("swish()", "scaled()")
    steps = mixed().compile((4, 6), "sgd")
    steps.run(np.ones((4, 6), np.float32), np.zeros(4, int), steps=3, rng=0)
    assert repr(steps).endswith("one native call, in parts around swish(), scaled())")
    plain, _ = trained(conv_net, by_plan=True, data=images)
    assert plain.planned.in_python == ()
