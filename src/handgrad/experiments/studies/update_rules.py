"""Seven update rules on one five-layer network, each at the courses' learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import curves
from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    final_loss,
    percent,
    ranked,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# rule -> (its name here, learning rate; None is the rule's default)
RULES: dict[str, tuple[str, float | None]] = {
    "sgd": ("SGD", 5e-3),
    "sgd_momentum": ("momentum", 5e-3),
    "sgd_nesterov_momentum": ("Nesterov", 5e-3),
    "rmsprop": ("RMSProp", 3e-4),
    "adam": ("Adam", 1e-3),
    "adagrad": ("AdaGrad", 1e-2),
    "adadelta": ("AdaDelta", None),
}


def _trials(setting: Setting) -> list[Trial]:
    model = {"name": "StudyNet", "conv_params": [], "hidden_dims": [100] * 5}
    return [
        Trial(
            name,
            training(
                setting.dataset,
                images=setting.few(4000, 100),
                model=model,
                rule=rule,
                lr=lr,
                epochs=setting.few(10, 2),
                batch=setting.few(100, 50),
                seed=setting.seed,
            ),
        )
        for rule, (name, lr) in RULES.items()
    ]


def _draw(results: Results) -> Figure:
    return curves(results, "Update rules on a five-layer network of 100 units a layer")


def _sentences(results: Results) -> tuple[str, str]:
    losses = {name: final_loss(results[name]) for name in results}
    order = ranked({name: -loss for name, loss in losses.items()})
    first = (
        f"{order[0]} has the lowest training loss of the last epoch, {losses[order[0]]:.2f}, then "
        f"{order[1]} with {losses[order[1]]:.2f}; {order[-1]} has the highest, {losses[order[-1]]:.2f}."
    )
    sgd = losses["SGD"]
    ahead = [name for name in ("momentum", "Nesterov") if losses[name] < sgd]
    who = " and ".join(ahead) or "neither momentum nor Nesterov"
    best = ranked({name: best_val(results[name]) for name in results})[0]
    second = (
        f"At SGD's own learning rate {who} {'gets' if len(ahead) < 2 else 'get'} below its loss of "
        f"{sgd:.2f}; the best validation accuracy is {percent(best_val(results[best]))}, by {best}."
    )
    return capital(first), second


STUDY = Study(
    name="update-rules",
    title="Update rules",
    source="CS231n assignment 2, FullyConnectedNets; nndl, Optimization",
    trials=_trials,
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
