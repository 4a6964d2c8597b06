"""Filters of 1 x 1 to 9 x 9 in the courses' three-layer ConvNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.seeds import told_apart
from handgrad.experiments.study import Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    final_gap,
    measured,
    of_several_seeds,
    points,
    standing,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (1, 3, 5, 7, 9)


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            f"{size} x {size}",
            training(
                setting.dataset,
                images=setting.few(4000, 100),
                model={
                    "name": "ThreeLayerConvNet",
                    "num_filters": 32,
                    "filter_size": size,
                    "hidden_dim": 100,
                    "weight_scale": "kaiming",
                    "reg": 1e-3,
                },
                lr=3e-4,
                epochs=setting.few(6, 1),
                batch=50,
                seed=setting.seed,
            ),
        )
        for size in SIZES
    ]


def _size(name: str) -> int:
    return int(name.partition(" ")[0])


def _draw(results: Results) -> Figure:
    places = [(float(_size(name)), results[name]) for name in results]
    return sweep(
        {"conv - relu - pool - affine - relu - affine, 32 filters": places},
        "The size of the filters in the three-layer ConvNet",
        "height and width of a filter (pixels)",
        {**ACCURACY, **LOSS},
        ticks=SIZES,
    )


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    named = {f"filters of {name}": of for name, of in measured(results, best_val).items()}
    first = f"{capital(standing(named, plural=True))}."
    sizes = sorted(results, key=_size)
    small, large = sizes[0], sizes[-1]
    gap = measured(results, final_gap)
    verdict = "larger filters overfit no more here"
    if not told_apart(gap[large], gap[small]):
        verdict = "the seeds do not tell whether larger filters overfit more"
    elif gap[large].mean > gap[small].mean:
        verdict = "larger filters overfit more here"
    second = (
        f"The gap between training and validation accuracy at the end is {points(gap[small])} points "
        f"for {small} and {points(gap[large])} for {large}: {verdict}."
    )
    return first, second


STUDY = Study(
    name="filter-size",
    title="The size of the filters",
    source="CS231n assignment 2, ConvolutionalNetworks (things to try)",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
