"""One wide hidden layer on few images, with more and more dropout."""

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

KEEP = (1.0, 0.75, 0.5, 0.25)


def name_of(keep: float) -> str:
    """Return the name of the trial that keeps this share of the hidden layer's outputs."""
    return "no dropout" if keep == 1 else f"keep {keep:g}"


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            name_of(keep),
            training(
                setting.dataset,
                images=setting.few(300 if setting.dataset == "digits" else 500, 100),
                model={
                    "name": "StudyNet",
                    "conv_params": [],
                    "hidden_dims": [500],
                    "dropout_keep_ratio": keep,
                },
                epochs=setting.few(40, 2),
                batch=50,
                seed=setting.seed,
            ),
        )
        for keep in KEEP
    ]


def _draw(results: Results) -> Figure:
    images = results.spec(name_of(KEEP[0]))["data"]["num_training"]
    return curves(results, f"Dropout behind a hidden layer of 500 units, {images} training images")


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    without, most = name_of(KEEP[0]), name_of(KEEP[-1])
    first = gap_change(results, most, without, f"dropout with {most}")
    accuracy = measured(results, best_val)
    best, near = ahead({name: values for name, values in accuracy.items() if name != without})
    kind = "network with dropout"
    who = f"{kind} of the highest mean, {best}{tie(near)}" if near else f"best {kind}, {best}"
    second = (
        f"The {who}, reaches {compared(accuracy[best], accuracy[without])} the one without "
        f"({percent(accuracy[best])} against {percent(accuracy[without])})."
    )
    return first, second


STUDY = Study(
    name="dropout",
    title="Dropout as a regulariser",
    source="CS231n assignment 2, Dropout",
    dataset="digits",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
