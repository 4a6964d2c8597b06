"""Are the bits still the same?  Hashes of results, written on one tree and compared on another.

    HANDGRAD_NUM_THREADS=1 python tests/bits.py write before.json      # on the tree as it was
    HANDGRAD_NUM_THREADS=1 python tests/bits.py compare before.json    # after a change that moves code

Hashed (SHA-256 of bytes, dtype and shape) are outputs, gradients and running statistics of every row of
the contract table, in each engine and dtype; convolutions and sandwiches of larger sizes; ten training
steps of every ready network, in the default engine and in the vectorized one; five short trainings by the
Solver; and each of them stopped and resumed.  Bits depend on the processor and on the versions of NumPy and
its BLAS: compare on the machine that wrote.  Names that only one of the two trees knows are counted, and are
no difference: rows may be added.
"""

# ruff: noqa: T201
from __future__ import annotations

import copy
import hashlib
import itertools
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for name in ("HANDGRAD_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from contract.cases import CASES, LOSSES, random_like
from training.toys import StopAt

from handgrad import data, engines, layers, models, nn, optim
from handgrad.training import Solver, save_checkpoint

DTYPES = {
    "naive": ("float32", "float64", "complex128"),
    "vectorized": ("float32", "float64", "complex128"),
    "native": ("float32", "float64"),
}
SHOWN = 20


def digest(value: Any) -> str:
    """The hash of arrays and numbers, alone or in lists and dictionaries."""
    seen = hashlib.sha256()
    _add(seen, value)
    return seen.hexdigest()[:24]


def _add(seen: Any, value: Any) -> None:
    if isinstance(value, dict):
        for key in sorted(value):
            seen.update(str(key).encode())
            _add(seen, value[key])
    elif isinstance(value, list | tuple):
        seen.update(str(len(value)).encode())
        for item in value:
            _add(seen, item)
    elif value is None or isinstance(value, str):
        seen.update(repr(value).encode())
    else:
        array = np.asarray(value)
        assert array.dtype.kind in "biufc", array.dtype
        seen.update(f"{array.dtype.str}{array.shape}".encode())
        seen.update(array.tobytes())


# pairs


def of_pairs() -> Iterator[tuple[str, Any]]:
    """Every row of the contract table; also the other backwards that some pairs have."""
    for case in CASES:
        for engine in engines.available():
            for dtype in DTYPES[engine]:
                arrays = [np.ascontiguousarray(a, dtype) for a in case.arrays.values()]
                yield f"{case.id} {engine} {dtype}", _results(case, arrays, engine)


def _results(case: Any, arrays: list[np.ndarray], engine: str) -> list[Any]:
    if case.layer in LOSSES:
        return list(case.forward(*arrays, engine=engine))
    options = copy.deepcopy(case.options)
    out, cache = case.call(arrays, options, engine)
    dout = random_like(case, out)
    results = [out, *case.backward(dout, cache), [o for o in options if isinstance(o, dict)]]
    if case.layer == "batchnorm":
        results.append(layers.batchnorm_backward_alt(dout, cache))
    backward = getattr(layers, f"{case.layer}_backward")
    if "need_dx" in (backward.__kwdefaults__ or {}):
        results.append(backward(dout, cache, need_dx=False))
    return results


# channels of images and filters, size of images, size and pad of filters, stride, groups
LARGE = [(3, 32, 32, 3, 1, 1, 1), (3, 16, 16, 7, 3, 1, 1), (16, 32, 16, 3, 1, 1, 1), (32, 64, 8, 3, 1, 1, 1),
         (64, 64, 8, 3, 1, 1, 1), (32, 32, 8, 3, 1, 1, 32), (16, 32, 8, 1, 0, 2, 1), (3, 24, 32, 5, 2, 1, 1),
         (8, 16, 9, 4, 1, 2, 2)]  # fmt: skip


def of_large() -> Iterator[tuple[str, Any]]:
    """Convolutions of the sizes of networks, alone and in sandwiches: the kernels choose by size."""
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    for engine, dtype, sizes in itertools.product(
        ("native", "vectorized"), DTYPES["native"], LARGE
    ):
        if engine not in engines.available():
            continue
        C, F, side, window, pad, stride, groups = sizes
        rng = np.random.default_rng(sizes)
        x, w, vectors = (
            rng.standard_normal(shape).astype(dtype)
            for shape in ((6, C, side, side), (F, C // groups, window, window), (3, F))
        )
        conv = {"pad": pad, "stride": stride, "groups": groups}
        for mode in ("train", "test"):
            bn = {"mode": mode, "running_var": np.full(F, 2.0, dtype)}
            calls: dict[str, tuple[Any, ...]] = {
                "conv": (x, w, vectors[0], conv),
                "conv_relu": (x, w, vectors[0], conv),
                "conv_pool": (x, w, vectors[0], conv, pool),
                "conv_relu_pool": (x, w, vectors[0], conv, pool),
                "conv_bn_relu": (x, w, *vectors, conv, bn),
                "conv_bn_relu_pool": (x, w, *vectors, conv, bn, pool),
            }
            for layer, arguments in calls.items():
                if mode == "train" or "bn" in layer:
                    forward, backward = (
                        getattr(layers, f"{layer}_{way}") for way in ("forward", "backward")
                    )
                    out, cache = forward(*arguments, engine=engine)
                    dout = rng.standard_normal(out.shape).astype(dtype)
                    results = [backward(dout, cache, need_dx=need) for need in (True, False)]
                    name = f"{layer} {mode} {'x'.join(map(str, sizes))} {engine} {dtype}"
                    yield name, [out, results, dict(bn)]


# networks

IMAGES = (3, 8, 8)
CONVS = [{"num_filters": 6, "filter_size": 3}, {"num_filters": 8, "filter_size": 3, "pool": False}]


def networks() -> dict[str, Callable[[], Any]]:
    """Every ready network, small; the Sequential one of layers that no other has."""
    build = models.build
    common: dict[str, Any] = {"rng": 3, "reg": 0.01}
    sized = {"input_shape": IMAGES, **common}
    flat = {"input_dim": 192, **common}
    found: dict[str, Callable[[], Any]] = {
        "TwoLayerNet": lambda: build("TwoLayerNet", hidden_dim=20, **flat),
        "ThreeLayerConvNet": lambda: build(
            "ThreeLayerConvNet", input_dim=IMAGES, num_filters=6, filter_size=3, hidden_dim=20, **common
        ),
        "allconv": lambda: build("allconv", widths=[6, 8], **sized),
        "vgg": lambda: build("vgg", widths=[6, 8], hidden_dim=16, **sized),
        "densenet": lambda: build("densenet", depth=2, growth=4, **sized),
        "speednet": lambda: build("speednet", widths=[8, 8], **sized),
        "Sequential": lambda: nn.Sequential(
            [nn.Conv2d(5, 3, pad=1), nn.BatchNorm(), nn.ELU(), nn.AvgPool(2), nn.GroupNorm(5), nn.PReLU(),
             nn.Conv2d(10, 3), nn.Maxout(2), nn.Upsample(2), nn.LeakyReLU(), nn.GlobalAvgPool(),
             nn.Affine(12), nn.LayerNorm(), nn.Tanh(), nn.Dropout(0.7), nn.Affine(8), nn.Sigmoid(),
             nn.Affine(10)],
            input_shape=IMAGES, **common,
        ),
    }  # fmt: skip
    for name in ("resnet8", "resnet20", "resnet56"):
        found[name] = lambda name=name: build(name, **sized)
    for norm, keep in itertools.product((None, "batchnorm", "layernorm"), (1, 0.7)):
        options = {"normalization": norm, "dropout_keep_ratio": keep, **flat}
        found[f"FullyConnectedNet {norm} {keep}"] = lambda options=options: build(
            "FullyConnectedNet", hidden_dims=[20, 15], **options
        )
    for norm, dtype in itertools.product((None, "batchnorm", "layernorm"), ("float32", "float64")):
        made = {"normalization": norm, "dtype": np.dtype(dtype), **common}
        found[f"ConvNet {norm} {dtype}"] = lambda made=made: build(
            "ConvNet", input_dim=IMAGES, conv_params=CONVS, hidden_dims=[15], **made
        )
    return found


def of_networks() -> Iterator[tuple[str, Any]]:
    """Ten steps of Adam: losses, gradients of the last, parameters, statistics and scores at the end."""
    for name, make in networks().items():
        for engine in ("auto", "vectorized"):
            if engine != "auto" and name in ("resnet56", "resnet20"):
                continue  # the layers of resnet8 again, slowly
            np.random.seed(7)
            with engines.use(engine):
                yield f"{name} {engine}", _ten_steps(make())


def _ten_steps(model: Any) -> list[Any]:
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((12, *IMAGES)).astype(np.float32), rng.integers(0, 10, 12)
    if hasattr(model, "prepare"):
        model.prepare(X)
    state: dict[str, dict[str, Any]] = {name: {} for name in model.params}
    losses = []
    for _ in range(10):
        loss, grads = model.loss(X, y)
        losses.append(loss)
        for name, w in model.params.items():
            model.params[name], state[name] = optim.adam(w, grads[name], state[name])
    buffers = model.buffers() if hasattr(model, "buffers") else {}
    return [losses, grads, dict(model.params), buffers, model.loss(X)]


# trainings


def digits() -> dict[str, np.ndarray]:
    """A few of the digits, as images."""
    whole = data.load_digits()
    few = {key: value[:200] if "train" in key else value[:60] for key, value in whole.items()}
    return {key: v.reshape(-1, 1, 8, 8) if key[0] == "X" else v for key, v in few.items()}


def solvers() -> dict[str, Callable[[], Solver]]:
    """Five short trainings, each of something that only trainings do."""
    arrays = digits()

    def conv_net(**options: Any) -> Any:
        convs = [{"num_filters": 4, "filter_size": 3}]
        made = {"normalization": "batchnorm", "rng": 2, **options}
        return models.ConvNet((1, 8, 8), convs, [12], 10, **made)

    def solver(model: Any, **options: Any) -> Solver:
        kept = {
            "batch_size": 40,
            "num_epochs": 3,
            "num_train_samples": 100,
            "verbose": False,
            "rng": 5,
        }
        return Solver(model, arrays, **{**kept, **options})

    def seq() -> Any:
        layers_of = [
            nn.Conv2d(6, 3, pad=1),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.MaxPool(2),
            nn.Flatten(),
            nn.Affine(10),
        ]
        return nn.Sequential(layers_of, input_shape=(1, 8, 8), rng=1)

    easy = {"sampling": "shuffled", "skip_easy": 0.3, "num_epochs": 4}
    return {
        "batch norm, adam, decay": lambda: solver(conv_net(), update_rule="adam", lr_decay=0.9),
        "dropout of the global stream": lambda: solver(
            conv_net(dropout_keep_ratio=0.6), update_rule="sgd_momentum", rng=None
        ),
        "muon, clipping": lambda: solver(
            seq(), update_rule="muon", optim_config={"learning_rate": 0.05}, clip_norm=1.0
        ),
        "moving average": lambda: solver(
            conv_net(), update_rule="adam", ema=0.9, restore_best=False
        ),
        "shuffled, easy rows left out": lambda: solver(seq(), update_rule="rmsprop", **easy),
    }


def of_trainings() -> Iterator[tuple[str, Any]]:
    """The five trainings, and each of them stopped, saved, and resumed."""
    for name, make in solvers().items():
        np.random.seed(11)
        solver = make()
        solver.train()
        yield f"training: {name}", outcome(solver)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "stopped.safetensors"
            np.random.seed(11)
            part = make()
            part.callbacks = [StopAt(7)]
            part.train()
            save_checkpoint(part, path)
            rest = make()
            rest.resume(path)
            rest.train()
        yield f"resumed: {name}", outcome(rest)


def outcome(solver: Solver) -> list[Any]:
    """What a training leaves behind."""
    average = [solver.ema_params, solver.ema_buffers]
    histories = [solver.loss_history, solver.train_acc_history, solver.val_acc_history]
    states = {name: dict(config) for name, config in solver.optim_configs.items()}
    return [histories, dict(solver.model.params), solver.model.buffers(), states, average]


def hashes() -> dict[str, str]:
    """Name -> hash of every result."""
    found: dict[str, str] = {}
    for part in (of_pairs, of_large, of_networks, of_trainings):
        start = time.process_time()
        before = len(found)
        for name, value in part():
            assert name not in found, name
            found[name] = digest(value)
        spent = time.process_time() - start
        print(f"{part.__name__[3:]}: {len(found) - before} results, {spent:.1f} s", file=sys.stderr)
    return found


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names whose bits differ, in order."""
    return [name for name in before if name in after and before[name] != after[name]]


def main(arguments: list[str]) -> int:
    """Write the hashes, or compare with written ones; 1 if any differs."""
    if len(arguments) != 2 or arguments[0] not in ("write", "compare"):
        print(__doc__, file=sys.stderr)
        return 2
    command, file = arguments
    warnings.simplefilter("ignore")
    found = hashes()
    if command == "write":
        Path(file).write_text(json.dumps(found, indent=0) + "\n", "utf-8")
        print(f"{len(found)} hashes written to {file}")
        return 0
    before = json.loads(Path(file).read_text("utf-8"))
    different = compare(before, found)
    both = len(before.keys() & found.keys())
    print(f"{len(different)} differences in {both} results; "
          f"{len(before) - both} only before, {len(found) - both} only now")  # fmt: skip
    for name in different[:SHOWN]:
        print(f"  differs: {name}")
    if len(different) > SHOWN:
        print(f"  and {len(different) - SHOWN} more")
    return int(bool(different) or not both)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
