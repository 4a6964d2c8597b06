"""ONNX's own test cases, put to Handgrad's layers and update rules.

An adapter translates a node's attributes and inputs to a call, and the result back.  It may reshape,
transpose, pad and scale what goes in and comes out; the computation itself is the layer's.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from handgrad import layers, optim

MODULES = [
    "adagrad",
    "adam",
    "averagepool",
    "batch_normalization",
    "conv",
    "dropout",
    "elu",
    "gelu",
    "gemm",
    "globalaveragepool",
    "groupnormalization",
    "instance_normalization",
    "layernormalization",
    "leakyrelu",
    "logsoftmax",
    "maxpool",
    "momentum",
    "prelu",
    "relu",
    "softmax",
    "softmax_cross_entropy_loss",
]

THREE_DIMENSIONAL = "images of three dimensions: Handgrad's have two"
DILATED = "a pooling window with gaps: Handgrad has none"
SKIPPED = {
    "test_averagepool_2d_dilations": DILATED,
    "test_averagepool_3d_default": THREE_DIMENSIONAL,
    "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False": THREE_DIMENSIONAL,
    "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True": THREE_DIMENSIONAL,
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False": THREE_DIMENSIONAL,
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": THREE_DIMENSIONAL,
    "test_averagepool_3d_dilations_small": THREE_DIMENSIONAL,
    "test_maxpool_2d_dilations": DILATED,
    "test_maxpool_3d_default": THREE_DIMENSIONAL,
    "test_maxpool_3d_dilations": THREE_DIMENSIONAL,
    "test_maxpool_3d_dilations_use_ref_impl": THREE_DIMENSIONAL,
    "test_maxpool_3d_dilations_use_ref_impl_large": THREE_DIMENSIONAL,
}

# Its outputs are typed with four decimals and one is off by more, so ONNX's own tolerance is taken.
TYPED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-3}


class Case(SimpleNamespace):
    """name; op; settings: the node's attributes; inputs and outputs: arrays, None for one left out."""


@functools.cache
def cases() -> tuple[Case, ...]:
    """All cases of the operators that Handgrad has."""
    from onnx import helper
    from onnx.backend.test.case import node as suite

    def import_ours(package: ModuleType) -> None:  # the whole suite would take a minute
        for name in MODULES:
            importlib.import_module(f"{package.__name__}.{name}")

    with mock.patch.object(suite, "import_recursive", import_ours):
        collected = suite.collect_testcases(None)
    found = []
    for case in collected:
        (node, *more) = case.model.graph.node
        if more or node.op_type not in ADAPTERS:
            continue  # the same operator spelt out in others
        ((inputs, outputs),) = case.data_sets
        given = iter(inputs)
        found.append(
            Case(
                name=case.name,
                op=node.op_type,
                settings={a.name: helper.get_attribute_value(a) for a in node.attribute},
                inputs=[next(given) if name else None for name in node.input],
                outputs=list(outputs),
            )
        )
    return tuple(found)


def run(case: Case) -> list[np.ndarray]:
    """What Handgrad computes for the case: its outputs, or the first of them."""
    return ADAPTERS[case.op](SimpleNamespace(**case.settings), *case.inputs, case=case)


def simple(name: str, **renamed: str) -> Any:
    """The adapter of an activation, its options under ONNX's names."""

    def adapter(settings: Any, x: np.ndarray, case: Case) -> list[np.ndarray]:
        options = {
            ours: _text(getattr(settings, theirs))
            for ours, theirs in renamed.items()
            if hasattr(settings, theirs)
        }
        return [getattr(layers, f"{name}_forward")(x, **options)[0]]

    return adapter


def conv(
    settings: Any, x: np.ndarray, w: np.ndarray, b: Any = None, *, case: Case
) -> list[np.ndarray]:
    strides = tuple(getattr(settings, "strides", (1, 1)))
    x, _ = _padded(x, w.shape[2:], strides, settings, 0.0)
    b = np.zeros(len(w), w.dtype) if b is None else b
    return [layers.conv_forward(x, w, b, {"stride": strides, "pad": 0})[0]]


