"""The rows of `handgrad bench` on using the library: fits beside other libraries', and one row.

Each side is seen to do the same first: as many parameters and epochs, and for the fits a score that is at
least the other side's but for a tolerance; the sides are then timed in turns, a fit a turn.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines, nn
from handgrad.bench.measure import WrongResult, interleave, samples_of
from handgrad.errors import check_choice

Result = dict[str, Any]
_MOST = 5  # turns of a fit


class Side(NamedTuple):
    """What is timed of a library: a call, and how it is set up."""

    name: str
    setting: str
    call: Callable[[], Any]


class Task(NamedTuple):
    """The sides, ours first; what was verified of them; and the seconds of a turn, 0 for one call."""

    sides: list[Side]
    verified: list[Result]
    seconds: float = 0.0


def results(
    row: int,
    title: str,
    case: str,
    what: str,
    *,
    threads: int,
    rounds: int,
    seconds: float,
    quick: bool,
    say: Callable[[str], None],
) -> Iterator[Result]:
    """Verify and time one of `TASKS`; yield its result, with a ratio for each library that is installed."""
    check_choice("bench", "what", what, TASKS)
    from threadpoolctl import threadpool_limits

    native = engines.get("native").control if "native" in engines.available() else None
    before = native.threads() if native else threads
    engines.set_threads(threads)
    try:
        with (
            warnings.catch_warnings(),
            threadpool_limits(threads),
            tempfile.TemporaryDirectory() as folder,
        ):
            warnings.simplefilter("ignore")
            say(f"row {row}, {case}: verifying")
            task = TASKS[what](Path(folder), threads, quick, say)
            say(f"  timing {', '.join(side.name for side in task.sides)}")
            turns = [_turn(side.call, min(task.seconds, seconds)) for side in task.sides]
            summaries = interleave(turns, rounds if task.seconds else min(rounds, _MOST))
    finally:
        engines.set_threads(before)
    records: list[Result] = [
        {"name": side.name, "setting": side.setting, "options": {}, **summary.to_dict()}
        for side, summary in zip(task.sides, summaries, strict=True)
    ]
    ours = records[0]["median"]
    yield {
        "row": row,
        "title": title,
        "case": case,
        "verified": task.verified,
        "unit": "s",
        "ours": records[0],
        "peers": [{**record, "ratio": record["median"] / ours} for record in records[1:]],
    }


def _turn(call: Callable[[], Any], seconds: float) -> Callable[[], list[float]]:
    return lambda: samples_of(call, seconds, warm=seconds > 0)


def check_same(found: dict[str, tuple[int, float]], tolerance: float) -> list[Result]:
    """Return a record of each side's parameters and score; WrongResult unless the first does as well.

    Args:
        found: name -> number of parameters, score; ours first.
        tolerance: by how much our score may be lower.
    """
    ours = next(iter(found))
    for name, (size, score) in found.items():
        if size != found[ours][0]:
            raise WrongResult(f"not the same network: {found[ours][0]} parameters, {name} {size}")
        if not found[ours][1] >= score - tolerance:
            raise WrongResult(f"{ours} scores {found[ours][1]:.4f}, less than {name}: {score:.4f}")
    return [{"who": name, "parameters": n, "score": score} for name, (n, score) in found.items()]


# a table, beside MLPClassifier


def table_fit(folder: Path, threads: int, quick: bool, say: Callable[[str], None]) -> Task:
    """The fit of `HandgradClassifier` and of `MLPClassifier`: rows of 50 numbers, 100 hidden units."""
    from sklearn.datasets import make_classification
    from sklearn.neural_network import MLPClassifier

    from handgrad.sklearn import HandgradClassifier

    rows = 2000 if quick else 20_000
    X, y = make_classification(
        2 * rows, 50, n_informative=30, n_classes=5, n_clusters_per_class=2, class_sep=1.5, random_state=0
    )  # fmt: skip
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)  # as ours does inside, for both
    same: dict[str, Any] = {
        "hidden_layer_sizes": (100,),
        "batch_size": 200,
        "max_iter": 20,
        "tol": 0.0,
        "n_iter_no_change": 100,
        "random_state": 0,
    }
    sides, found = [], {}
    for name, cls in (("Handgrad", HandgradClassifier), ("scikit-learn", MLPClassifier)):
        fitted = _fitted(cls, same, X[:rows], y[:rows])
        weights = (
            fitted.model_.params.values()
            if name == "Handgrad"
            else fitted.coefs_ + fitted.intercepts_
        )
        found[name] = sum(w.size for w in weights), float(fitted.score(X[rows:], y[rows:]))
        if fitted.n_iter_ != same["max_iter"]:
            raise WrongResult(f"{name} did {fitted.n_iter_} epochs, not {same['max_iter']}")
        call = partial(_fitted, cls, same, X[:rows], y[:rows])
        sides.append(Side(name, f"{cls.__name__}, defaults", call))
    return Task(sides, check_same(found, 0.005))


def _fitted(cls: Any, options: dict[str, Any], X: np.ndarray, y: np.ndarray) -> Any:
    return cls(**options).fit(X, y)


# images of 28x28, beside Keras and skorch

_BATCH, _RATE = 64, 1e-3


def image_fit(folder: Path, threads: int, quick: bool, say: Callable[[str], None]) -> Task:
    """The fit of two convolutions and two affine layers on grey images, by Adam."""
    from handgrad.data import make_shapes

    count, epochs = (256, 1) if quick else (2048, 4)
    images, labels = make_shapes(count + 1000, seed=3)
    X = images.mean(axis=1, keepdims=True)[:, :, 2:30, 2:30].astype(np.float32)
    X = (X - X[:count].mean()) / X[:count].std()
    data = X[:count], labels[:count].astype(np.int64), X[count:], labels[count:]
    sides, found = [], {}
    for name, make in (("Handgrad", _ours), ("Keras 3", _keras), ("skorch", _skorch)):
        try:
            setting, fit = make(data, epochs, threads)
        except ImportError as error:
            say(f"  {name} is left out: {error}")
            continue
        found[name] = fit()
        sides.append(Side(name, setting, fit))
    return Task(sides, check_same(found, 0.05))


Fit = tuple[str, Callable[[], tuple[int, float]]]
"""How a library is set up, and what fits its network and returns its size and its score."""


def _ours(data: Any, epochs: int, threads: int) -> Fit:
    from handgrad.training import Solver

    X, y, X_test, y_test = data

    def fit() -> tuple[int, float]:
        parts: list[Any] = []
        for filters in (16, 32):
            parts += [nn.Conv2d(filters, 3, pad=1), nn.ReLU(), nn.MaxPool(2)]
        parts += [nn.Affine(64), nn.ReLU(), nn.Affine(10)]
        model = nn.Sequential(parts, (1, 28, 28), rng=0)
        solver = Solver(
            model,
            {"X_train": X, "y_train": y, "X_val": X[:1], "y_val": y[:1]},
            update_rule="adam",
            optim_config={"learning_rate": _RATE},
            batch_size=_BATCH,
            num_epochs=epochs,
            num_train_samples=1,
            sampling="shuffled",
            restore_best=False,
            rng=0,
            verbose=False,
        )
        solver.train()
        size = sum(w.size for w in model.params.values())
        return size, float(np.mean(model.loss(X_test).argmax(axis=1) == y_test))

    return "Solver", fit


def _keras(data: Any, epochs: int, threads: int) -> Fit:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    X, y, X_test, y_test = data
    layers = keras.layers
    first = keras.backend.image_data_format() == "channels_first"
    X, X_test = (a if first else np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (X, X_test))

    def fit() -> tuple[int, float]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input(X.shape[1:])])
        for filters in (16, 32):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.MaxPooling2D())
        model.add(layers.Flatten())
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dense(10))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(_RATE), loss)
        model.fit(X, y, batch_size=_BATCH, epochs=epochs, verbose=0)
        scores = model.predict(X_test, batch_size=500, verbose=0)
        return model.count_params(), float(np.mean(scores.argmax(axis=1) == y_test))

    return f"{keras.__version__} on {keras.backend.backend()}", fit


def _skorch(data: Any, epochs: int, threads: int) -> Fit:
    import skorch
    import torch

    torch.set_num_threads(threads)
    X, y, X_test, y_test = data

    def fit() -> tuple[int, float]:
        torch.manual_seed(0)
        parts: list[Any] = []
        for channels, filters in ((1, 16), (16, 32)):
            parts += [torch.nn.Conv2d(channels, filters, 3, padding=1), torch.nn.ReLU()]
            parts += [torch.nn.MaxPool2d(2)]
        parts += [torch.nn.Flatten(), torch.nn.Linear(32 * 49, 64), torch.nn.ReLU()]
        net = skorch.NeuralNetClassifier(
            torch.nn.Sequential(*parts, torch.nn.Linear(64, 10)),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=_RATE,
            batch_size=_BATCH,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )
        net.fit(X, y)
        size = sum(w.numel() for w in net.module_.parameters())
        return size, float(np.mean(net.predict(X_test) == y_test))

    return f"{skorch.__version__}, PyTorch {torch.__version__}", fit


# one row, beside ONNX Runtime


def one_row(folder: Path, threads: int, quick: bool, say: Callable[[str], None]) -> Task:
    """The probabilities of one raw row of a trained run, opened by `handgrad.load`, and of its ONNX file.

    Both sides take the row as it comes, NumPy's float32, and return probabilities as NumPy's array: the
    file has the run's preprocessing in front of the network and a softmax behind it.
    """
    import handgrad
    from handgrad.data import from_arrays, load_digits
    from handgrad.training import train

    digits = load_digits()
    X, y = digits["X_train"].reshape(-1, 64).astype(np.float32), digits["y_train"]
    run = train(from_arrays(X, y), folder, {"training.epochs": 1})
    model = handgrad.load(run.folder)
    x = X[:1]
    sides = [Side("Handgrad", "handgrad.load(run).predict_proba", lambda: model.predict_proba(x))]
    verified: list[Result] = []
    try:
        import onnxruntime

        file = _with_preprocessing(run.folder, model.preprocessing, folder)
    except ImportError as error:
        say(f"  ONNX Runtime is left out: {error}")
        return Task(sides, verified, 0.2)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options)
    name = session.get_inputs()[0].name
    off = float(np.abs(session.run(None, {name: x})[0] - model.predict_proba(x)).max())
    if not off <= 1e-5:
        raise WrongResult(f"ONNX Runtime: the probabilities are off by {off:.1e}")
    verified.append({"who": "ONNX Runtime", "error": off})
    setting = f"{onnxruntime.__version__}, preprocessing and softmax in the file"
    sides.append(Side("ONNX Runtime", setting, lambda: session.run(None, {name: x})[0]))
    return Task(sides, verified, 0.2)


def _with_preprocessing(run: Path, how: Any, folder: Path) -> Path:
    """Return the ONNX file of a run's network with its centring and scaling, and a softmax."""
    import onnx
    from onnx import helper, numpy_helper

    from handgrad.interop import export

    file = folder / "net.onnx"
    found = onnx.load(export(run, "onnx", file, bare=True, fold=True).files[0])
    graph = found.graph
    first, last = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.input[:] = ["prepared" if name == first else name for name in node.input]
    for name, array in (("mean", how.mean), ("std", how.std)):
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    graph.node.insert(0, helper.make_node("Div", ["centred", "std"], ["prepared"]))
    graph.node.insert(0, helper.make_node("Sub", [first, "mean"], ["centred"]))
    graph.node.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    graph.output[0].name = "probabilities"
    onnx.checker.check_model(found)
    onnx.save(found, file)
    return file


TASKS: dict[str, Callable[[Path, int, bool, Callable[[str], None]], Task]] = {
    "table_fit": table_fit,
    "image_fit": image_fit,
    "one_row": one_row,
}
