"""The work of a benchmark: the same data and the same weights for all sides, drawn from one seed.

A job is a dictionary that can be written as JSON:

===========  =====================================================================================
kind         keys
===========  =====================================================================================
``step``     model, options, batch, rule: one training step
``scores``   model, options, batch: inference
``epoch``    as step, and rows: one epoch of training on so many images (0 for all)
``conv``     x, w (shapes), stride, pad, part ('forward' or 'backward')
``pool``     x (shape), size, part: max pooling with the stride `size`
``affine``   x, w (shapes), part
===========  =====================================================================================

All have dtype, and optionally once (true where a call takes so long that it is not warmed up); those of
networks optionally image, (C, H, W) of one image.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from handgrad import data, models
from handgrad.models import Network

Job = dict[str, Any]
Arrays = dict[str, np.ndarray]

LEARNING_RATE = 1e-4  # for steps on one batch over and over; does not matter for the time
SEED = 231


def network(job: Job, dtype: str, dropout: bool = True) -> Any:
    """Build the model of a job with parameters in `dtype`; without its dropout if told so."""
    options = dict(job["options"])
    if not dropout:
        options.pop("dropout_keep_ratio", None)
    if job["model"] != "TwoLayerNet":
        options["dtype"] = dtype
    model = models.build(job["model"], **options, rng=np.random.default_rng(SEED))
    for name, w in model.params.items():
        model.params[name] = w.astype(dtype, copy=False)
    if options.get("normalization") == "batchnorm":
        model.load_buffers(_statistics(model, dtype))
    return model


def _statistics(model: Network, dtype: str) -> Arrays:
    """Draw running statistics, as if the model had been trained."""
    rng = np.random.default_rng(SEED)
    buffers = {}
    for name, shape in model.buffer_shapes().items():
        if "mean" in name:
            buffers[name] = 0.1 * rng.standard_normal(shape)
        elif "var" in name:
            buffers[name] = 0.5 + rng.random(shape)
    return {name: array.astype(dtype) for name, array in buffers.items()}


def batch(job: Job, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw the rows and labels of one step."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((job["batch"], *job.get("image", (3, 32, 32)))).astype(dtype)
    return X, np.asarray(rng.integers(10, size=job["batch"]))


def gradients(job: Job, dtype: str) -> Arrays:
    """Draw a made-up gradient for each parameter, to compare update rules with."""
    rng = np.random.default_rng(SEED)
    return {
        name: (1e-2 * rng.standard_normal(w.shape)).astype(dtype)
        for name, w in network(job, dtype).params.items()
    }


def layer_arrays(job: Job, dtype: str) -> Arrays:
    """Draw the arguments of a layer: x, dout, and for a convolution w and b."""
    rng = np.random.RandomState(SEED)  # the courses draw theirs in this way
    if job["kind"] == "affine":
        (N, D), (_, M) = job["x"], job["w"]
        sizes = {"x": (N, D), "w": (D, M), "b": (M,), "dout": (N, M)}
        return {name: rng.standard_normal(size).astype(dtype) for name, size in sizes.items()}
    (N, C, H, W), w = job["x"], job.get("w")
    if w is None:
        shapes = {"x": job["x"], "dout": (N, C, H // job["size"], W // job["size"])}
    else:
        rows, columns = (
            1 + (n + 2 * job["pad"] - k) // job["stride"]
            for n, k in zip((H, W), w[2:], strict=True)
        )
        shapes = {"x": job["x"], "w": w, "b": w[:1], "dout": (N, w[0], rows, columns)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def training_data(job: Job) -> Arrays:
    """Return the courses' dictionary of CIFAR-10, or of images of its shape that mean nothing."""
    if has_cifar10():
        arrays = data.load("cifar10").arrays
    else:
        rng = np.random.default_rng(SEED)
        arrays = {}
        for split, count in (("train", job["rows"] or 49_000), ("val", 1000)):
            arrays[f"X_{split}"] = rng.standard_normal((count, 3, 32, 32), np.float32)
            arrays[f"y_{split}"] = rng.integers(10, size=count)
    rows = job["rows"] or len(arrays["X_train"])
    val = min(rows, 1000)
    cut = {"X_train": rows, "y_train": rows, "X_val": val, "y_val": val}
    return {name: arrays[name][:count] for name, count in cut.items()}


def has_cifar10() -> bool:
    """Whether the environment says where the real images are."""
    return bool(os.environ.get("HANDGRAD_DATA"))
