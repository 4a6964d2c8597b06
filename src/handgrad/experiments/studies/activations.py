"""Six activation functions in one deep fully-connected network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import curves
from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    compared,
    percent,
    ranked,
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


def _sentences(results: Results) -> tuple[str, str]:
    accuracy = {name: best_val(results[name]) for name in results}
    order = ranked(accuracy)
    first = (
        f"{order[0]} reaches the best validation accuracy, {percent(accuracy[order[0]])}, and "
        f"{order[-1]} the lowest, {percent(accuracy[order[-1]])}."
    )
    difference = accuracy["ReLU"] - accuracy["sigmoid"]
    start, end = (results["sigmoid"]["loss"][i] for i in (0, -1))
    second = (
        f"ReLU reaches {compared(difference)} the sigmoid, whose loss went from {start:.2f} to {end:.2f}"
        + (": its gradient, at most a quarter a layer, hardly reaches the first layers."
           if end > 0.8 * start and difference > 0 else ".")
    )  # fmt: skip
    return capital(first), second


STUDY = Study(
    name="activations",
    title="Activation functions",
    source="CS231n, Neural Networks part 1",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