def max_pool(settings: Any, x: np.ndarray, *, case: Case) -> list[np.ndarray]:
    """Where ONNX also wants the maxima's places: they are where the backward pass puts a gradient."""
    dtype = x.dtype
    padded, param, before, flat = _pooled(settings, x.astype(np.float32), -np.inf)
    out, cache = layers.max_pool_forward(padded, param)
    results = [out.reshape(out.shape[:2] + out.shape[3:] if flat else out.shape).astype(dtype)]
    if len(case.outputs) == 2:
        (N, C, H, W), places = x.shape, np.zeros(out.shape, np.int64)
        assert N == C == 1
        for i in np.ndindex(out.shape):
            dout = np.zeros_like(out)
            dout[i] = 1.0
            row, column = np.argwhere(layers.max_pool_backward(dout, cache))[0, 2:] - before
            by_columns = getattr(settings, "storage_order", 0)
            places[i] = column * H + row if by_columns else row * W + column
        results.append(places)
    return results


def average_pool(settings: Any, x: np.ndarray, *, case: Case) -> list[np.ndarray]:
    """Without the pad, the mean is that of the padded image over that of ones where the image is."""
    padded, param, _, flat = _pooled(settings, x, 0.0)
    included = getattr(settings, "count_include_pad", 0)
    ones, *_ = _pooled(settings, np.ones_like(x), 0.0, within=1.0 if included else 0.0)
    out = layers.avg_pool_forward(padded, param)[0] / layers.avg_pool_forward(ones, param)[0]
    return [out.reshape(out.shape[:2] + out.shape[3:]) if flat else out]


def _pooled(settings: Any, x: np.ndarray, fill: float, within: float | None = None) -> tuple:
    """The padded image, pool_param, the pad before it, and whether it is a line, seen as one row.

    within: what the pad holds, where the part that only rounding up (ceil_mode) adds holds `fill`.
    """
    kernel, strides = (
        list(settings.kernel_shape),
        list(getattr(settings, "strides", (1,) * (x.ndim - 2))),
    )
    flat = x.ndim == 3
    if flat:
        assert not hasattr(settings, "pads")
        x, kernel, strides = x[:, :, None], [1, *kernel], [1, *strides]
    padded, before = _padded(x, kernel, strides, settings, fill, within)
    param = {"pool_height": kernel[0], "pool_width": kernel[1], "stride": tuple(strides)}
    return padded, param, before, flat


