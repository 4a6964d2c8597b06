"""Taking back a step or an estimate that was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        self._marks = {part: part.mark() for part in solver.parts}
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
        solver.updates.back(self._marks[solver.updates])

    def put_back(self, solver: Solver) -> None:
        """Put back everything."""
        self.put_back_weights(solver)
        for part, mark in self._marks.items():
            part.back(mark)
        for go_back in self._positions:
            go_back()
