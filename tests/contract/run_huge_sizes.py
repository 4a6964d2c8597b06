"""Calls with sizes around 2**31 and 2**63, in little memory: each must be refused.  Prints JSON.

Huge arrays are views of one number, so that making the call costs nothing.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import data, engines, layers, models, training
from handgrad.errors import HandgradError

MEMORY = 1 << 30  # bytes beyond what the process has at the start
SLOW = 20  # seconds for one call
GROWTH = 64 << 20  # bytes that a call may use
VALUES = [2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**40, 2**53, 2**59, 2**60, 2**62]
VALUES += [2**63 - 1, 2**63, 2**64, 10**30]
BEYOND = VALUES[5:]  # of which one side alone is beyond any memory
X = np.zeros((2, 3, 6, 6))
W = np.zeros((4, 3, 3, 3))
B = np.zeros(4)
ROWS = {"X_train": np.zeros((4, 6)), "y_train": np.array([0, 1, 2, 0])}
ROWS |= {"X_val": ROWS["X_train"], "y_val": ROWS["y_train"]}


def view(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    """Return zeros of a shape that no memory holds."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def options(engine: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield calls whose options are huge."""
    for v in VALUES:
        for name, pad in (("pad", v), ("pad rows", (v, 0)), ("pad columns", [0, v])):
            param = {"stride": 1, "pad": pad}
            yield f"conv {name} {v}", lambda p=param: layers.conv_forward(X, W, B, p, engine=engine)
        for pool in ("max_pool", "avg_pool"):
            forward = getattr(layers, f"{pool}_forward")
            for key in ("pool_height", "pool_width"):
                param = {"pool_height": 2, "pool_width": 2, "stride": 2, key: v}
                yield f"{pool} {key} {v}", lambda f=forward, p=param: f(X, p, engine=engine)
        yield (
            f"groups {v}",
            lambda v=v: layers.spatial_groupnorm_forward(
                X, np.ones(3), np.zeros(3), v, {}, engine=engine
            ),
        )
        yield f"maxout {v}", lambda v=v: layers.maxout_forward(X, v, engine=engine)
    for v in BEYOND:
        param = {"stride": v, "pad": 0}
        yield f"conv stride {v}", lambda p=param: layers.conv_forward(X, W, B, p, engine=engine)
        param = {"pool_height": 2, "pool_width": 2, "stride": v}
        yield f"pool stride {v}", lambda p=param: layers.max_pool_forward(X, p, engine=engine)


