"""One to four convolutional blocks, each halving the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.seeds import ahead
from handgrad.experiments.study import Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    compared,
    measured,
    of_several_seeds,
    percent,
    tie,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def depths(setting: Setting) -> list[int]:
    """Return the numbers of blocks; the digits are too small for more than three."""
    return list(range(1, 4 if setting.dataset == "digits" else 5))


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            f"{depth} {'block' if depth == 1 else 'blocks'}",
            training(
                setting.dataset,
                images=setting.few(4000, 100),
                model={
                    "name": "ConvNet",
                    "conv_params": [{"num_filters": 32, "filter_size": 3}] * depth,
                    "hidden_dims": [],
                    "normalization": "batchnorm",
                },
                epochs=setting.few(6, 1),
                batch=50,
                seed=setting.seed,
            ),
        )
        for depth in depths(setting)
    ]


def _draw(results: Results) -> Figure:
    points = [(float(_blocks(name)), results[name]) for name in results]
    return sweep(
        {"(conv 3x3 - batch norm - relu - pool) x depth - affine, 32 filters": points},
        "The depth of a ConvNet",
        "convolutional blocks",
        {**ACCURACY, **LOSS},
        ticks=[depth for depth, _ in points],
    )


def _blocks(name: str) -> int:
    return int(name.partition(" ")[0])


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    accuracy = measured(results, best_val)
    best, near = ahead(accuracy)
    shallow, deep = min(results, key=_blocks), max(results, key=_blocks)
    first = (
        f"{deep} reach {compared(accuracy[deep], accuracy[shallow])} {shallow}; "
        f"{'the highest mean' if near else 'the best'} is {percent(accuracy[best])}, with {best}{tie(near)}."
    )
    deep_size, shallow_size = (results[name][0]["parameters"] for name in (deep, shallow))
    fewer = deep_size < shallow_size
    second = (
        f"The deepest network has {deep_size:,} parameters, {'fewer' if fewer else 'more'} than the "
        f"{shallow_size:,} of the shallowest"
        + (", whose last layer sees a larger image." if fewer else ".")
    )
    return first, second


STUDY = Study(
    name="depth",
    title="The depth of a ConvNet",
    source="CS231n assignment 2, ConvolutionalNetworks (things to try)",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
