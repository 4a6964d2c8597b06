"""What a callback is: the methods that the Solver calls, and the records that it hands to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handgrad.errors import check_known

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

Record = dict[str, Any]


class Callback:
    """What the Solver calls; each method does nothing unless a subclass says otherwise.

    At `on_step_end` and `on_epoch_end` the Solver is in a state that can be saved: where an epoch
    record follows a step record, the estimate is already part of it.  `on_train_end` is called for
    every `on_train_begin`, also after errors, in reverse order.

    A method that returns is not called again for its record.  One that an exception ends, as by
    Ctrl-C, is called again with the same record object when training goes on; what comes behind it,
    too.  So a method does its one lasting thing last.

    Raises:
        OptionError: a subclass defines a method on_... that the Solver never calls.

    >>> class Steps(Callback):
    ...     def on_step_end(self, solver, record):
    ...         print(record["iteration"], record["loss"])
    """

    needs_each_step: bool = True
    """Whether `on_step_end` looks at more than its record, or stops the training.

    Where none does, the Solver may take several steps in one native call, and tells of them afterwards.
    """

    only_last_step: bool = False
    """Whether `on_step_end` is called for the last of the steps of such a call alone, not for each."""

    def __init_subclass__(cls) -> None:
        known = [name for name in vars(Callback) if name.startswith("on_")]
        given = [name for name in vars(cls) if name.startswith("on_")]
        check_known(f"{cls.__name__}, a Callback", given, known)

    def on_train_begin(self, solver: Solver) -> None:
        """Training starts or goes on."""

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """A step was done."""

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """The accuracy was estimated."""

    def on_record(self, solver: Solver, record: Record) -> None:
        """Another callback made a record of its own."""

    def on_save(self, solver: Solver) -> None:
        """A checkpoint of this moment is about to be saved: make durable what belongs to it."""

    def on_train_end(self, solver: Solver) -> None:
        """Training is over, stopped, or failed."""
