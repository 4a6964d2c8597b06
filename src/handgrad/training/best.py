"""The keeper of the best: parameters and running statistics of the best validation accuracy, or metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from handgrad.errors import as_number
from handgrad.training.arrays import Arrays, copied
from handgrad.training.parts import Part, State, check_fit


class Best(Part):
    """The parameters and running statistics of the best validation accuracy, or of another metric.

    Attributes: val_acc, 0.0 before there is one; of another metric its value, with the sign for which more
    is better; params, buffers, empty until then.
    """

    def __init__(self, takes_first: bool = False) -> None:
        """takes_first: whether the first value is the best so far whatever it is; else it exceeds 0."""
        self._takes_first = takes_first
        self.val_acc = 0.0
        self.params: Arrays = {}
        self.buffers: Arrays = {}

    def look(self, val_acc: float, params: Arrays, buffers: Arrays) -> bool:
        """Keep copies of `params` and `buffers` if `val_acc` is the best so far, and return whether it is."""
        is_first = self._takes_first and not self.params and np.isfinite(val_acc)
        is_best = bool(val_acc > self.val_acc or is_first)
        if is_best:
            self.val_acc = val_acc
            self.params, self.buffers = copied(params), copied(buffers)
        return is_best

    def state(self) -> State:
        """Return accuracy and arrays."""
        progress = {"best_val_acc": self.val_acc}
        return {"progress": progress, "best_params": self.params, "best_buffers": self.buffers}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return accuracy and arrays."""
        check_fit("best_params", state["best_params"], params)
        val_acc = as_number("checkpoint", "best_val_acc", state["progress"]["best_val_acc"])
        arrays = {name: state[name] for name in ("best_params", "best_buffers")}
        return {"progress": {"best_val_acc": val_acc}, **arrays}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up accuracy and arrays."""
        self.val_acc = state["progress"]["best_val_acc"]
        self.params, self.buffers = state["best_params"], state["best_buffers"]
