"""Ten steps of training, here and in PyTorch, each for itself: the same weights come out."""

from __future__ import annotations

import copy

import numpy as np

from handgrad.interop.describe import describe
from handgrad.interop.network import without_dropout
from handgrad.interop.rebuild import model_of

RATE = 0.01


def without_chance(net):
    """The same network in float64, without dropout."""
    again = model_of(without_dropout(describe(net)), dtype="float64")
    again.dtype = np.float64
    return again


def ours(net, X, y, count):
    """The gradients of the first step, and the parameters after `count` steps of SGD, by name."""
    first = None
    for _ in range(count):
        _, grads = net.loss(X, y)
        first = first or {name: np.array(g) for name, g in grads.items()}
        for name, grad in grads.items():
            net.params[name] -= RATE * grad
    return first, net.params


def torch_steps(module, X, y, count):
    """The same of a module of PyTorch, in the order of its parameters."""
    import torch

    module = copy.deepcopy(module).train()
    weights = list(module.parameters())
    optimizer = torch.optim.SGD(weights, lr=RATE)
    first = None
    for _ in range(count):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(torch.tensor(X)), torch.tensor(y)).backward()
        first = first or [
            np.zeros(w.shape) if w.grad is None else w.grad.numpy().copy() for w in weights
        ]
        optimizer.step()
    return first, [w.detach().numpy() for w in weights]


def same_numbers(mine, theirs, what, tolerance=1e-9):
    """Check that arrays hold the same numbers, in whichever layout: sorted, and by their sizes."""
    left = [np.sort(np.asarray(a, np.float64).reshape(-1)) for a in theirs]
    for name, array in mine.items():
        wanted = np.sort(np.asarray(array).reshape(-1))
        scale = max(np.abs(wanted).max(initial=0), 1.0)
        alike = [
            i
            for i, a in enumerate(left)
            if a.size == wanted.size and np.abs(a - wanted).max(initial=0) <= tolerance * scale
        ]
        assert alike, (what, name)
        left.pop(alike[0])
