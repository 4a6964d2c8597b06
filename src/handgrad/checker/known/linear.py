"""Assignment 1: losses of linear classifiers, and the two-layer network that has its weights inside."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad import layers
from handgrad.checker.known.configs import seeded
from handgrad.checker.known.layer import KnownLayer, Truth
from handgrad.checker.records import Call, Config, Raised
from handgrad.checker.undisturbed import quiet, run

# N, D, C, reg
_SIZES = [(5, 4, 3, 0.0), (4, 6, 3, 0.7), (6, 3, 4, 0.1), (1, 5, 3, 0.5), (7, 4, 2, 2.0)]


def configs(transposed: bool = False) -> list[Config]:
    """Rows more and fewer than columns, one row, two classes, no and strong regularisation."""
    rng, found = seeded(21), []
    for N, D, C, reg in _SIZES:
        W, X = rng.standard_normal((D, C)), rng.standard_normal((N, D))
        y = rng.integers(0, C, N)
        y[0] = C - 1
        traits = {"reg > 0"} if reg else {"reg is 0"}
        traits |= {"the batch has one row"} if N == 1 else set()
        arrays = {"W": np.ascontiguousarray(W.T) if transposed else W}
        found.append(
            Config(f"X {(N, D)}, reg {reg:g}", arrays, (X, y, reg), traits=frozenset(traits))
        )
    return found


def value_and_gradient(kind: str, W: Any, X: Any, y: Any, decay: float) -> tuple[Any, Any]:
    """Return ``loss(X W, y) + decay sum(W^2)`` and its gradient for W, (D, C)."""
    loss, dscores = getattr(layers, kind)(X @ W, y, engine="vectorized")
    return loss + decay * np.sum(W * W), X.T @ dscores + 2 * decay * W


def linear(kind: str, names: tuple[str, ...]) -> KnownLayer:
    """A loss of W, X, y and reg; the courses add reg sum(W^2), or half of it, see `_share`."""
    of_scores = scored if kind == "softmax_loss" else None
    layer = KnownLayer(f"linear_{kind}", configs, names, (), "linear", loss=True, scored=of_scores)
    return replace(layer, meant=lambda function: _with_share(layer, kind, _share(function)))


def scored(call: Call) -> tuple[Any, Any, Any]:
    """Return scores, labels, and the weight of each row in the loss."""
    X, y, _ = call.options
    return X @ call.arrays["W"], y, np.full(len(X), 1 / len(X))


def _with_share(layer: KnownLayer, kind: str, share: float) -> KnownLayer:
    def reference(config: Config) -> Truth:
        X, y, reg = config.options
        loss, dW = value_and_gradient(kind, config.arrays["W"], X, y, share * reg)
        return Truth({"out": loss}, (), lambda dout: {"dW": dout * dW})

    return replace(layer, reference=reference, cache={})


def _share(function: Callable[..., Any]) -> float:
    """Return which part of reg sum(W^2) the code adds: the courses' handouts say 1 or 1/2."""
    config = configs()[1]
    X, y, _ = config.options
    W = config.arrays["W"]
    with quiet():
        without, with_it = (run(function, W.copy(), X.copy(), y.copy(), r) for r in (0.0, 1.0))
    shares = [_added(without, with_it, 0, W * W), _added(without, with_it, 1, 2 * W)]
    return next((share for share in shares if share is not None), 1.0)


def _added(without: Any, with_it: Any, part: int, whole: np.ndarray) -> float | None:
    """Which part of sum(W^2), or of its gradient, reg adds to a loss, or to dW; None if none fits."""
    try:
        more = np.asarray(with_it[part]) - np.asarray(without[part])
    except (TypeError, IndexError, ValueError):
        return None
    total = np.sum(whole) if more.ndim == 0 else whole
    if more.dtype.kind != "f" or more.shape != np.shape(total):
        return None
    near = [share for share in (0.5, 1.0) if np.allclose(more, share * total, rtol=1e-5, atol=1e-6)]
    return near[0] if near else None


# the network of assignment 1, which keeps its weights itself

_PARAMETERS = ("W1", "b1", "W2", "b2")


class Missing(Exception):
    """A network's loss returns no gradient of a parameter."""


