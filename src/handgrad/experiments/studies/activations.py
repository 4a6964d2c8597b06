"""Six activation functions in one deep fully-connected network."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from handgrad.experiments.figures import curves
from handgrad.experiments.seeds import told_apart
from handgrad.experiments.study import Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    compared,
    measured,
    of_several_seeds,
    standing,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# layer -> (its name here, scale of the weights that suits it)
ACTIVATIONS = {
    "sigmoid": ("sigmoid", "xavier"),
    "tanh": ("tanh", "xavier"),
    "relu": ("ReLU", "kaiming"),
    "leaky_relu": ("leaky ReLU", "kaiming"),
    "elu": ("ELU", "kaiming"),
    "gelu": ("GELU", "kaiming"),
}


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            name,
            training(
                setting.dataset,
                images=setting.few(4000, 100),
                model={
                    "name": "StudyNet",
                    "conv_params": [],
                    "hidden_dims": [100] * 5,
                    "activation": activation,
                    "weight_scale": scale,
                },
                lr=5e-4,
                epochs=setting.few(10, 2),
                batch=setting.few(100, 50),
                seed=setting.seed,
            ),
        )
        for activation, (name, scale) in ACTIVATIONS.items()
    ]


def _draw(results: Results) -> Figure:
    return curves(
        results, "Activation functions in a network of five hidden layers, trained by Adam"
    )


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    accuracy = measured(results, best_val)
    first = f"{capital(standing(accuracy))}."
    relu, sigmoid = accuracy["ReLU"], accuracy["sigmoid"]
    start, end = (
        fmean(record["loss"][i] for record in results["sigmoid"] if record["loss"]) for i in (0, -1)
    )
    better = told_apart(relu, sigmoid) and relu.mean > sigmoid.mean
    second = (
        f"ReLU reaches {compared(relu, sigmoid)} the sigmoid, whose loss went from {start:.2f} to {end:.2f}"
        + (": its gradient, at most a quarter a layer, hardly reaches the first layers."
           if end > 0.8 * start and better else ".")
    )  # fmt: skip
    return first, second


STUDY = Study(
    name="activations",
    title="Activation functions",
    source="CS231n, Neural Networks part 1",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
