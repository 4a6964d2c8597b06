"""``python -m handgrad.bench.estimators``: defaults against scikit-learn's, on the data sets that it ships.

Each score is the mean of 5 seeds of a 5-fold cross-validation (accuracy; of diabetes R2), each fit with the
defaults of both sides and the same folds.  `mnist1d` is there where that package is installed.  With names
of data sets only those; ``--seeds N`` takes other than five.

With ``--fit`` it times the fit of a table instead, after the scores were seen to be equal or better: 20,000
rows of 50 numbers in float32, a network of 100 hidden units, batches of 200, 20 epochs on both sides.  The
figure is the median of so many turns, one after the other, in processor time of one thread.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import engines


def data_sets() -> dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]]:
    """Return what loads each data set: rows (n, d) and targets (n,)."""
    from sklearn import datasets

    names = ("iris", "wine", "breast_cancer", "digits", "diabetes")
    found: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
        name: lambda name=name: getattr(datasets, f"load_{name}")(return_X_y=True)  # type: ignore[misc]
        for name in names
    }
    return {**found, "mnist1d": _mnist1d}


def _mnist1d() -> tuple[np.ndarray, np.ndarray]:
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    return np.asarray(made["x"], float), np.asarray(made["y"])


def scores(
    X: np.ndarray, y: np.ndarray, make: Callable[[int], Any], seeds: int
) -> tuple[list[float], float]:
    """Return the score of each seed, the mean of its folds, and the processor seconds of all fits."""
    from sklearn.base import is_regressor
    from sklearn.model_selection import KFold, StratifiedKFold

    found = []
    started = time.process_time()
    for seed in range(seeds):
        estimator = make(seed)
        folds: Any = KFold if is_regressor(estimator) else StratifiedKFold
        each = []
        for train, test in folds(5, shuffle=True, random_state=seed).split(X, y):
            each.append(make(seed).fit(X[train], y[train]).score(X[test], y[test]))
        found.append(float(np.mean(each)))
    return found, time.process_time() - started


def fit_of_a_table(turns: int = 5) -> tuple[float, float, list[dict[str, Any]]]:
    """Return processor seconds of a fit of ours and of `MLPClassifier`, and what was verified of both.

    It is row 21 of `handgrad bench`, in processor time.  Raises WrongResult if the fit that is timed is not
    that of the same network, or scores less.
    """
    from handgrad.bench.use import table_fit

    task = table_fit(Path(), 1, False, lambda text: None)
    seconds: list[list[float]] = [[] for _ in task.sides]
    for _ in range(turns):
        for side, seen in zip(task.sides, seconds, strict=True):
            started = time.process_time()
            side.call()
            seen.append(time.process_time() - started)
    ours, theirs = (float(np.median(seen)) for seen in seconds)
    return ours, theirs, task.verified


def _made(cls: Any, seed: int) -> Any:
    return cls(random_state=seed)


def main(arguments: list[str]) -> int:
    """Print a line for each data set; return 1 if a default of ours is worse."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from threadpoolctl import threadpool_limits

    from handgrad.sklearn import HandgradClassifier, HandgradRegressor

    seeds = 5
    if "--seeds" in arguments:
        place = arguments.index("--seeds")
        seeds = int(arguments[place + 1])
        del arguments[place : place + 2]
    engines.set_threads(1)
    say = sys.stdout.write
    if "--fit" in arguments:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            ours_time, their_time, (one, two) = fit_of_a_table()
        say(
            f"fit of a table: Handgrad {ours_time:.2f} s (score {one['score']:.4f}), scikit-learn "
            f"{their_time:.2f} s (score {two['score']:.4f}): {their_time / ours_time:.2f} times as long\n"
        )
        return 0
    say("| data | Handgrad | scikit-learn | seconds | seconds |\n|---|---|---|---|---|\n")
    worse = 0
    for name, load in data_sets().items():
        if arguments and name not in arguments:
            continue
        try:
            X, y = load()
        except ModuleNotFoundError as error:
            say(f"| {name} | - | - | {error.name} is missing | |\n")
            continue
        ours, theirs = (
            (HandgradRegressor, MLPRegressor)
            if name == "diabetes"
            else (HandgradClassifier, MLPClassifier)
        )
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            a, our_time = scores(X, y, partial(_made, ours), seeds)
            b, their_time = scores(X, y, partial(_made, theirs), seeds)
        worse += np.mean(a) < np.mean(b)
        say(
            f"| {name} | {np.mean(a):.4f} ± {np.std(a):.4f} | {np.mean(b):.4f} ± {np.std(b):.4f} "
            f"| {our_time:.1f} | {their_time:.1f} |\n"
        )
        sys.stdout.flush()
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
