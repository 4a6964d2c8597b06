"""Seven update rules on one five-layer network, each at the courses' learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handgrad.experiments.figures import curves
from handgrad.experiments.seeds import told_apart
from handgrad.experiments.study import Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    final_loss,
    listing,
    loss_text,
    measured,
    of_several_seeds,
    standing,
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


@of_several_seeds
def _sentences(results: Results) -> tuple[str, str]:
    losses = {
        name: values
        for name, values in measured(results, final_loss).items()
        if not any(record["diverged"] for record in results[name])
    }
    lost = [name for name in results if name not in losses]
    parts = []
    if losses:
        parts.append(
            standing(
                losses,
                "training loss of the last epoch",
                ends=("lowest", "highest"),
                text=loss_text,
                least=0,
            )
        )
    if lost:
        parts.append(f"{listing(lost)} diverged with one seed or more")
    first = capital("; ".join(parts)) + "."
    second = standing(measured(results, best_val))
    sgd = losses.get("SGD")
    if sgd is not None:
        near = [name for name in ("momentum", "Nesterov") if name in losses]
        below = [n for n in near if losses[n].mean < sgd.mean and told_apart(losses[n], sgd, 0)]
        who = listing(below) or "neither momentum nor Nesterov"
        verb = "gets" if len(below) < 2 else "get"
        second = (
            f"At SGD's own learning rate {who} {verb} below its loss of {loss_text(sgd)} by more than "
            f"the seeds explain; {second}"
        )
    return first, f"{capital(second)}."


STUDY = Study(
    name="update-rules",
    title="Update rules",
    source="CS231n assignment 2, FullyConnectedNets; nndl, Optimization",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
)