def is_neural_net(thing: Any) -> bool:
    """Whether a class is the TwoLayerNet of assignment 1: its sizes are called input_size, ...."""
    try:
        names = list(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return False
    return names[:3] == ["input_size", "hidden_size", "output_size"]


def neural_net(thing: Any) -> KnownLayer:
    """Return the network's loss as a layer of its four parameters; UCLA's weights are transposed."""
    transposed = _is_transposed(thing)

    def scored(call: Call) -> tuple[Any, Any, Any]:
        X, y, *_ = call.options
        W1, b1, W2, b2 = call.arrays.values()
        if transposed:
            W1, W2 = W1.T, W2.T
        return np.maximum(X @ W1 + b1, 0) @ W2 + b2, y, np.full(len(X), 1 / len(X))

    def reference(config: Config) -> Truth:
        X, y, reg, share = config.options
        W1, b1, W2, b2 = config.arrays.values()
        if transposed:
            W1, W2 = W1.T, W2.T
        hidden, first = layers.affine_relu_forward(X, W1, b1, engine="vectorized")
        scores, last = layers.affine_forward(hidden, W2, b2, engine="vectorized")
        loss, dscores = layers.softmax_loss(scores, y, engine="vectorized")
        dhidden, dW2, db2 = layers.affine_backward(dscores, last)
        _, dW1, db1 = layers.affine_relu_backward(dhidden, first)
        decay = share * reg
        loss = loss + decay * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dW1, dW2 = dW1 + 2 * decay * W1, dW2 + 2 * decay * W2
        if transposed:
            dW1, dW2 = dW1.T, dW2.T
        gradients = {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
        return Truth(
            {"out": loss}, (), lambda dout: {key: dout * value for key, value in gradients.items()}
        )

    share = _share_of_net(thing, transposed)
    return KnownLayer(
        "neural_net",
        functools.partial(_net_configs, transposed, share),
        ("TwoLayerNet",),
        (),
        "neural_net",
        loss=True,
        reference=reference,
        adapt=_as_loss,
        scored=scored,
    )


def _net_configs(transposed: bool, share: float) -> list[Config]:
    rng, found = seeded(22), []
    sizes = [(5, 4, 10, 3, 0.0), (4, 3, 6, 5, 0.7), (6, 5, 4, 3, 0.1), (1, 4, 5, 3, 0.3)]
    for N, D, H, C, reg in sizes:
        shapes = {"W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,)}
        arrays = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
        if transposed:
            arrays |= {key: np.ascontiguousarray(arrays[key].T) for key in ("W1", "W2")}
        y = rng.integers(0, C, N)
        traits = frozenset({"reg > 0" if reg else "reg is 0"})
        options = (rng.standard_normal((N, D)), y, reg, share)
        found.append(Config(f"X {(N, D)}, hidden {H}, reg {reg:g}", arrays, options, traits=traits))
    return found


def _as_loss(side: str, thing: Any) -> Any:
    """See the class as a function: its four parameters, X, y, reg -> the loss and four gradients."""
    if side == "backward":
        return thing

    @functools.wraps(thing, updated=())
    def loss(W1: Any, b1: Any, W2: Any, b2: Any, X: Any, y: Any, reg: Any, share: Any) -> Any:
        net = made(thing, dict(zip(_PARAMETERS, (W1, b1, W2, b2), strict=True)), X.shape[1])
        result = net.loss(X, y, reg=reg) if _has_reg(net.loss) else net.loss(X, y, reg)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            return result
        value, gradients = result
        if missing := [key for key in _PARAMETERS if key not in gradients]:
            raise Missing(f"grads lacks {', '.join(missing)}: never updated")
        return value, tuple(gradients[key] for key in _PARAMETERS)

    return loss


def _has_reg(function: Any) -> bool:
    """Whether a loss takes an argument called reg, wherever it stands."""
    try:
        return "reg" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def made(thing: Any, params: dict[str, Any], D: int) -> Any:
    """Return a network of the class with these parameters."""
    H, C = len(params["b1"]), len(params["b2"])
    net = thing(D, H, C)
    if not isinstance(getattr(net, "params", None), dict):
        raise NotImplementedError("the constructor does not make params")
    net.params.update(params)
    return net


def _is_transposed(thing: Any) -> bool:
    with quiet():
        net = run(thing, 3, 5, 4)
    if isinstance(net, Raised):
        return False
    params = getattr(net, "params", {})
    return isinstance(params, dict) and "W1" in params and np.shape(params["W1"]) == (5, 3)


def _share_of_net(thing: Any, transposed: bool) -> float:
    config = _net_configs(transposed, 1.0)[1]
    X, y, *_ = config.options
    loss = _as_loss("forward", thing)
    with quiet():
        without, with_it = (run(loss, *config.arrays.values(), X, y, r, 1.0) for r in (0.0, 1.0))
    W1, W2 = config.arrays["W1"], config.arrays["W2"]
    shares = [_added(without, with_it, 0, np.append(W1, W2) ** 2)]
    try:
        before, after = without[1], with_it[1]
        shares += [_added(before, after, at, 2 * W) for at, W in ((0, W1), (2, W2))]
    except (TypeError, IndexError):
        pass
    usual = 0.5 if transposed else 1.0
    return next((share for share in shares if share is not None), usual)