def _padded(
    x: np.ndarray,
    kernel: Any,
    strides: Any,
    settings: Any,
    fill: float,
    within: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    sizes, kernel, strides = (np.array(part) for part in (x.shape[2:], kernel, strides))
    automatic = getattr(settings, "auto_pad", b"NOTSET").decode()
    pads = np.array(getattr(settings, "pads", [0] * 4)).reshape(2, 2)
    if automatic.startswith("SAME"):
        total = np.maximum((-(-sizes // strides) - 1) * strides + kernel - sizes, 0)
        smaller, larger = total // 2, total - total // 2
        pads = np.array([smaller, larger] if automatic == "SAME_UPPER" else [larger, smaller])
    within = fill if within is None else within
    around = [(0, 0), (0, 0), *pads.T]
    padded = np.pad(x, around, constant_values=within)
    if getattr(settings, "ceil_mode", 0):
        counts = 1 - (-(padded.shape[2:] - kernel) // strides)
        counts -= (counts - 1) * strides >= sizes + pads[0]  # no window begins behind the image
        more = np.maximum((counts - 1) * strides + kernel - padded.shape[2:], 0)
        padded = np.pad(padded, [(0, 0), (0, 0), *((0, m) for m in more)], constant_values=fill)
    return padded, pads[0]


def batch_norm(
    settings: Any, x: np.ndarray, gamma: Any, beta: Any, mean: Any, var: Any, *, case: Case
) -> list[np.ndarray]:
    train = getattr(settings, "training_mode", 0)
    param = {"mode": "train" if train else "test", "running_mean": mean, "running_var": var,
             "momentum": getattr(settings, "momentum", 0.9), **_eps(settings)}  # fmt: skip
    out = layers.spatial_batchnorm_forward(x, gamma, beta, param)[0]
    return [out, param["running_mean"], param["running_var"]] if train else [out]


def layer_norm(
    settings: Any, x: np.ndarray, gamma: Any, beta: Any, *, case: Case
) -> list[np.ndarray]:
    rows = x.reshape(int(np.prod(x.shape[: getattr(settings, "axis", -1) % x.ndim])), -1)
    out = layers.layernorm_forward(rows, gamma.ravel(), beta.ravel(), _eps(settings))[0]
    return [out.reshape(x.shape)]


def group_norm(
    settings: Any, x: np.ndarray, gamma: Any, beta: Any, *, case: Case
) -> list[np.ndarray]:
    groups = settings.num_groups
    return [layers.spatial_groupnorm_forward(x, gamma, beta, groups, _eps(settings))[0]]


def instance_norm(
    settings: Any, x: np.ndarray, gamma: Any, beta: Any, *, case: Case
) -> list[np.ndarray]:
    return [layers.spatial_instancenorm_forward(x, gamma, beta, _eps(settings))[0]]


def _eps(settings: Any) -> dict[str, float]:
    return {"eps": getattr(settings, "epsilon", 1e-5)}


def global_average_pool(settings: Any, x: np.ndarray, *, case: Case) -> list[np.ndarray]:
    out = layers.global_avg_pool_forward(x)[0]
    return [out.reshape(*out.shape, 1, 1)]


def prelu(settings: Any, x: np.ndarray, slope: np.ndarray, *, case: Case) -> list[np.ndarray]:
    """ONNX's slopes go along the last axes, Handgrad's along the second one."""
    return [layers.prelu_forward(x.reshape(-1, slope.size), slope.ravel())[0].reshape(x.shape)]


def gemm(
    settings: Any, a: np.ndarray, b: np.ndarray, c: Any = None, *, case: Case
) -> list[np.ndarray]:
    """A bias that is a matrix is more rows of weights, with ones in x."""
    alpha, beta = getattr(settings, "alpha", 1.0), getattr(settings, "beta", 1.0)
    x = np.float32(alpha) * (a.T if getattr(settings, "transA", 0) else a)
    w = b.T if getattr(settings, "transB", 0) else b
    bias = np.zeros(w.shape[1], w.dtype) if c is None else np.float32(beta) * c
    if bias.ndim == 2 and len(bias) > 1:
        x, w = np.hstack([x, np.eye(len(x), dtype=x.dtype)]), np.vstack([w, bias])
        bias = np.zeros(w.shape[1], w.dtype)
    bias = np.broadcast_to(bias.ravel(), w.shape[1:])
    return [layers.affine_forward(x, w, bias)[0]]


def softmax(settings: Any, x: np.ndarray, *, case: Case) -> list[np.ndarray]:
    rows, back = _rows(x, getattr(settings, "axis", -1))
    return [back(_p(rows))]


def _p(rows: np.ndarray) -> np.ndarray:
    """The probabilities of all classes but the label are the loss's gradient, times N."""
    p = np.empty_like(rows)
    for label in (0, 1):
        _, dx = layers.softmax_loss(rows, np.full(len(rows), label))
        others = np.arange(rows.shape[1]) != label
        p[:, others] = dx[:, others] * len(rows)
    return p


def log_softmax(settings: Any, x: np.ndarray, *, case: Case) -> list[np.ndarray]:
    rows, back = _rows(x, getattr(settings, "axis", -1))
    return [back(_log_p(rows))]


def _log_p(rows: np.ndarray) -> np.ndarray:
    """Minus the loss of each row alone, for each label."""
    return np.array(
        [[-layers.softmax_loss(row[None], [c])[0] for c in range(rows.shape[1])] for row in rows]
    )


def _rows(x: np.ndarray, axis: int) -> tuple[np.ndarray, Any]:
    moved = np.moveaxis(x, axis, -1)

    def back(rows: np.ndarray) -> np.ndarray:
        return np.moveaxis(rows.reshape(moved.shape), -1, axis)

    return moved.reshape(-1, x.shape[axis]), back


def softmax_loss(
    settings: Any, x: np.ndarray, y: np.ndarray, weights: Any = None, *, case: Case
) -> list[np.ndarray]:
    """Weights, and classes to be ignored (a weight of zero), are applied to the rows' own losses."""
    rows, back = _rows(x, 1)
    labels, ignored = y.ravel(), getattr(settings, "ignore_index", None)
    weight = (
        np.ones(len(labels), x.dtype)
        if weights is None
        else weights[labels.clip(0, len(weights) - 1)]
    )
    used = np.ones(len(labels), bool) if ignored is None else labels != ignored
    weight = np.where(used, weight, 0.0).astype(x.dtype)
    how = _text(getattr(settings, "reduction", b"mean"))
    if how == "mean" and (weight == 1.0).all():
        loss = layers.softmax_loss(rows, labels)[0]
    else:
        each = [
            layers.softmax_loss(row[None], [label if use else 0])[0]
            for row, label, use in zip(rows, labels, used, strict=True)
        ]
        each = weight * np.array(each, x.dtype)
        loss = {
            "none": each.reshape(y.shape),
            "sum": each.sum(),
            "mean": each.sum() / weight.sum(),
        }[how]
    results = [np.asarray(loss, x.dtype)]
    if len(case.outputs) == 2:
        log_p = np.log(_p(rows)) if len(rows) > 1000 else _log_p(rows)
        results.append(back(log_p.astype(x.dtype)))
    return results


def dropout(
    settings: Any, x: np.ndarray, ratio: Any = None, training: Any = False, *, case: Case
) -> list[np.ndarray]:
    """NumPy's stream gives u, and ONNX keeps where u >= ratio, Handgrad where 1 - u < 1 - ratio."""
    ratio = float(getattr(settings, "ratio", 0.5) if ratio is None else ratio)
    keep = 1.0 - ratio
    param = {"p": keep, "mode": "train" if training else "test", "rng": Mirrored(settings)}
    out, cache = layers.dropout_forward(x, param)
    mask = layers.dropout_backward(np.ones_like(x), cache) != 0.0
    return [out, mask] if len(case.outputs) == 2 else [out]


class Mirrored(np.random.RandomState):
    """The stream of a seed, but 1 - u for u."""

    def __init__(self, settings: Any) -> None:
        super().__init__(getattr(settings, "seed", 0))

    def random(self, size: Any = None) -> Any:
        return np.nextafter(1.0 - super().random(size), 0.0)  # u = ratio is kept


def momentum(settings: Any, rate: Any, t: Any, *arrays: np.ndarray, case: Case) -> list[np.ndarray]:
    """Handgrad's velocity holds minus the learning rate."""
    rule = "sgd_nesterov_momentum" if settings.mode == b"nesterov" else "sgd_momentum"
    dampened = settings.beta if t > 0 else 1.0
    nesterov_rate = float(rate) * dampened

    def step(x: Any, g: Any, v: Any) -> list[np.ndarray]:
        config = {"learning_rate": nesterov_rate, "momentum": settings.alpha, "velocity": -rate * v}
        x, config = optim.RULES[rule](x, g, config)
        return [x, config["velocity"] / -rate]

    return _each(step, settings, arrays, 3)


def adagrad(settings: Any, rate: Any, t: Any, *arrays: np.ndarray, case: Case) -> list[np.ndarray]:
    decayed = float(rate) / (1.0 + int(t) * settings.decay_factor)

    def step(x: Any, g: Any, h: Any) -> list[np.ndarray]:
        config = {"learning_rate": decayed, "epsilon": settings.epsilon, "cache": h}
        x, config = optim.RULES["adagrad"](x, g, config)
        return [x, config["cache"]]

    return _each(step, settings, arrays, 3)


def adam(settings: Any, rate: Any, t: Any, *arrays: np.ndarray, case: Case) -> list[np.ndarray]:
    """ONNX's first step (t = 0) takes no correction for the start: Handgrad's after very many steps."""
    assert t == 0

    def step(x: Any, g: Any, m: Any, v: Any) -> list[np.ndarray]:
        config = {"learning_rate": float(rate), "beta1": settings.alpha, "beta2": settings.beta,
                  "epsilon": settings.epsilon, "t": 10**6, "m": m, "v": v}  # fmt: skip
        x, config = optim.RULES["adam"](x, g, config)
        return [x, config["m"], config["v"]]

    return _each(step, settings, arrays, 4)


def _each(step: Any, settings: Any, arrays: tuple, kinds: int) -> list[np.ndarray]:
    """The step of each parameter: inputs and outputs are x1, x2, ..., g1, g2, ..., and the states."""
    count = len(arrays) // kinds
    results = []
    for i in range(count):
        x, g, *state = arrays[i::count]
        results.append(step(x, g + np.float32(settings.norm_coefficient) * x, *state))
    return [result[kind] for kind in range(kinds - 1) for result in results]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


ADAPTERS = {
    "Adagrad": adagrad,
    "Adam": adam,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "Dropout": dropout,
    "Elu": simple("elu", alpha="alpha"),
    "Gelu": simple("gelu", approximate="approximate"),
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "LeakyRelu": simple("leaky_relu", alpha="alpha"),
    "LogSoftmax": log_softmax,
    "MaxPool": max_pool,
    "Momentum": momentum,
    "PRelu": prelu,
    "Relu": simple("relu"),
    "Softmax": softmax,
    "SoftmaxCrossEntropyLoss": softmax_loss,
}
