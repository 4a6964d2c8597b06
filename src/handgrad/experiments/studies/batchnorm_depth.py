"""Deeper and deeper fully-connected networks, with and without batch normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.study import Record, Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, best_val, compared, final_loss, listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTHS = (1, 2, 4, 6, 8, 12)  # hidden layers
NORMS = {"with batch norm": "batchnorm", "without": None}


def _depths(setting: Setting) -> tuple[int, ...]:
    return DEPTHS[:2] if setting.quick else DEPTHS


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            f"{depth} hidden, {label}",
            training(
                setting.dataset,
                images=setting.few(1000, 100),
                model={
                    "name": "StudyNet",
                    "conv_params": [],
                    "hidden_dims": [100] * depth,
                    "weight_scale": 2e-2,
                    **({"normalization": norm} if norm else {}),
                },
                epochs=setting.few(10, 2),
                batch=50,
                seed=setting.seed,
            ),
        )
        for label, norm in NORMS.items()
        for depth in _depths(setting)
    ]


def _series(results: Results) -> dict[str, list[tuple[float, Record]]]:
    series: dict[str, list[tuple[float, Record]]] = {label: [] for label in NORMS}
    for name in results:
        depth, label = name.split(" hidden, ")
        series[label].append((int(depth), results[name]))
    return series


def _draw(results: Results) -> Figure:
    series = _series(results)
    depths = [depth for depth, _ in series["without"]]
    title = "Batch normalisation and depth: 100 units a layer, weights of standard deviation 0.02"
    return sweep(series, title, "hidden layers", {**ACCURACY, **LOSS}, ticks=depths)


def _sentences(results: Results) -> tuple[str, str]:
    series = _series(results)
    pairs = [
        (depth, with_, without)
        for (depth, with_), (_, without) in zip(*series.values(), strict=True)
    ]
    lower = [int(depth) for depth, a, b in pairs if final_loss(a) < final_loss(b)]
    if len(lower) == len(pairs):
        first = "At every depth the training loss ends lower with batch normalisation than without."
    elif lower:
        depths = listing([str(depth) for depth in lower])
        first = (
            f"The training loss ends lower with batch normalisation at a depth of {depths} only."
        )
    else:
        first = "At no depth does the training loss end lower with batch normalisation."
    depth, with_, without = pairs[-1]
    second = (
        f"With {depth:g} hidden layers it gives {compared(best_val(with_) - best_val(without))} the "
        f"plain network, whose loss ends at {final_loss(without):.2f} "
        f"(guessing among ten classes is 2.30)."
    )
    return first, second


STUDY = Study(
    name="batchnorm-depth",
    title="Batch normalisation and depth",
    source="CS231n assignment 2, BatchNormalization",
    dataset="digits",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
