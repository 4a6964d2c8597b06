"""The precision that a Solver computes its gradients in: float32, or bf16 with all that lasts in float32."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import OptionError, check_choice
from handgrad.nn.compiled.half import (
    AUTO,
    BF16,
    FLOAT32,
    PRECISIONS,
    InHalf,
    check_precision,
    measured,
    shown_choice,
)
from handgrad.training.parts import Part, State

if TYPE_CHECKING:
    from handgrad.training.solver import Solver


class Precision(Part):
    """How gradients are computed.

    Attributes:
        asked: the option.
        chosen: "float32" or "bf16", "" before "auto" has measured.
        text: what a run's header says.
    """

    def __init__(self, model: Any, asked: str) -> None:
        """Raise OptionError where gradients of `model` cannot be computed so."""
        check_precision("Solver", model, asked)
        self.asked = asked
        self.chosen = "" if asked == AUTO else asked
        self.text = asked
        self._half: InHalf | None = None

    @property
    def is_half(self) -> bool:
        """Whether gradients are computed in bf16."""
        return self.chosen == BF16

    def network(self, model: Any) -> Any:
        """Return `model`, or in bf16 what computes its loss and gradients."""
        if not self.is_half:
            return model
        if self._half is None or self._half._model is not model:
            self._half = InHalf(model, "Solver")
        return self._half

    def forget(self) -> None:
        """Give back the memory of single gradients, as whole steps have a plan of their own."""
        if self._half is not None:
            self._half.forget()

    def settle(self, solver: Solver) -> None:
        """Let "auto" measure, unless it has; in bf16 raise OptionError where no plan covers the network."""
        if self.chosen == FLOAT32:
            return
        own = type(solver).gradients_of.__module__ != "handgrad.training.solver"
        labels = solver.task == "classification"
        rows = slice(0, -(-min(solver.batch_size, len(solver.X_train)) // solver.accumulate))
        if not self.chosen:
            seconds: dict[str, float] = {}
            self.chosen = FLOAT32
            if not own:
                X, y = solver.X_train[np.arange(rows.stop)], solver.y_train[rows]
                self.chosen, seconds = measured(solver.model, X, y)
            self.text = shown_choice(AUTO, self.chosen, seconds)
            return
        if own:
            raise OptionError(
                f"Solver: precision 'bf16': {type(solver).__name__} computes gradients of its own; leave "
                "precision out"
            )
        if solver.iteration == 0 and self.asked == BF16:
            shape = (len(solver.y_train[rows]), *solver.X_train.shape[1:])
            self.network(solver.model).check(
                shape, None if labels else prod(solver.y_train.shape[1:])
            )

    def state(self) -> State:
        """Return what "auto" has chosen."""
        return {"progress": {"_precision": self.chosen}} if self.asked == AUTO else {}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return it."""
        found = state["progress"].get("_precision", "")
        if found:
            check_choice("checkpoint", "_precision", found, PRECISIONS[:2])
        return {"progress": {"_precision": found}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        found = state["progress"]["_precision"]
        if self.asked == AUTO and found:
            self.chosen = found
            self.text = f"{found} (auto: as before)"
