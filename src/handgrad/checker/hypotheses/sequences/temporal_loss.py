"""Mistakes of the temporal softmax loss: the mask, and what the sum is divided by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _loss(
    count: Callable[..., float] = lambda mask: len(mask),
    masks_loss: bool = True,
    masks_gradient: bool = True,
    label: Callable[[Any], Any] = lambda one: one,
    value: Callable[[Any, Any], Any] = lambda logs, one: -logs * one,
) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        x, (y, mask) = np.asarray(call.arrays["x"], float), call.options
        moved = x - x.max(axis=2, keepdims=True)
        logs = moved - np.log(np.exp(moved).sum(axis=2, keepdims=True))
        one = np.eye(x.shape[2])[y]
        kept = mask[:, :, None]
        losses, dx = value(logs, one), np.exp(logs) - label(one)
        total = np.sum(losses * kept if masks_loss else losses)
        dout = 1.0 if call.dout is None else call.dout
        dx = dout * (dx * kept if masks_gradient else dx)
        return {"loss": total / count(mask), "dx": dx / count(mask)}

    return predict


FORWARD = [
    Hypothesis(
        "mask_missing", "{key}: masked steps count as well: multiply by the mask",
        _loss(masks_loss=False, masks_gradient=False), r"sum|loss|dx",
    ),
    Hypothesis(
        "mask_missing_in_gradient", "dx is not zero at masked steps: multiply it by the mask",
        lambda call: {"dx": _loss(masks_gradient=False)(call)["dx"]}, r"dx",
    ),
    Hypothesis(
        "mask_missing_in_loss", "the loss counts masked steps as well: multiply by the mask",
        lambda call: {"loss": _loss(masks_loss=False)(call)["loss"]}, r"loss",
    ),
    Hypothesis(
        "divided_by_steps", "{key} is divided by N * T: the course's loss is averaged over the N rows only",
        _loss(lambda mask: mask.size), r"/",
    ),
    Hypothesis(
        "divided_by_mask", "{key} is divided by the number of steps that count: the course's is divided by N",
        _loss(lambda mask: mask.sum()), r"/",
    ),
    Hypothesis(
        "divided_by_steps", "{key} is divided by T: the course's loss is averaged over the N rows",
        _loss(lambda mask: mask.shape[1]), r"/",
    ),
    Hypothesis(
        "not_averaged", "{key} is the sum over the rows: divide it by N", _loss(lambda mask: 1), r"sum"
    ),
    Hypothesis(
        "label_not_subtracted", "dx: 1 is not subtracted from the probability of the right word",
        lambda call: {"dx": _loss(label=lambda one: 0 * one)(call)["dx"]}, r"dx",
    ),
    Hypothesis(
        "label_sign", "dx: 1 is added to the probability of the right word: it must be subtracted",
        lambda call: {"dx": _loss(label=lambda one: -one)(call)["dx"]}, r"\+=\s*1",
    ),
    Hypothesis(
        "sign", "the loss has the wrong sign",
        lambda call: {"loss": _loss(value=lambda logs, one: logs * one)(call)["loss"]}, r"log",
    ),
]  # fmt: skip
BACKWARD = FORWARD
