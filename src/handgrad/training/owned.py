"""The objects that a Solver owns, and the attributes by which it shows what is in them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from handgrad.optim import Rule
from handgrad.training import views
from handgrad.training.ahead import Ahead
from handgrad.training.arrays import Arrays
from handgrad.training.averaging import Average
from handgrad.training.best import Best
from handgrad.training.callback import Record
from handgrad.training.circumstances import fingerprint
from handgrad.training.clock import Clock, Stopping
from handgrad.training.compiled import Planned
from handgrad.training.estimates import Looking
from handgrad.training.estimating import accuracy_of
from handgrad.training.parts import Part, part_of
from handgrad.training.place import Histories, LastStep, Place
from handgrad.training.precision import Precision
from handgrad.training.sampling import Sampling
from handgrad.training.telling import Telling
from handgrad.training.updates import Schedule, Updates

Random = Any  # np.random.Generator or np.random.RandomState


class Owner:
    """What a Solver owns.

    Each of these objects holds a part of the state of the training, changes it by itself alone, saves it to
    a checkpoint and takes it up again:

        place      steps and epochs done               average   the moving average of the weights
        histories  losses, accuracies, metrics         sampler   which rows a step takes
        best       the best parameters so far          clock     seconds, images per second
        stopping   patience, and who asked to stop     updates   the update rule and its state
        last       gradients of the last step          telling   which callbacks are still to be told

        precise    what gradients are computed in

    ``looking`` judges scores, and ``ahead`` makes the next batch meanwhile, ``planned`` takes
    several steps in one native call: they have no state.
    """

    place: Place
    histories: Histories
    best: Best
    stopping: Stopping
    average: Average
    sampler: Sampling
    clock: Clock
    updates: Updates
    precise: Precision
    last: LastStep
    telling: Telling
    looking: Looking
    ahead: Ahead
    planned: Planned

    model: Any
    X_train: Any
    y_train: np.ndarray
    X_val: Any
    y_val: np.ndarray
    batch_size: int
    num_epochs: int
    rng: Random | None

    iteration: int = part_of("place", "iteration", "Steps done.")
    epoch: int = part_of("place", "epoch", "Epochs done.")
    estimated_at: int = part_of("place", "estimated_at", "The iteration of the last estimate.")
    loss_history: list[float] = part_of("histories", "loss_history", "The losses of all steps.")
    train_acc_history: list[float] = part_of(
        "histories", "train_acc_history", "The estimated accuracies of training."
    )
    val_acc_history: list[float] = part_of(
        "histories", "val_acc_history", "The estimated accuracies of validation."
    )
    val_loss_history: list[float] = part_of(
        "histories", "val_loss_history", "The losses of validation, without regularisation."
    )
    train_metric_history: list[float] = part_of(
        "histories", "train_metric_history", "The metric of the estimates of training."
    )
    val_metric_history: list[float] = part_of(
        "histories", "val_metric_history", "The metric of the estimates of validation."
    )
    best_val_acc: float = part_of(
        "best",
        "val_acc",
        "The best validation accuracy; of another metric its value, see `best_metric`.",
    )
    best_params: Arrays = part_of("best", "params", "The parameters of `best_val_acc`.")
    best_buffers: Arrays = part_of("best", "buffers", "The running statistics of `best_val_acc`.")
    patience: int | None = part_of("stopping", "patience", "Epochs without gain that end training.")
    stop_reason: str | None = part_of(
        "stopping", "reason", 'None, "patience", or what `stop` was told.'
    )
    ema: float | None = part_of("average", "decay", "The decay of the average of the weights.")
    ema_params: Arrays = part_of("average", "params", "The average of the parameters.")
    ema_buffers: Arrays = part_of("average", "buffers", "The average of the running statistics.")
    sampling: str = part_of("sampler", "kind", "How the rows of a batch are chosen.")
    skip_easy: Any = part_of("sampler", "skip_easy", "The share of easy rows that are left out.")
    update_rule: Rule = part_of("updates", "rule", "The update rule.")
    optim_config: dict[str, Any] = part_of("updates", "given", "Its settings, as they were given.")
    optim_configs: dict[str, dict[str, Any]] = part_of(
        "updates", "configs", "Settings and state of the rule, a dictionary for each parameter."
    )
    lr_decay: float = part_of("updates", "lr_decay", "Factor on the rates after each epoch.")
    schedule: Schedule | None = part_of("updates", "schedule", "Factor on the rate of each step.")
    clip_norm: float | None = part_of("updates", "clip_norm", "The largest norm of the gradients.")
    frozen: frozenset[str] = part_of("updates", "frozen", "The parameters that stay as they are.")
    grads: Arrays = part_of("last", "grads", "The gradients of the last step, while training.")
    params_before: Arrays = part_of("last", "params_before", "The parameters before that step.")
    learning_rate: float | None = part_of(
        "last",
        "learning_rate",
        "That of the last step; None before it, and where the rule has none.",
    )
    gradient_norm: float | None = part_of(
        "last",
        "gradient_norm",
        "The norm of all gradients of the last step before they were clipped; None without clip_norm.",
    )
    warnings: dict[str, str] = part_of("telling", "warnings", "What `warn` said, by its keys.")

    def _own(self, options: Any, frozen: frozenset[str]) -> None:
        """Make the objects that have a state, by the checked `options`; `looking` is there already."""
        self.place = Place()
        self.histories = Histories()
        self.best = Best(takes_first=not self.looking.counts_right_ones)
        self.stopping = Stopping(options.patience)
        self.average = Average(options.ema)
        self.sampler = Sampling(options.sampling, options.skip_easy, len(self.X_train), self.model)
        self.clock = Clock()
        self.updates = Updates(
            self.model.params,
            options.update_rule,
            options.optim_config,
            lr_decay=options.lr_decay,
            schedule=options.schedule,
            clip_norm=options.clip_norm,
            frozen=frozen,
        )
        self.last = LastStep(self.place)
        self.telling = Telling()
        self.ahead = Ahead()
        self.precise = Precision(self.model, options.precision)
        self.planned = Planned(self)  # type: ignore[arg-type]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The objects that hold the state of the training, but for the model's, as a checkpoint does."""
        return (
            self.place, self.histories, self.best, self.stopping, self.average, self.sampler,
            self.clock, self.updates, self.last, self.telling, self.precise,
        )  # fmt: skip

    @property
    def precision(self) -> str:
        """What gradients are computed in, "float32" or "bf16"; "" where "auto" has not measured yet."""
        return self.precise.chosen

    @property
    def task(self) -> str:
        """What is learned: "classification", "regression" or "multilabel"."""
        return self.looking.task

    @property
    def metric(self) -> str:
        """The name of the metric that decides what is best."""
        return self.looking.name

    @property
    def best_metric(self) -> float | None:
        """The best value of the metric on the validation set; None before there is one."""
        return self.looking.score(self.best.val_acc) if self.best_params else None

    @property
    def iterations_per_epoch(self) -> int:
        """Steps in an epoch, ``max(N // batch_size, 1)``."""
        return max(len(self.X_train) // self.batch_size, 1)

    @property
    def seconds(self) -> float:
        """Seconds spent in `train`, those before a resume included."""
        return self.clock.seconds

    @property
    def random(self) -> Random:
        """The stream that random numbers are drawn from; NumPy's global one for ``rng=None``."""
        return np.random.mtrand._rand if self.rng is None else self.rng

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the data, computed once."""
        names = ("X_train", "y_train", "X_val", "y_val")
        return {name: fingerprint(getattr(self, name)) for name in names}

    def __repr__(self) -> str:
        return views.solver_text(self)

    def _repr_html_(self) -> str:
        return views.solver_page(self)

    def nothing_left(self) -> str | None:
        """Return a text that says so if more epochs are done than `num_epochs` asks for, else None."""
        return self.place.past(self.num_epochs, self.iterations_per_epoch)

    def forget_patience(self) -> None:
        """Count the epochs without gain from here on."""
        self.stopping.epochs_without_gain = 0

    def emit(self, record: Record) -> None:
        """Hand a callback's own record to all callbacks, as soon as the callback has returned."""
        self.telling.emit(self, record)

    def warn(self, key: str, text: str) -> None:
        """Hand the callbacks a record of kind ``warning``, once in a run for each `key`."""
        self.telling.warn(self, key, text)

    def check_accuracy(
        self, X: np.ndarray, y: np.ndarray, num_samples: int | None = None, batch_size: int = 100
    ) -> float:
        """Return the share of rows whose largest score is at the label.

        Args:
            X: rows, (N, ...).
            y: labels, (N,).
            num_samples: use so many rows, drawn with replacement, if there are more; None for all.
            batch_size: rows scored at a time.
        """
        return accuracy_of(self, X, y, num_samples, batch_size)
