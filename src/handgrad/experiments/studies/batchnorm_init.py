"""Twenty scales of the initial weights, with and without batch normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.study import Record, Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, best_val, percent, ranked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMS = {"with batch norm": "batchnorm", "without": None}


def scales(setting: Setting) -> list[float]:
    """Return the standard deviations of the weights, 1e-4 to 1."""
    return [float(f"{scale:.4g}") for scale in np.logspace(-4, 0, setting.few(20, 3))]


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            f"{scale:.2g}, {label}",
            training(
                setting.dataset,
                images=setting.few(1000, 100),
                model={
                    "name": "StudyNet",
                    "conv_params": [],
                    "hidden_dims": [50] * 7,
                    "weight_scale": scale,
                    **({"normalization": norm} if norm else {}),
                },
                epochs=setting.few(10, 2),
                batch=50,
                seed=setting.seed,
            ),
        )
        for label, norm in NORMS.items()
        for scale in scales(setting)
    ]


def _series(results: Results) -> dict[str, list[tuple[float, Record]]]:
    series: dict[str, list[tuple[float, Record]]] = {label: [] for label in NORMS}
    for name in results:
        scale = results.spec(name)["model"]["weight_scale"]
        series[name.partition(", ")[2]].append((scale, results[name]))
    return series


def _draw(results: Results) -> Figure:
    return sweep(
        _series(results),
        "Batch normalisation and the scale of the initial weights: 7 hidden layers of 50 units",
        "standard deviation of the weights",
        {**ACCURACY, **LOSS},
        log=True,
    )


def _sentences(results: Results) -> tuple[str, str]:
    series = {
        label: {scale: best_val(record) for scale, record in points}
        for label, points in _series(results).items()
    }
    best = {label: ranked(values)[0] for label, values in series.items()}
    usable = {label: _usable(values) for label, values in series.items()}
    with_, without = NORMS
    wider = len(usable[with_]) - len(usable[without])
    verdict = "more" if wider > 0 else "fewer" if wider < 0 else "as many"
    first = (
        f"With batch normalisation {len(usable[with_])} of {len(series[with_])} scales come within "
        f"5 points of its best validation accuracy, {verdict}{' as' if not wider else ' than'} without "
        f"({len(usable[without])})."
    )
    second = (
        f"The best accuracy is {percent(series[with_][best[with_]])} with it, at a scale of "
        f"{best[with_]:.2g}, and {percent(series[without][best[without]])} without, at {best[without]:.2g}."
    )
    return first, second


def _usable(accuracy: dict[float, float]) -> list[float]:
    """Return the scales whose accuracy is within 5 points of the best."""
    return [scale for scale, value in accuracy.items() if value > max(accuracy.values()) - 0.05]


STUDY = Study(
    name="batchnorm-init",
    title="Batch normalisation and the scale of the initial weights",
    source="CS231n assignment 2, BatchNormalization",
    dataset="digits",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
