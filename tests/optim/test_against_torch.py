"""1,000 float64 steps beside PyTorch's optimizers, on a convex problem and on random gradients.

All definitions agree (epsilon stands in the same place), but for momentum: there the velocity of
the courses holds the learning rate and PyTorch's does not, which is the same while the rate is
constant.  The minimum is too far away for any rule to reach it: there RMSProp's steps of constant
size go to and fro without end, and amplify any rounding.
"""

import numpy as np
import pytest

from handgrad.optim import RULES

torch = pytest.importorskip("torch")
optim = torch.optim

as_goal = pytest.mark.goal(9, "trajectories of 1,000 steps equal to PyTorch's within 1e-12")

RATE = 2e-3

CASES = {
    "sgd": (optim.SGD, {}, {}),
    "sgd_momentum": (optim.SGD, {"momentum": 0.9}, {"momentum": 0.9}),
    "sgd_nesterov_momentum": (
        optim.SGD,
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 0.8},
    ),
    "adagrad": (optim.Adagrad, {"eps": 1e-8}, {}),
    "rmsprop": (optim.RMSprop, {"alpha": 0.95, "eps": 1e-6}, {"decay_rate": 0.95, "epsilon": 1e-6}),
    "adadelta": (optim.Adadelta, {"rho": 0.95, "eps": 1e-6}, {}),
    "adam": (optim.Adam, {"betas": (0.8, 0.99)}, {"beta1": 0.8, "beta2": 0.99}),
    "adamw": (optim.AdamW, {"weight_decay": 0.02}, {"weight_decay": 0.02}),
}


def trajectories(name, gradient, steps=1000):
    """Return the largest difference over `steps`, relative to the largest weight of each step."""
    kind, theirs, ours = CASES[name]
    w = np.random.default_rng(1).standard_normal(12)
    tensor = torch.tensor(w, requires_grad=True)
    optimizer = kind([tensor], lr=RATE, **theirs)
    config = {"learning_rate": RATE, **ours}
    worst = 0.0
    for step in range(steps):
        tensor.grad = torch.tensor(gradient(tensor.detach().numpy(), step))
        optimizer.step()
        w, config = RULES[name](w, gradient(w, step), config)
        other = tensor.detach().numpy()
        worst = max(worst, np.max(np.abs(w - other)) / np.max(np.abs(other)))
    return worst


@as_goal
@pytest.mark.parametrize("name", CASES)
def test_a_convex_problem(name):
    rng = np.random.default_rng(2)
    root = rng.standard_normal((12, 12))
    matrix = root @ root.T / 12 + 0.1 * np.eye(12)
    target = rng.standard_normal(12) + 6.0
    assert trajectories(name, lambda w, step: matrix @ (w - target)) <= 1e-12


@as_goal
@pytest.mark.parametrize("name", CASES)
def test_random_gradients(name):
    gradients = np.random.default_rng(3).standard_normal((1000, 12))
    assert trajectories(name, lambda w, step: gradients[step]) <= 1e-12


def test_every_rule_is_compared():
    assert set(CASES) == set(RULES) - {"muon"}  # PyTorch's rounds its steps to bfloat16
