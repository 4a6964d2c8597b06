"""How far is it from a call to its arithmetic?  Python calls and files of four walks.

    python tests/walks.py          # a table
    python tests/walks.py -v       # and every function

Counted are the calls of Python functions of the package, with the native engine where it is built, and
float32; each walk was gone before, so that its sizes are known.
"""

# ruff: noqa: T201
from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import handgrad
from handgrad import engines, layers, nn
from handgrad.cli.app import run
from handgrad.training import Callback
from handgrad.training.config import RunConfig
from handgrad.training.run import start_run

PACKAGE = str(Path(handgrad.__file__).parent)
AFFINE = """
import numpy as np

def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)
"""


class Counted:
    """The calls of Python functions of the package while it counts, by file and name."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    def _see(self, frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            self.calls[code.co_filename[len(PACKAGE) + 1 :], code.co_qualname] += 1

    def __enter__(self) -> Counted:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self.calls.pop(("walks.py", "Counted.__exit__"), None)


class Walk(NamedTuple):
    """calls: how often each function, (file, name), was called."""

    calls: Counter[tuple[str, str]]

    @property
    def files(self) -> int:
        """The number of files."""
        return len({file for file, _ in self.calls})

    @property
    def total(self) -> int:
        """The number of calls."""
        return sum(self.calls.values())


def counted(call: Callable[[], Any], before: int = 2) -> Walk:
    """Count what `call` calls, after it was done `before` times."""
    for _ in range(before):
        call()
    with Counted() as seen:
        call()
    return Walk(seen.calls)


def block() -> Walk:
    """conv_bn_relu_pool_forward of the first block of a network."""
    draw = drawn()
    arrays = [draw(*shape) for shape in ((8, 3, 32, 32), (32, 3, 3, 3), (32,), (32,), (32,))]
    conv, bn = {"stride": 1, "pad": 1}, {"mode": "train"}
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    return counted(lambda: layers.conv_bn_relu_pool_forward(*arrays, conv, bn, pool))


def training_step() -> Walk:
    """One step of ``handgrad train``, with all that looks on."""
    config = RunConfig.default("shapes").with_overrides({"training.epochs": 1})
    with tempfile.TemporaryDirectory() as folder:
        watcher = Steps()
        training = start_run(config, Path(folder) / "run")
        training.train([watcher])
    return Walk(watcher.counted.calls)


class Steps(Callback):
    """Counts from the end of a step to the end of the next one."""

    def __init__(self) -> None:
        self.steps, self.counted = 0, Counted()

    def on_step_end(self, solver: Any, record: Any) -> None:
        """Begin to count, or end it."""
        self.steps += 1
        if self.steps == 4:
            self.counted.__enter__()
        elif self.steps == 5:
            self.counted.__exit__()


def affine_file() -> Walk:
    """``handgrad check`` of a file with an affine layer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "affine.py"
        path.write_text(AFFINE, "utf-8")

        def check() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                assert run(["check", str(path)]) == 0

        return counted(check, before=1)


def network_loss() -> Walk:
    """One loss, with gradients, of five layer objects."""
    parts = [nn.Conv2d(32, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Affine(10)]
    net = nn.Sequential(parts, input_shape=(3, 32, 32), rng=0)
    X, y = drawn()(8, 3, 32, 32), np.arange(8)
    return counted(lambda: net.loss(X, y))


def drawn() -> Callable[..., np.ndarray]:
    rng = np.random.default_rng(0)
    return lambda *shape: rng.standard_normal(shape).astype(np.float32)


WALKS = {"a": block, "b": training_step, "c": affine_file, "d": network_loss}


def walk(name: str) -> Walk:
    """Go the walk `name`, by the compiled engine where there is one."""
    with engines.use(engines.available()[-1]):
        return WALKS[name]()


if __name__ == "__main__":
    for name, function in WALKS.items():
        found = walk(name)
        print(f"{name}  {found.total:6} calls {found.files:4} files  {function.__doc__}")
        if "-v" in sys.argv:
            for (file, called), times in found.calls.most_common():
                print(f"   {times:6}  {file}  {called}")
