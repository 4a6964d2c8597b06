"""The courses' Solver: the library's, with the options, the lines and the files of a generation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from handgrad import optim, training
from handgrad.courses.pickles import write_pickle
from handgrad.courses.shims import rules
from handgrad.courses.shims.dropping import known_to
from handgrad.errors import NonFiniteError, OptionError

_OPTIONS_2016 = (
    "update_rule",
    "optim_config",
    "lr_decay",
    "batch_size",
    "num_epochs",
    "print_every",
    "verbose",
)


class Solver(training.Solver):
    """The Solver of CS231n since 2017; `handgrad.training.Solver` says what it does.

    Unlike the library's it drops settings that the rule does not read, with a warning.  It goes on
    where a step is not finite: the parameters become NaN, and so do all later losses, as they did in the
    courses.  Its checkpoints are pickles.
    """

    looks_after_health = False  # a course's notebooks print what the course's Solver prints

    options: tuple[str, ...] = (
        *_OPTIONS_2016, "num_train_samples", "num_val_samples", "checkpoint_name",
    )  # fmt: skip
    rules: Mapping[str, optim.Rule] = MappingProxyType(optim.RULES)

    def __init__(self, model: Any, data: Any, **kwargs: Any) -> None:
        """Take the model, the data, and the options of the course."""
        extra = [name for name in kwargs if name not in self.options]
        if extra:
            quoted = ", ".join(f'"{name}"' for name in extra)
            raise OptionError(f"Unrecognized arguments {quoted}")
        update_rule = kwargs.pop("update_rule", "sgd")
        if not callable(update_rule):
            if update_rule not in self.rules:
                raise OptionError(f'Invalid update_rule "{update_rule}"')
            update_rule = self.rules[update_rule]
        kwargs["optim_config"] = known_to(update_rule, kwargs.get("optim_config"))
        super().__init__(model, data, update_rule=update_rule, **kwargs)
        self._diverged = False

    def diverge(self, error: NonFiniteError, cause: NonFiniteError) -> None:
        """Go on with NaN, and warn once."""
        if not self._diverged:
            message = f"{error} As the courses' Solver, this one goes on with NaN."
            warnings.warn(message, RuntimeWarning, stacklevel=5)
        self._diverged = True
        for name, w in self.model.params.items():
            self.model.params[name] = np.full_like(w, np.nan)
        self.loss_history.append(math.nan)

    _suffix = "pkl"

    def _save_checkpoint(self, filename: str) -> None:
        names = (
            "model", "update_rule", "lr_decay", "optim_config", "batch_size", "num_train_samples",
            "num_val_samples", "epoch", "loss_history", "train_acc_history", "val_acc_history",
        )  # fmt: skip
        write_pickle(filename, {name: getattr(self, name) for name in names})


class Solver2016(Solver):
    """The Solver of 2016: accuracies of 1000 training rows, no checkpoints."""

    options = _OPTIONS_2016
    rules = MappingProxyType({**optim.RULES, "rmsprop": rules.rmsprop, "adam": rules.adam})


class Solver2017(Solver):
    """The Solver of 2017, whose Adam counts from 1."""

    rules = MappingProxyType({**optim.RULES, "rmsprop": rules.rmsprop, "adam": rules.adam_from_one})


class NndlSolver(Solver):
    """The Solver of nndl, with its update rules."""

    rules = MappingProxyType(
        {**optim.RULES, "rmsprop": rules.nndl_rmsprop, "adam": rules.nndl_adam}
    )


class SkynetSolver(Solver2016):
    """The Solver of skynet, which ends with the best accuracy."""

    def train(self) -> None:
        """Train, then print the best validation accuracy if verbose."""
        super().train()
        if self.verbose:
            print(f"finished optimization. best validation accuracy: {self.best_val_acc:f}")  # noqa: T201
