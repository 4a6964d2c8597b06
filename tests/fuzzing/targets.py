"""What is fuzzed: bytes from strangers, and calls of the compiled functions that no layer would make.

Each target takes bytes, and raises only where there is a bug: an answer, or an error of the family, is right.
``run.py`` feeds them what libFuzzer finds, ``test_targets.py`` some random bytes.
"""

from __future__ import annotations

import contextlib
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import handgrad
from handgrad import layers
from handgrad.data import cifar10, pickled
from handgrad.errors import HandgradError

DTYPES = ("float32", "float64", "uint8", "int64", "float16", "complex64", ">f4")
REFUSED = (TypeError, ValueError, OverflowError, MemoryError)  # what the bindings may raise
KINDS = "ndarray|pairs|pair|tuple|Sequence|int|float|bool"


class Choices:
    """Numbers drawn from bytes; zeros behind their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, first: int, last: int) -> int:
        """Return a number from `first` to `last`."""
        byte = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1
        return first + byte % (last - first + 1)

    def one_of(self, things):
        """Return one of the things."""
        return things[self.number(0, len(things) - 1)]


def tensor_file(data: bytes) -> None:
    """Read a file of weights or a checkpoint."""
    model = handgrad.TwoLayerNet(4, 3, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(data)
        with contextlib.suppress(HandgradError):
            handgrad.load_weights(model, path)
        with contextlib.suppress(HandgradError):
            handgrad.training.load_checkpoint(path)


def cifar_batch(data: bytes) -> None:
    """Read a batch of CIFAR-10 in both of its forms, and the names of its classes."""
    for version in cifar10.VERSIONS:
        with contextlib.suppress(HandgradError):
            cifar10._decode(data, "batch", version)
    with contextlib.suppress(HandgradError):
        pickled.read_label_names(data, "batches.meta")


class Recorder:
    """The compiled module, and one call of each of its functions."""

    def __init__(self, module) -> None:
        self.module, self.calls = module, {}

    def __getattr__(self, name):
        function = getattr(self.module, name)

        def call(*arguments, **options):
            self.calls.setdefault((name, len(arguments)), (function, copied(arguments), options))
            return function(*arguments, **options)

        return call


def copied(arguments):
    """Return the arguments with their arrays copied, for functions that work in place."""
    if isinstance(arguments, tuple):
        return tuple(map(copied, arguments))
    return arguments.copy() if isinstance(arguments, np.ndarray) else arguments


@cache
def right_calls():
    """Return right calls of the compiled functions, as the layers and the update rules make them."""
    from handgrad import optim
    from handgrad.engines import native
    from handgrad.engines.native import _kernels

    recorder = Recorder(_kernels)
    modules = [one for one in vars(native).values() if hasattr(one, "_kernels")]
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    x, w, b, some = draw(2, 4, 6, 6), draw(4, 4, 3, 3), draw(4), draw(5, 4)
    same, half = {"pad": 1, "stride": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}
    bn = {"mode": "train"}
    for module in modules:
        module._kernels = recorder
    try:
        for name, arguments in (
            ("affine", (some, draw(4, 3), draw(3))), ("affine_relu", (some, draw(4, 3), draw(3))),
            ("conv", (x, w, b, same)), ("conv", (x, draw(4, 2, 3, 3), b, {**same, "groups": 2})),
            ("conv_relu_pool", (x, w, b, same, half)), ("conv_transpose", (x, w, b, {"stride": 2})),
            ("conv_bn_relu_pool", (x, w, b, b, b, same, bn, half)), ("max_pool", (x, half)),
            ("avg_pool", (x, half)), ("batchnorm", (some, b, b, bn)), ("bn_gelu", (x, b, b, bn)),
            ("spatial_batchnorm", (x, b, b, {"mode": "test", "running_mean": b, "running_var": b**2})),
            ("spatial_groupnorm", (x, b, b, 2, {})), ("relu", (x,)), ("leaky_relu", (x,)),
            ("gelu", (x,)), ("sigmoid", (x,)), ("tanh", (x,)), ("elu", (x,)),
            ("dropout", (x, {"p": 0.5, "mode": "train"})), ("upsample", (x, {"scale": 2})),
        ):  # fmt: skip
            out, cache = getattr(layers, f"{name}_forward")(*arguments, engine="native")
            getattr(layers, f"{name}_backward")(np.ones_like(out), cache)
        layers.softmax_loss(some, np.arange(5) % 4, engine="native")
        layers.svm_loss(some, np.arange(5) % 4, engine="native")
        for rule in ("sgd", "sgd_momentum", "adagrad", "rmsprop", "adam", "muon"):
            getattr(optim, rule)(some.copy(), some, None)
    finally:
        for module in modules:
            module._kernels = _kernels
    return list(recorder.calls.values())


def changed(choices: Choices, value):
    """Return an argument with something else about it."""
    if isinstance(value, np.ndarray):
        how = choices.number(0, 8)
        axis = choices.number(0, max(value.ndim - 1, 0))
        if how == 0:
            return value.real.astype(choices.one_of(DTYPES))
        if how == 1:
            return value.T
        if how == 2:
            return np.expand_dims(value, axis)
        if how == 3 and value.ndim:
            return np.take(value, 0, axis) if value.shape[axis] else value.ravel()
        if how == 4:
            return np.resize(value, [choices.number(0, 5) for _ in value.shape])
        if how == 5 and value.ndim:
            return value[
                tuple(
                    slice(None, None, -1) if i == axis else slice(None) for i in range(value.ndim)
                )
            ]
        if how == 6:
            return np.broadcast_to(value.ravel()[:1] if value.size else 0.0, value.shape)
        if how == 7 and value.dtype.kind in "iu":
            return ~value  # as places out of the image
        count = choices.number(0, 3) if value.ndim else 0
        return value[tuple(slice(count) if i == axis else slice(None) for i in range(value.ndim))]
    if isinstance(value, tuple) and value:
        at = choices.number(0, len(value) - 1)
        if not choices.number(0, 3):
            return value[:at]
        return (*value[:at], changed(choices, value[at]), *value[at + 1 :])
    if isinstance(value, bool) or value is None:
        return choices.one_of((True, False, None))
    if isinstance(value, float):
        return choices.one_of((0.0, -1.0, float("nan"), 1e300, value))
    return choices.one_of((0, 1, 2, 3, 5, -1, 1 << 31, 1 << 62))


def bindings(data: bytes) -> bool:
    """Make a right call of a compiled function with some arguments changed; return whether it was taken."""
    choices = Choices(data)
    function, arguments, options = choices.one_of(right_calls())
    arguments = list(copied(arguments))
    for _ in range(choices.number(1, 3)):
        at = choices.number(0, len(arguments) - 1)
        arguments[at] = changed(choices, arguments[at])
    try:
        with np.errstate(all="ignore"):
            function(*arguments, **options)
    except REFUSED:
        return False
    return True


TARGETS = {"tensors": tensor_file, "cifar": cifar_batch, "bindings": bindings}


def seeds(name: str) -> list[bytes]:
    """Return good files for a target to start from."""
    if name == "tensors":
        from safetensors.numpy import save

        arrays = {"W1": np.ones((4, 3), np.float32), "b1": np.ones(3, np.float32)}
        return [save(arrays), save(arrays, {"kind": "handgrad checkpoint"})]
    if name == "cifar":
        import pickle

        batch = {b"data": np.zeros((3, 3072), np.uint8), b"labels": [1, 2, 3]}
        names = {"label_names": ["cat"] * 10, "num_vis": 3072}
        return [pickle.dumps(one, 2) for one in (batch, names)]
    return []
