"""Taking back a step or an estimate that was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.nn.state import Stateful, changing
from handgrad.optim import leaves_weights
from handgrad.training.arrays import Arrays, buffers_of, commit, copied
from handgrad.training.averaging import load_buffers
from handgrad.training.circumstances import streams
from handgrad.training.positions import position_of

if TYPE_CHECKING:
    from handgrad.training.solver import Solver


class Before:
    """All that a step or an estimate may change, as it is now.

    It stays with the Solver until that is over, which is one assignment; so there is no moment at which
    an interruption leaves a half of it.  Putting it back may itself be interrupted, and is then done again.
    Arrays are kept, not copied, but for those that the update rule may write into.

    Attributes: params, the arrays by name; buffers.
    """

    def __init__(self, solver: Solver) -> None:
        model = solver.model
        self._owner: Any = model.params  # the dictionary, which an estimate of averages replaces
        is_kept = leaves_weights(solver.update_rule)
        # the library's networks are given new arrays, others see a rule change theirs in place
        are_new = (is_kept or isinstance(model, Stateful)) and type(self._owner) is dict
        self.params: Arrays = dict(self._owner) if are_new else copied(self._owner)
        self.buffers = copied(buffers_of(model))
        configs = solver.optim_configs
        self._configs = {name: _as_is(config, is_kept) for name, config in configs.items()}
        self._last = solver.grads, solver.params_before, solver.learning_rate, solver.gradient_norm
        self._marks = [(part, part.mark()) for part in (*solver.parts, solver.telling)]
        self._positions = [
            position_of(stream) for stream in streams(solver).values() if stream is not None
        ]

    def put_back_weights(self, solver: Solver) -> None:
        """Put back the parameters, running statistics and the state of the update rule."""
        model = solver.model
        with changing:
            if model.params is not self._owner:
                model.params = self._owner
            commit(model.params, self.params)
            load_buffers(model, self.buffers)
        solver.optim_configs = {name: dict(config) for name, config in self._configs.items()}

    def put_back(self, solver: Solver) -> None:
        """Put back everything."""
        self.put_back_weights(solver)
        for part, mark in self._marks:
            part.back(mark)
        for go_back in self._positions:
            go_back()
        solver.set_last_step(*self._last)


def _as_is(config: dict[str, Any], is_kept: bool) -> dict[str, Any]:
    """Return a copy of a rule's state; of its arrays too, where the rule may write into them."""
    if is_kept:
        return dict(config)
    return {
        key: value.copy(order="K") if isinstance(value, np.ndarray) else value
        for key, value in config.items()
    }
