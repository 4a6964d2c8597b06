"""Random flips, shifts and holes in few training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import curves
from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    compared,
    final_train,
    percent,
    ranked,
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


def _sentences(results: Results) -> tuple[str, str]:
    accuracy = {name: best_val(results[name]) for name in results}
    best = ranked({name: value for name, value in accuracy.items() if name != NONE})[0]
    first = (
        f"The best augmentation, {best}, reaches {compared(accuracy[best] - accuracy[NONE])} none "
        f"({percent(accuracy[best])} against {percent(accuracy[NONE])})."
    )
    gap = {name: final_train(results[name]) - results[name]["val_acc"][-1] for name in results}
    change = "narrows" if gap[best] < gap[NONE] else "does not narrow"
    second = (
        f"It {change} the gap between training and validation accuracy at the end: "
        f"{100 * gap[NONE]:.1f} points without, {100 * gap[best]:.1f} with it."
    )
    return first, second


STUDY = Study(
    name="augmentation",
    title="Augmentation",
    source="CS231n, Neural Networks part 2",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
