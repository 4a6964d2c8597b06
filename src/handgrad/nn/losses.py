"""The losses that networks know by name, and the task that each of them is for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from handgrad import layers
from handgrad.engines.arrays import Array
from handgrad.errors import OptionError, as_number, check_choice, check_known, check_takes, required

Loss = Callable[..., tuple[Any, Array]]

LOSSES: dict[str, Loss] = {
    "softmax": layers.softmax_loss,
    "svm": layers.svm_loss,
    "focal": layers.focal_loss,
    "mse": layers.mse_loss,
    "absolute": layers.absolute_loss,
    "huber": layers.huber_loss,
    "quantile": layers.quantile_loss,
    "poisson": layers.poisson_loss,
    "binary_cross_entropy": layers.binary_cross_entropy_loss,
}
TASKS = ("classification", "regression", "multilabel")
_OTHER_TASKS = {"binary_cross_entropy": "multilabel"} | dict.fromkeys(
    ("mse", "absolute", "huber", "quantile", "poisson"), "regression"
)


def as_loss(where: str, loss: Any, label_smoothing: Any) -> NamedLoss:
    """Return `loss`, a name, a table {name, options} or a function (scores, y), as what a network calls.

    Raises OptionError for another name or option, and for label_smoothing of another loss than softmax.
    """
    smoothing = as_number(where, "label_smoothing", label_smoothing, 0, 1)
    options: dict[str, Any] = {}
    if isinstance(loss, Mapping):
        options = dict(loss)
        loss = required(where, "loss", options, "name")
        del options["name"]
    if callable(loss):
        check_takes(where, "loss", loss, "(scores, y)", 2)
        made = NamedLoss(None, loss, {})
    else:
        check_choice(where, "loss (or a function)", loss, list(LOSSES))
        known = [*inspect.signature(LOSSES[loss]).parameters][2:]
        known = [name for name in known if name not in ("engine", "sample_weight")]
        check_known(f"{where}: loss {loss}", options, known)
        made = NamedLoss(loss, LOSSES[loss], options)
    if smoothing:
        if loss != "softmax":
            raise OptionError(f"{where}: label_smoothing is for the softmax loss, not for {loss!r}")
        made.options["label_smoothing"] = smoothing
    return made


class NamedLoss:
    """A loss with its options: ``loss(scores, y)`` -> (loss, dscores).

    Attributes:
        name: that of `LOSSES`, None for a function of one's own.
        func: the function.
        options: its keywords.
        task: what it is for, one of `TASKS`, None where that is not known.
    """

    def __init__(self, name: str | None, func: Loss, options: dict[str, Any]) -> None:
        self.name = name
        self.func = func
        self.options = options
        self.task = None if name is None else _OTHER_TASKS.get(name, "classification")

    def __call__(self, scores: Array, y: Any, sample_weight: Any = None) -> tuple[Any, Array]:
        """Call the function, with weights of the rows where some are given."""
        if sample_weight is None:
            return self.func(scores, y, **self.options)
        if not takes_weights(self.func):
            name = self.name or getattr(self.func, "__name__", "a function of your own")
            raise OptionError(f"loss: {name} takes no sample_weight")
        return self.func(scores, y, **self.options, sample_weight=sample_weight)

    def __repr__(self) -> str:
        return f"NamedLoss({self.name!r}, {self.options})"


def takes_weights(function: Any) -> bool:
    """Return whether `function` takes the keyword sample_weight."""
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled functions may not tell
        return False
