"""Deeper and deeper fully-connected networks, with and without batch normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.seeds import sample, told_apart
from handgrad.experiments.study import Record, Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    compared,
    final_loss,
    listing,
    loss_text,
    of_several_seeds,
    percent,
)

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


def _series(results: Results) -> dict[str, list[tuple[float, list[Record]]]]:
    series: dict[str, list[tuple[float, list[Record]]]] = {label: [] for label in NORMS}
    for name in results:
        depth, label = name.split(" hidden, ")
        series[label].append((int(depth), results[name]))
    return series


def _draw(results: Results) -> Figure:
    series = _series(results)
    depths = [depth for depth, _ in series["without"]]
    title = "Batch normalisation and depth: 100 units a layer, weights of standard deviation 0.02"
    return sweep(series, title, "hidden layers", {**ACCURACY, **LOSS}, ticks=depths)


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    with_, without = _series(results).values()
    depths = [int(depth) for depth, _ in with_]
    losses = [
        (sample(a, final_loss), sample(b, final_loss))
        for (_, a), (_, b) in zip(with_, without, strict=True)
    ]
    told = [told_apart(a, b, 0) for a, b in losses]
    lower = [
        depth
        for depth, (a, b), apart in zip(depths, losses, told, strict=True)
        if apart and a.mean < b.mean
    ]
    open_ = [str(depth) for depth, apart in zip(depths, told, strict=True) if not apart]
    if len(lower) == len(depths):
        first = "At every depth the training loss ends lower with batch normalisation than without"
    elif lower:
        names = listing([str(depth) for depth in lower])
        first = f"The training loss ends lower with batch normalisation at a depth of {names} only"
    else:
        first = "At no depth does the training loss end lower with batch normalisation"
    if open_:
        first += f"; at {listing(open_)} the seeds do not tell the two apart"
    deepest = [sample(of[-1][1], best_val) for of in (with_, without)]
    second = (
        f"With {depths[-1]} hidden layers it gives {compared(*deepest)} the plain network "
        f"({percent(deepest[0])} against {percent(deepest[1])}), whose loss ends at "
        f"{loss_text(losses[-1][1])} (guessing among ten classes is 2.30)."
    )
    return f"{first}.", second


STUDY = Study(
    name="batchnorm-depth",
    title="Batch normalisation and depth",
    source="CS231n assignment 2, BatchNormalization",
    dataset="digits",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