def arrays(engine: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield calls whose arrays are huge; NumPy itself has none of 2**63 bytes or more."""
    for v in VALUES:
        for dtype in (np.float32, np.float64):
            if v * 64 * np.dtype(dtype).itemsize >= 2**63:
                continue
            for name, call in calls_with(v, dtype, engine).items():
                if engine != "native" and name in ("affine inputs", "batchnorm", "spatial"):
                    continue  # sums over a view of one number, which take hours but no memory
                yield f"{name} {v} {np.dtype(dtype).name}", call


def calls_with(v: int, f: Any, engine: str) -> dict[str, Callable[[], Any]]:
    """Return calls on arrays of dtype `f` with `v` rows, columns or filters."""
    conv = {"stride": 1, "pad": 1}
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    train = {"mode": "train"}
    tall, wide = view(v, 6, dtype=f), view(2, v, dtype=f)
    images, long = view(v, 3, 4, 4, dtype=f), view(1, 3, v, 4, dtype=f)
    o = np.ones
    return {
        "affine rows": lambda: layers.affine_forward(tall, o((6, 3), f), o(3, f), engine=engine),
        "affine inputs": lambda: layers.affine_forward(
            wide, view(v, 3, dtype=f), o(3, f), engine=engine
        ),
        "affine outputs": lambda: layers.affine_forward(
            o((2, 6), f), view(6, v, dtype=f), view(v, dtype=f), engine=engine
        ),
        "conv images": lambda: layers.conv_forward(
            images, o((2, 3, 3, 3), f), o(2, f), conv, engine=engine
        ),
        "conv rows": lambda: layers.conv_forward(
            long, o((2, 3, 3, 3), f), o(2, f), conv, engine=engine
        ),
        "conv filters": lambda: layers.conv_forward(
            o((1, 3, 4, 4), f), view(v, 3, 3, 3, dtype=f), view(v, dtype=f), conv, engine=engine
        ),
        "max_pool": lambda: layers.max_pool_forward(images, pool, engine=engine),
        "avg_pool": lambda: layers.avg_pool_forward(long, pool, engine=engine),
        "global": lambda: layers.global_avg_pool_forward(images, engine=engine),
        "relu": lambda: layers.relu_forward(tall, engine=engine),
        "gelu": lambda: layers.gelu_forward(wide, "tanh", engine=engine),
        "maxout": lambda: layers.maxout_forward(tall, 2, engine=engine),
        "dropout": lambda: layers.dropout_forward(tall, {**train, "p": 0.5}, engine=engine),
        "batchnorm": lambda: layers.batchnorm_forward(
            tall, o(6, f), o(6, f), dict(train), engine=engine
        ),
        "layernorm": lambda: layers.layernorm_forward(tall, o(6, f), o(6, f), {}, engine=engine),
        "spatial": lambda: layers.spatial_batchnorm_forward(
            images, o(3, f), o(3, f), dict(train), engine=engine
        ),
        "softmax": lambda: layers.softmax_loss(tall, view(v, dtype=np.int64), engine=engine),
        "svm": lambda: layers.svm_loss(wide, np.zeros(2, int), engine=engine),
        "prelu": lambda: layers.prelu_forward(tall, o((), f), engine=engine),
    }  # fmt: skip


def others() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield calls of models, data and the Solver with huge numbers."""
    conv = {"num_filters": 2, "filter_size": 3}
    small = models.FullyConnectedNet([4], 6, 3, rng=0)
    for v in VALUES:
        yield f"hidden {v}", lambda v=v: models.FullyConnectedNet([v], 6, 3, rng=0)
        yield f"hidden twice {v}", lambda v=v: models.FullyConnectedNet([4, v], 6, 3, rng=0)
        yield f"input {v}", lambda v=v: models.TwoLayerNet(v, 5, 3, rng=0)
        yield f"classes {v}", lambda v=v: models.TwoLayerNet(6, 5, v, rng=0)
        yield f"filters {v}", lambda v=v: models.ThreeLayerConvNet((3, 8, 8), num_filters=v, rng=0)
        yield f"width {v}", lambda v=v: models.ThreeLayerConvNet((3, 8, v), rng=0)
        yield (
            f"conv net {v}",
            lambda v=v: models.ConvNet((3, 8, 8), [{**conv, "num_filters": v}], [4], 3, rng=0),
        )
        yield f"images {v}", lambda v=v: data.make_shapes(v)
        yield f"shapes {v}", lambda v=v: data.load("shapes", num_training=v)
        yield (
            f"batch {v}",
            lambda v=v: training.Solver(small, ROWS, batch_size=v, verbose=False).train(),
        )
        yield f"crop {v}", lambda v=v: data.random_crop(X, 0, v)


def outcome(call: Callable[[], Any]) -> str:
    """Return "refused", "memory", or what went wrong with `call`."""
    try:
        call()
    except HandgradError:
        return "refused"
    except MemoryError as error:
        return "memory" if re.search(r"\d", str(error)) else f"no amount in {str(error)[:80]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:120]}"
    return "took it"


def in_child(call: Callable[[], Any]) -> str:
    """Make the call in a fork of this process: what crashes, hangs or grows is seen."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(SLOW)
            before = _used("VmHWM")
            result = outcome(call)
            grown = _used("VmHWM") - before
            if grown > GROWTH:
                result = f"{result}, after {grown >> 20} MB were used"
            os.write(writer, result.encode()[:500])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        result = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return result if code == 0 else f"ended by signal {-code}"


def _used(what: str) -> int:
    """Return the bytes of this process that /proc calls `what`."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) << 10


def main() -> None:
    """Make all calls."""
    resource.setrlimit(resource.RLIMIT_AS, (_used("VmSize") + MEMORY,) * 2)
    counts: dict[str, int] = {}
    wrong: list[str] = []
    for engine in engines.available():
        calls = [*options(engine), *arrays(engine)]
        for name, call in [(f"{engine} {name}", call) for name, call in calls]:
            note(name, in_child(call), counts, wrong)
    for name, call in others():
        note(name, in_child(call), counts, wrong)
    sys.stdout.write(json.dumps({"counts": counts, "wrong": wrong}))


def note(name: str, result: str, counts: dict[str, int], wrong: list[str]) -> None:
    """Count a result."""
    counts[result] = counts.get(result, 0) + 1
    if result not in ("refused", "memory"):
        wrong.append(f"{name}: {result}")


if __name__ == "__main__":
    main()
