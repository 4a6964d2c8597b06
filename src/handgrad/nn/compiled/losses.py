"""The loss of a training plan: its operation, with what it reads."""

from __future__ import annotations

from typing import Any

from handgrad.nn.compiled.memory import NONE, Memory, NotCovered, Ref
from handgrad.nn.losses import LOSSES

_LABELS = {"softmax": 0, "svm": 1}  # of native/ops/losses.h


def add_loss(
    memory: Memory, loss: Any, targets: int | None, column: int | None, scores: Ref
) -> Ref:
    """Add the operation of `loss`, and return the gradient of the scores.

    Args:
        memory: of the plan.
        loss: of the network.
        targets: how many numbers a row has; None for labels.
        column: of the table, where the rows' weights begin; None where all count alike.
        scores: rows and classes, or numbers.

    Raises:
        NotCovered: no plan has this loss.
    """
    rows = scores.shape[0]
    if loss.name is None or loss.func is not LOSSES[loss.name] or len(scores.shape) != 2:
        raise NotCovered("the loss")
    dscores = memory.full(scores.shape)
    if loss.name in _LABELS and targets is None and loss.options.keys() <= {"label_smoothing"}:
        smoothing = loss.options.get("label_smoothing", 0.0)
        labels = memory.value(rows, 8)
        memory.op("labels", [labels], [rows])
        slots = [scores.slot, labels, dscores.slot, _weights_of_rows(memory, column, rows)]
        memory.op("loss_of_labels", slots, [*scores.shape, _LABELS[loss.name]], [smoothing])
    elif loss.name == "mse" and targets == scores.shape[1]:
        y = memory.full(scores.shape)
        memory.op("targets", [y.slot], scores.shape)
        weights = _weights_of_rows(memory, column, rows)
        if weights == NONE:
            weights = memory.constant(rows, 1.0 / rows)
        slots = [scores.slot, y.slot, weights, dscores.slot]
        memory.op("squared_loss", slots, scores.shape)
    else:
        raise NotCovered(f"the loss {loss.name}")
    return dscores


def _weights_of_rows(memory: Memory, column: int | None, rows: int) -> int:
    """Add the weights of a batch's rows; return their slot, or NONE where all count alike."""
    if column is None:
        return NONE
    weights = memory.value(rows)
    memory.op("from_table", [weights], [rows, column])
    return weights
