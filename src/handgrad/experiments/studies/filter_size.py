"""Filters of 1 x 1 to 9 x 9 in the courses' three-layer ConvNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, best_val, final_train, percent, ranked

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
    points = [(float(_size(name)), results[name]) for name in results]
    return sweep(
        {"conv - relu - pool - affine - relu - affine, 32 filters": points},
        "The size of the filters in the three-layer ConvNet",
        "height and width of a filter (pixels)",
        {**ACCURACY, **LOSS},
        ticks=SIZES,
    )


def _sentences(results: Results) -> tuple[str, str]:
    accuracy = {name: best_val(results[name]) for name in results}
    order = ranked(accuracy)
    first = (
        f"Filters of {order[0]} reach the best validation accuracy, {percent(accuracy[order[0]])}; those "
        f"of {order[-1]} the lowest, {percent(accuracy[order[-1]])}."
    )
    sizes = sorted(results, key=_size)
    gap = {name: final_train(results[name]) - results[name]["val_acc"][-1] for name in sizes}
    small, large = sizes[0], sizes[-1]
    second = (
        f"The gap between training and validation accuracy at the end is {100 * gap[small]:.1f} points "
        f"for {small} and {100 * gap[large]:.1f} for {large}: larger filters overfit "
        f"{'more' if gap[large] > gap[small] else 'no more'} here."
    )
    return first, second


STUDY = Study(
    name="filter-size",
    title="The size of the filters",
    source="CS231n assignment 2, ConvolutionalNetworks (things to try)",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
