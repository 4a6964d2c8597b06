"""One to four convolutional blocks, each halving the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, best_val, compared, percent, ranked

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


def _sentences(results: Results) -> tuple[str, str]:
    accuracy = {name: best_val(results[name]) for name in results}
    best = ranked(accuracy)[0]
    shallow, deep = min(results, key=_blocks), max(results, key=_blocks)
    first = (
        f"{deep} reach {compared(accuracy[deep] - accuracy[shallow])} {shallow}; the best is "
        f"{percent(accuracy[best])}, with {best}."
    )
    fewer = results[deep]["parameters"] < results[shallow]["parameters"]
    second = (
        f"The deepest network has {results[deep]['parameters']:,} parameters, "
        f"{'fewer' if fewer else 'more'} than the {results[shallow]['parameters']:,} of the shallowest"
        + (", whose last layer sees a larger image." if fewer else ".")
    )
    return first, second


STUDY = Study(
    name="depth",
    title="The depth of a ConvNet",
    source="CS231n assignment 2, ConvolutionalNetworks (things to try)",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
