"""Random flips, shifts and holes in few training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import curves
from handgrad.experiments.seeds import ahead
from handgrad.experiments.study import Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    compared,
    gap_change,
    measured,
    of_several_seeds,
    percent,
    tie,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "none"


def _kinds(setting: Setting) -> dict[str, dict[str, float]]:
    """Return name -> augmentation; shifts and holes fit the size of the images."""
    pad, size = (1, 2) if setting.dataset == "digits" else (4, 8)
    return {
        NONE: {},
        "flip": {"flip": 0.5},
        "crop": {"crop": pad},
        "flip + crop": {"flip": 0.5, "crop": pad},
        "flip + crop + cutout": {"flip": 0.5, "crop": pad, "cutout": size},
    }


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            name,
            training(
                setting.dataset,
                images=setting.few(1000, 100),
                model={
                    "name": "ConvNet",
                    "conv_params": [{"num_filters": n, "filter_size": 3} for n in (16, 32)],
                    "hidden_dims": [64],
                    "normalization": "batchnorm",
                },
                epochs=setting.few(30, 1),
                batch=50,
                seed=setting.seed,
                augment=augment,
            ),
        )
        for name, augment in _kinds(setting).items()
    ]


def _draw(results: Results) -> Figure:
    return curves(results, "Augmentation of 1,000 training images")


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    accuracy = measured(results, best_val)
    best, near = ahead({name: values for name, values in accuracy.items() if name != NONE})
    who = (
        f"augmentation of the highest mean, {best}{tie(near)}"
        if near
        else f"best augmentation, {best}"
    )
    first = (
        f"The {who}, reaches {compared(accuracy[best], accuracy[NONE])} none "
        f"({percent(accuracy[best])} against {percent(accuracy[NONE])})."
    )
    return first, gap_change(results, best, NONE, "it" if not near else best)


STUDY = Study(
    name="augmentation",
    title="Augmentation",
    source="CS231n, Neural Networks part 2",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
