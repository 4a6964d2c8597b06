"""Twenty scales of the initial weights, with and without batch normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.seeds import Sample, ahead, sample, told_apart
from handgrad.experiments.study import Record, Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    compared,
    number,
    of_several_seeds,
    percent,
    tie,
)

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


def _series(results: Results) -> dict[str, list[tuple[float, list[Record]]]]:
    series: dict[str, list[tuple[float, list[Record]]]] = {label: [] for label in NORMS}
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


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    with_, without = (
        {scale: sample(records, best_val) for scale, records in points}
        for points in _series(results).values()
    )
    count, plain = _usable(with_), _usable(without)
    verdict = "as many as without, as far as the seeds tell"
    if told_apart(count, plain, 0):
        verdict = f"{'more' if count.mean > plain.mean else 'fewer'} than without"
    first = (
        f"With batch normalisation {number(count, '.1f')} of {len(with_)} scales come within 5 points of "
        f"the best validation accuracy of their seed, {verdict} ({number(plain, '.1f')})."
    )
    (best, near), (other, its) = ahead(with_), ahead(without)
    second = (
        f"At its highest mean, with a scale of {_scale(best, near)}, it reaches "
        f"{compared(with_[best], without[other])} the plain network at its own, with {_scale(other, its)}: "
        f"{percent(with_[best])} against {percent(without[other])}."
    )
    return first, second


def _usable(accuracy: Mapping[float, Sample]) -> Sample:
    """Return, for each seed, how many scales have an accuracy within 5 points of its best."""
    seeds = zip(*(of.values for of in accuracy.values()), strict=True)
    return Sample(tuple(sum(value > max(values) - 0.05 for value in values) for values in seeds))


def _scale(best: float, near: Sequence[float]) -> str:
    return f"{best:.2g}{tie([f'{scale:.2g}' for scale in sorted(near)], 'other scales')}"


STUDY = Study(
    name="batchnorm-init",
    title="Batch normalisation and the scale of the initial weights",
    source="CS231n assignment 2, BatchNormalization",
    dataset="digits",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
