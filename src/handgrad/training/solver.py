"""The Solver: the training loop."""

from __future__ import annotations

import copy
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from functools import cached_property
from os import PathLike
from threading import get_ident
from time import perf_counter
from typing import Any

import numpy as np

from handgrad.data.rows import as_rows
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    NonFiniteError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    as_path,
    check_callable,
    check_dictionary,
    check_known,
    check_size,
    keywords_of,
)
from handgrad.nn.state import Stateful, is_trained_elsewhere, training
from handgrad.optim import Rule, clip_by_norm, get_rule, keys_of, leaves_weights
from handgrad.optim.schedules import Plateau
from handgrad.training import views
from handgrad.training.ahead import Ahead, Wish
from handgrad.training.arrays import Arrays, all_finite, buffers_of, commit, steady
from handgrad.training.averaging import Average, replace, weights_of
from handgrad.training.callback import Callback, Record
from handgrad.training.checkpoint import ResumeWarning, restore, save_checkpoint
from handgrad.training.checks import (
    check_buffers,
    check_data,
    check_gradients,
    check_model,
    check_rule_state,
    checked_callbacks,
    divergence,
    split_settings,
    warn_of_single_rows,
)
from handgrad.training.circumstances import fingerprint
from handgrad.training.estimates import Figures, Looking, task_of
from handgrad.training.health import look_after
from handgrad.training.parts import Part, part_of
from handgrad.training.place import AT_EPOCH_END, DUE, Best, Clock, Histories, Place
from handgrad.training.sampling import Sampling
from handgrad.training.telling import PendingCall, Telling, calls_of
from handgrad.training.undo import Before
from handgrad.training.weighting import frozen_names, loss_in_parts, weights_of_rows

Random = Any  # np.random.Generator or np.random.RandomState


class _Stopped(Exception):
    """An estimate of the accuracy was given up for a stop."""


class Solver:
    """Train a model: draw a batch, follow its gradient, look at the accuracy once an epoch.

        solver = Solver(model, data, update_rule="adam", optim_config={"learning_rate": 1e-3})
        solver.train()
        solver.val_acc_history

    The model has ``params`` (name -> array), ``loss(X)`` -> scores and ``loss(X, y)`` -> (loss,
    grads), which leaves the parameters as they are.  If it has running statistics, it hands them
    out by ``buffers()`` and takes them by ``load_buffers(buffers)``.  If it computes something from
    the training set before it is trained, it does so in ``prepare(X_train)``.

    A call of `train` runs ``num_epochs * max(N // batch_size, 1)`` steps.  The accuracies are
    estimated after the first step (epoch 0), after each epoch, and after the last step.  At its
    end the model gets the parameters and running statistics of the best validation accuracy;
    where that never exceeded 0 it keeps the last ones.  Another call of `train` continues:
    histories grow, and the state of the update rule is kept.  After `stop`, or an exception as by
    Ctrl-C, it continues the call that was stopped: a step or an estimate that was interrupted has
    left nothing behind, so that the numbers are those of a run that never was interrupted.

    Random numbers are drawn in a fixed order: a batch by ``choice(N, batch_size)``, with
    replacement (``sampling="shuffled"`` draws one number at the start of an epoch instead); then
    what `augment` and the model draw; and ``choice(N, num_train_samples)`` for
    an accuracy of more rows than that, training before validation.

    With `ema` the accuracies are those of the moving average of the weights and running statistics
    (`handgrad.training.averaging`), the best parameters are averages, and the model ends with one;
    between the steps it keeps the weights themselves.

    Attributes beside the arguments: iteration, epoch, loss_history, train_acc_history,
    val_acc_history, val_loss_history, train_metric_history, val_metric_history, best_val_acc,
    best_metric, best_params, best_buffers, ema_params, ema_buffers, optim_configs (a dictionary for each
    parameter), total_steps, stop_reason (None, "patience", or what `stop` was told), warnings (what `warn`
    said), and, while training, grads and params_before (of the last step).

    Source: CS231n assignment 2, ``Solver``.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        *,
        update_rule: str | Rule = "sgd",
        optim_config: dict[str, Any] | None = None,
        lr_decay: float = 1.0,
        batch_size: int = 100,
        num_epochs: int = 10,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        checkpoint_name: str | None = None,
        print_every: int = 10,
        verbose: bool = True,
        rng: Random | int | None = None,
        callbacks: Iterable[Callback] = (),
        schedule: Callable[[int, int], float] | None = None,
        augment: Callable[[np.ndarray, Random], np.ndarray] | None = None,
        patience: int | None = None,
        restore_best: bool = True,
        clip_norm: float | None = None,
        ema: float | None = None,
        sampling: str = "replacement",
        skip_easy: float | list[float] = 0.0,
        task: str | None = None,
        metric: str | Callable[[np.ndarray, np.ndarray], float] | None = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        accumulate: int = 1,
        freeze: Iterable[str] = (),
        unit: Callable[[np.ndarray], np.ndarray] | None = None,
        **unknown: Any,
    ) -> None:
        """Check the arguments and the data.

        Args:
            model: what is trained.
            data: dictionary with X_train (N, ...), y_train (N,), X_val, y_val; y are labels, of a regression
                numbers and of multilabel 0 and 1, of the shape of the scores.
            update_rule: name of a rule of `handgrad.optim`, or such a function.
            optim_config: settings of the rule, as in ``{"learning_rate": 1e-3}``; under "parameters"
                those of single parameters by name, ``{"parameters": {"conv1.*": {"learning_rate": 0}}}``,
                where * stands for anything.  Keys that the rule does not know are refused; a rule of
                your own says what it knows in its attribute ``settings`` (`handgrad.optim.keys_of`),
                and takes everything if it has none.
            lr_decay: factor on the learning rate after each epoch.
            batch_size: rows of a step.
            num_epochs: epochs of a call of `train`.
            num_train_samples, num_val_samples: rows for an estimate of the accuracy; None for all.
            checkpoint_name: save ``<checkpoint_name>_epoch_<epoch>.safetensors`` at each estimate.
            print_every: steps between printed losses.
            verbose: print.
            rng: a Generator, a RandomState, or a seed; None is NumPy's global stream.
            callbacks: called in this order at the start, after steps, and after estimates.
            schedule: ``schedule(step, total_steps)`` -> factor on the learning rate of this step,
                on top of lr_decay; steps count from 0.
            augment: ``augment(X_batch, rng)`` -> the batch to train on; where it has a true attribute
                ``takes_rows``, it is also given ``rows=``, the places of the images in the training
                set, and ``epoch=``.
            patience: stop after so many epochs without a better validation accuracy.
            restore_best: end with the best parameters rather than with the last.
            clip_norm: scale the gradients of a step down to this norm, of all of them together, where
                theirs is larger; the norm before that is in the step's record, as gradient_norm.
            ema: decay of a moving average of the weights, in (0, 1); None for none.
            sampling: "replacement", or "shuffled": each row at most once an epoch, in a random order.
            skip_easy: with "shuffled", the share of the rows with low losses that a pass over the
                training set leaves out (`handgrad.training.passes`), or its first and last value;
                an epoch keeps its number of steps.  The model then has ``last_scores``, those of
                its last training step.
            task: "classification", "regression" or "multilabel"; None is that of the model's loss, where
                it has one.
            metric: what decides what is best, for patience, restore_best and the schedule plateau: "loss", of
                the validation set; a name of `handgrad.training.metrics`; or a function (predictions, y)
                -> number, of which more is better.  None is the accuracy, of a regression r2.
            class_weight: how often the rows of each class count in the loss: "balanced", (C,) numbers or
                a dictionary label -> number.
            sample_weight: how often each training row counts, (N,).  Rows of weight 0 are left out.
            accumulate: in how many parts, one after the other, the gradient of a batch is computed, to save
                memory (`handgrad.training.weighting.loss_in_parts`).
            freeze: patterns of names, as "conv1.*", of parameters that stay as they are.
            unit: makes numbers of their own unit of the targets and predictions of a regression, for metric.

        Raises:
            OptionError: an option is unknown or out of range.
            ShapeError, DtypeError, LabelError, NonFiniteError: the data cannot be trained on.
        """
        check_known("Solver", unknown, keywords_of(Solver, Solver))
        rule = update_rule if callable(update_rule) else get_rule(update_rule)
        check_model(model)
        num_classes = getattr(model, "num_classes", None)
        task = task_of(model, task)
        self.looking = Looking(model, task, metric, unit)
        self.X_train, self.y_train, self.X_val, self.y_val = check_data(data, num_classes, task)
        self.model = model
        self.weights = weights_of_rows(model, self.y_train, task, class_weight, sample_weight)
        if self.weights is not None and not self.weights.all():
            counted = np.flatnonzero(self.weights)
            self.X_train, self.y_train = self.X_train[counted], self.y_train[counted]
            self.weights = self.weights[counted]
        self.accumulate = as_count("Solver", "accumulate", accumulate)
        self.frozen = frozen_names(model.params, freeze)
        self.update_rule: Rule = rule
        self.optim_config = {} if optim_config is None else optim_config
        check_dictionary("Solver", "optim_config", self.optim_config)
        self.lr_decay = as_number("Solver", "lr_decay", lr_decay, 0.0)
        self.batch_size = as_count("Solver", "batch_size", batch_size)
        check_size("Solver", "a batch", self.batch_size, *self.X_train.shape[1:])
        self.num_epochs = as_count("Solver", "num_epochs", num_epochs, minimum=0)
        self.num_train_samples = _count_or_none("num_train_samples", num_train_samples)
        self.num_val_samples = _count_or_none("num_val_samples", num_val_samples)
        if checkpoint_name is not None:
            as_path("Solver", "checkpoint_name", checkpoint_name)
        self.checkpoint_name = checkpoint_name
        self.print_every = as_count("Solver", "print_every", print_every)
        self.verbose = verbose
        self.rng: Random | None = np.random.default_rng(rng) if _is_seed(rng) else rng
        self.callbacks = checked_callbacks(callbacks)
        patience = _count_or_none("patience", patience)
        ema = _number_or_none("ema", ema, 1.0)
        sampler = Sampling(sampling, skip_easy, len(self.X_train), model)
        if self.accumulate > 1 and sampler.passes:
            raise OptionError(
                "Solver: skip_easy needs the scores of a whole batch, so accumulate=1"
            )
        for name, function in (("schedule", schedule), ("augment", augment)):
            if function is not None:
                check_callable("Solver", name, function)
        self.schedule = schedule
        self.augment = augment
        self.restore_best = restore_best
        self.clip_norm = _number_or_none("clip_norm", clip_norm, math.inf)
        if min(self.batch_size, len(self.X_train)) == 1:
            warn_of_single_rows(model, self.batch_size)
        if hasattr(model, "prepare"):
            model.prepare(self.X_train)
        self.optim_configs = self._first_configs()
        self._first_rates = {
            name: config.get("learning_rate", 0.0) for name, config in self.optim_configs.items()
        }
        self.total_steps = self.num_epochs * self.iterations_per_epoch
        self.stop_reason: str | None = None
        self.set_last_step({}, {}, None, None)
        self.telling = Telling()
        self._place = Place()
        self._histories = Histories()
        self._best = Best(patience, takes_first=not self.looking.counts_right_ones)
        self._average = Average(ema)
        self._sampling = sampler
        self._ahead = Ahead()
        self._clock = Clock()
        self._before: Before | None = None  # of the step or estimate that is going on
        self._is_estimating: int | None = None  # the thread that makes an estimate

    iteration: int = part_of("_place", "iteration", "Steps done.")
    epoch: int = part_of("_place", "epoch", "Epochs done.")
    estimated_at: int = part_of("_place", "estimated_at", "The iteration of the last estimate.")
    loss_history: list[float] = part_of("_histories", "loss_history", "The losses of all steps.")
    train_acc_history: list[float] = part_of(
        "_histories", "train_acc_history", "The estimated accuracies of training."
    )
    val_acc_history: list[float] = part_of(
        "_histories", "val_acc_history", "The estimated accuracies of validation."
    )
    val_loss_history: list[float] = part_of(
        "_histories", "val_loss_history", "The losses of validation, without regularisation."
    )
    train_metric_history: list[float] = part_of(
        "_histories", "train_metric_history", "The metric of the estimates of training."
    )
    val_metric_history: list[float] = part_of(
        "_histories", "val_metric_history", "The metric of the estimates of validation."
    )
    best_val_acc: float = part_of(
        "_best",
        "val_acc",
        "The best validation accuracy; of another metric its value, see `best_metric`.",
    )
    best_params: Arrays = part_of("_best", "params", "The parameters of `best_val_acc`.")
    best_buffers: Arrays = part_of("_best", "buffers", "The running statistics of `best_val_acc`.")
    patience: int | None = part_of("_best", "patience", "Epochs without gain that end training.")
    ema: float | None = part_of("_average", "decay", "The decay of the average of the weights.")
    ema_params: Arrays = part_of("_average", "params", "The average of the parameters.")
    ema_buffers: Arrays = part_of("_average", "buffers", "The average of the running statistics.")
    sampling: str = part_of("_sampling", "kind", "How the rows of a batch are chosen.")
    skip_easy: Any = part_of("_sampling", "skip_easy", "The share of easy rows that are left out.")
    warnings: dict[str, str] = part_of("telling", "warnings", "What `warn` said, by its keys.")

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
        return self.looking.score(self._best.val_acc) if self.best_params else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The objects that hold the state of the training but for the model's and the update rule's."""
        return (
            self._place,
            self._histories,
            self._best,
            self._average,
            self._sampling,
            self._clock,
        )

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the data, computed once."""
        names = ("X_train", "y_train", "X_val", "y_val")
        return {name: fingerprint(getattr(self, name)) for name in names}

    def _first_configs(self) -> dict[str, dict[str, Any]]:
        """Return the settings of the update rule for each parameter, before training."""
        rule = self.update_rule
        where = f"Solver: optim_config of {getattr(rule, '__name__', type(rule).__name__)}"
        known = keys_of(rule)
        config, special = split_settings(self.optim_config, self.model.params, where, known)
        if self.schedule is not None and "learning_rate" not in config:
            # a schedule needs the base rate before the rule has filled in its default
            config["learning_rate"] = self.update_rule(np.zeros(1), np.zeros(1), {})[1][
                "learning_rate"
            ]
        return {name: {**config, **special[name]} for name in self.model.params}

    @property
    def iterations_per_epoch(self) -> int:
        """Steps in an epoch, ``max(N // batch_size, 1)``."""
        return max(len(self.X_train) // self.batch_size, 1)

    @property
    def seconds(self) -> float:
        """Seconds spent in `train`, those before a resume included."""
        return self._clock.seconds

    @property
    def random(self) -> Random:
        """The stream that random numbers are drawn from; NumPy's global one for ``rng=None``."""
        return np.random.mtrand._rand if self.rng is None else self.rng

    def train(self) -> None:
        """Train for `num_epochs`, or go on with the call that was stopped or resumed.

        Other threads may predict with the model meanwhile: they see it as it is between two steps.

        Raises:
            NonFiniteError: the loss or a parameter became NaN or infinite; says where, and keeps
                the parameters from before that step.
            ConcurrencyError: another thread is training the model.
        """
        with training(self.model):
            is_over = self._train()
        if is_over:
            self._before = Before(self)
            self._place.position = self._best.epochs_without_gain = 0
            self._before = None  # from here on the next call of train is another one

    def _train(self) -> bool:
        """Do what `train` does, and return whether its call is over."""
        self.settle()
        place = self._place
        num_iterations = self.num_epochs * self.iterations_per_epoch
        self.total_steps = self.iteration - place.position + num_iterations
        self.stop_reason = None
        if text := self.nothing_left():
            warnings.warn(text, ResumeWarning, stacklevel=3)
        self._clock.start()
        is_over = False
        try:
            with ExitStack() as ends:
                for callback in self.callbacks:
                    ends.callback(callback.on_train_end, self)
                    callback.on_train_begin(self)
                try:
                    self._catch_up()
                    while place.position < num_iterations and not self._is_to_stop():
                        self._advance(num_iterations)
                        self._catch_up()
                    is_over = place.position >= num_iterations or self.stop_reason == "patience"
                    is_over = is_over and not place.estimate_due
                    if is_over:
                        self._finish()
                except BaseException:
                    self.settle()
                    raise
        finally:
            self._ahead.close()
            self._clock.stop()
            if self.is_at_rest and not place.estimate_due:  # else callbacks will look at it again
                self.set_last_step({}, {}, self.learning_rate, self.gradient_norm)
        return is_over

    def __repr__(self) -> str:
        return views.solver_text(self)

    def _repr_html_(self) -> str:
        return views.solver_page(self)

    def try_step(self) -> float:
        """Do one step that nobody is told of, and return its loss; for `lr_find`, which undoes it."""
        self._step(Before(self))
        self._place.position += 1
        self._place.iteration += 1
        return self.loss_history[-1]

    def settle(self) -> None:
        """Take back a step or an estimate that was interrupted, if one was."""
        if self._before is not None:
            self._before.put_back(self)
            self._before = None

    @property
    def is_at_rest(self) -> bool:
        """Whether the state can be saved: nothing is half done, and all callbacks were told of it."""
        return self.telling.is_done and self._before is None

    def nothing_left(self) -> str | None:
        """Return a text that says so if more epochs are done than `num_epochs` asks for, else None."""
        done, num_epochs = self._place.position / self.iterations_per_epoch, self.num_epochs
        if done <= num_epochs:
            return None
        return (
            f"{done:g} of {num_epochs} epochs are done: train() has no step to do, and ends this call with "
            f"the best parameters; the next call trains {num_epochs} epochs more.  To train on without "
            f"an end at this place, set num_epochs above {done:g} first"
        )

    def stop(self, reason: str = "interrupted") -> None:
        """Make `train` return after the current step; another `train` or a resume goes on from there."""
        self.stop_reason = reason

    def forget_patience(self) -> None:
        """Count the epochs without gain from here on."""
        self._best.epochs_without_gain = 0

    def resume(self, path: str | PathLike[str]) -> None:
        """Take up the state in the checkpoint `path`, or the newest good one of the folder `path`.

        The Solver must be built as the one that wrote it; `train` then continues as if it had
        never stopped.  Raises CheckpointError if the checkpoint is corrupt or of another run.
        """
        restore(self, path)

    def emit(self, record: Record) -> None:
        """Hand a callback's own record to all callbacks, as soon as the callback has returned."""
        self.telling.emit(self, record)

    def warn(self, key: str, text: str) -> None:
        """Hand the callbacks a record of kind ``warning``, once in a run for each `key`."""
        place = {"iteration": self.iteration, "epoch": self.epoch}
        if self.verbose and key not in self.warnings:
            print(f"warning: {text}", file=sys.stderr)  # noqa: T201
        self.telling.warn(self, key, {"kind": "warning", **place, "text": text})

    def set_last_step(
        self, grads: Arrays, before: Arrays, rate: float | None, norm: float | None
    ) -> None:
        """Say what the last step was: gradients, parameters before it, learning rate, norm."""
        self.grads, self.params_before = grads, before
        self._learning_rate, self._gradient_norm = rate, norm

    @property
    def gradient_norm(self) -> float | None:
        """The norm of all gradients of the last step before they were clipped; None without clip_norm."""
        return self._gradient_norm

    @property
    def last_step(self) -> dict[str, Any]:
        """What callbacks look at after an estimate, where that is still to come; else {}."""
        if not self._place.estimate_due:
            return {}
        return {
            "grads": self.grads,
            "params_before": self.params_before,
            "_learning_rate": self.learning_rate,
        }

    @property
    def learning_rate(self) -> float | None:
        """The learning rate of the last step; None before it, and for a rule that has none."""
        return self._learning_rate

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
        X, y = as_rows("check_accuracy", "X", X), as_numpy("check_accuracy", "y", y)
        N = len(X) if X.ndim else 0
        shape = y.shape if self.task == "classification" else y.shape[:1]
        if N == 0 or shape != (N,) or y.dtype.kind not in "biuf":
            raise ShapeError(
                "check_accuracy: X must have at least one row and y one label for each row, "
                f"got X {X.shape} and y {y.shape} {y.dtype}"
            )
        batch_size = as_count("check_accuracy", "batch_size", batch_size)
        if num_samples is not None:
            num_samples = as_count("check_accuracy", "num_samples", num_samples)
        scores, y = self._scored(X, y, num_samples, batch_size)
        figures = self.looking.figures(scores, y, needs_loss=False)
        if figures.accuracy is None:
            raise OptionError(
                f"check_accuracy: a {self.task} has no accuracy; see val_metric_history"
            )
        return figures.accuracy

    def _scored(
        self, X: Any, y: np.ndarray, num_samples: int | None, batch_size: int = 100
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores, and the targets, of all rows or of num_samples, drawn with replacement."""
        N, rows = len(y), None
        if num_samples is not None and num_samples < N:
            # the stream belongs to the thread that trains
            beside = is_trained_elsewhere(self.model)
            random = copy.deepcopy(self.random) if beside else self.random
            rows = random.choice(N, num_samples)
            y, N = y[rows], num_samples
        scores = []
        with steady(self.model):
            for start in range(0, N, batch_size):
                if self._is_estimating == get_ident() and self.stop_reason == "interrupted":
                    raise _Stopped
                batch: Any = slice(start, start + batch_size)
                scores.append(
                    np.asarray(self.model.loss(X[batch if rows is None else rows[batch]]))
                )
        return np.concatenate(scores), y

    def _advance(self, num_iterations: int) -> None:
        """Do one step; it is done as a whole or, where an exception comes, not at all."""
        started = perf_counter()
        self._before = before = Before(self)
        self._step(before)
        place = self._place
        t = place.position
        place.position += 1
        place.iteration += 1
        is_epoch_end = place.position % self.iterations_per_epoch == 0
        if is_epoch_end:
            place.epoch += 1
            for config in self.optim_configs.values():
                if "learning_rate" in config:
                    config["learning_rate"] *= self.lr_decay
        if t == 0 or is_epoch_end or place.position == num_iterations:
            check_rule_state(self.optim_configs, f"iteration {place.iteration}")
            place.estimate_due = AT_EPOCH_END if is_epoch_end else DUE
        own = []
        if self.verbose and t % self.print_every == 0:
            text = f"(Iteration {t + 1} / {num_iterations}) loss: {self.loss_history[-1]:f}"
            own.append(PendingCall(None, _print, text))
        self._clock.count_step(perf_counter() - started)
        told = calls_of(self, "on_step_end", self._step_record()) if self.callbacks else []
        if own or told:
            self.telling.add(own, told)
        self._before = None  # here the step is done

    def _catch_up(self) -> None:
        """Make the estimate of the accuracy where one is due, then tell the callbacks."""
        if self._place.estimate_due:
            self._estimate()
        if not self.telling.is_done:
            self.telling.go_on(self)

    def _step_record(self) -> Record:
        record = {
            "kind": "step",
            "iteration": self.iteration,
            "epoch": self.epoch,
            "loss": self.loss_history[-1],
            "learning_rate": self.learning_rate,
            "time": self.seconds,
        }
        if self.clip_norm is not None:
            record["gradient_norm"] = self.gradient_norm
        return record

    def _step(self, before: Before) -> None:
        """Draw a batch, update the parameters by its gradient, and note what came of it.

        Raises NonFiniteError where the loss or the update is not finite.
        """
        place, model = self._place, self.model
        rows, X = self._ahead.take(self._sampling, self.random, self._wish(0))
        self._ahead.go_on(self._sampling, self.random, self._wish(1))
        y = self.y_train[rows]
        params = model.params
        self.params_before = before.params
        try:
            with np.errstate(all="ignore"):  # NaN and infinity are looked for, and say more so
                weights = None if self.weights is None else self.weights[rows]
                loss, self.grads = loss_in_parts(model, X, y, weights, self.accumulate)
                check_gradients(params, self.grads)
                if not math.isfinite(loss):
                    raise NonFiniteError(f"the loss is {loss}")
                self._update(params)
                check_buffers(buffers_of(model))
        except NonFiniteError as error:
            before.put_back_weights(self)
            self._diverge(divergence(self, error, rows, X), error)
            return
        self.loss_history.append(loss)
        self._sampling.note(rows, model, y)
        self._average.add(model, place.iteration)

    def _wish(self, later: int) -> Wish:
        """Return what the batch of this step, or of one `later`, depends on."""
        place, per_epoch = self._place, self.iterations_per_epoch
        position = place.position + later
        epoch = place.epoch + (later if position % per_epoch == 0 else 0)
        share = (place.iteration + later) / max(self.total_steps, 1)
        step = position % per_epoch
        return Wish(self.X_train, self.augment, self.batch_size, step, share, epoch)

    def _diverge(self, error: NonFiniteError, cause: NonFiniteError) -> None:
        """Raise `error`, which says why a step is not finite; its weights were put back."""
        raise error from cause

    def _update(self, params: Arrays) -> None:
        """Apply the update rule to each of `params`; NonFiniteError if one does not stay finite."""
        factor = 1.0
        if self.schedule is not None:
            factor = self.schedule(self.iteration, self.total_steps)
            factor = as_number("Solver", "the factor that schedule returns", factor, 0.0)
        grads = {name: self.grads[name] for name in params if name not in self.frozen}
        if self.clip_norm is not None:
            grads, norm = clip_by_norm(grads, self.clip_norm)
            if not math.isfinite(norm):
                raise NonFiniteError("the norm of the gradients is not finite")
            self._gradient_norm = norm
        updated: Arrays = {}
        in_place = not leaves_weights(self.update_rule)
        is_shared = isinstance(self.model, Stateful)
        for name in grads:
            w = params[name]
            if is_shared and in_place:
                w = w.copy(order="K")
            config = self.optim_configs[name]
            base: Any = config.get("learning_rate")
            if self.schedule is not None:
                config["learning_rate"] = as_number("Solver", "learning_rate", base, 0.0) * factor
            try:
                updated[name], config = self.update_rule(w, grads[name], config)
                self._learning_rate = config.get("learning_rate")
            finally:
                if self.schedule is not None:
                    config["learning_rate"] = base
            self.optim_configs[name] = config
            if not all_finite(updated[name]):
                raise NonFiniteError(f"the update of {name} is not finite")
        commit(params, updated)

    def _estimate(self) -> None:
        """Estimate both accuracies, keep the best parameters, and note what is to be told, as a whole.

        A stop in the middle (by a signal) ends the estimate at once, as if it had not begun; it is
        then due when training goes on.
        """
        self._before = Before(self)
        place = self._place
        params, buffers = self._average.kept(self.model)
        average = nullcontext() if self.ema is None else weights_of(self.model, params, buffers)
        # the next step says more about what overflows here
        try:
            with np.errstate(all="ignore"), average:
                train = self._figures(self.X_train, self.y_train, self.num_train_samples)
                val = self._figures(self.X_val, self.y_val, self.num_val_samples)
        except _Stopped:
            self.settle()
            return
        self._histories.note(train, val)
        at_end = place.estimate_due == AT_EPOCH_END
        self._best.look(self.looking.score(val.metric), params, buffers, at_end)
        if at_end and isinstance(self.schedule, Plateau):
            self._look_at_plateau(self.schedule)
        place.estimate_due, place.estimated_at = 0, place.iteration
        record = {
            "kind": "epoch",
            "epoch": self.epoch,
            "iteration": self.iteration,
            **self.looking.record(train, val),
            "images_per_second": self._clock.take_speed() * self.batch_size,
            "time": self.seconds,
        }
        text = f"(Epoch {self.epoch} / {self.num_epochs}) {self.looking.text(train, val)}"
        lines = [PendingCall(None, _print, text)] if self.verbose else []
        if self.looks_after_health:
            lines.append(PendingCall(None, self._check_health, record))
        told = calls_of(self, "on_epoch_end", record)
        self.telling.add([*self._calls_to_save(), *lines], told)
        self._before = None  # here the estimate is done

    def _figures(self, X: Any, y: np.ndarray, num_samples: int | None) -> Figures:
        """Judge the model on rows, or raise _Stopped if a stop comes in the middle of it."""
        self._is_estimating = get_ident()
        try:
            scores, y = self._scored(X, y, num_samples)
        finally:
            self._is_estimating = None
        return self.looking.figures(scores, y, needs_loss=X is self.X_val)

    def _look_at_plateau(self, plateau: Plateau) -> None:
        """Take the learning rates back where the metric has not become better for long enough."""
        if not self._best.is_plateau(plateau.patience):
            return
        for name, config in self.optim_configs.items():
            if "learning_rate" in config:
                first = self._first_rates[name]
                rate = max(config["learning_rate"] * plateau.factor, first * plateau.least)
                config["learning_rate"] = rate

    def _calls_to_save(self) -> list[PendingCall]:
        if self.checkpoint_name is None:
            return []
        filename = f"{self.checkpoint_name}_epoch_{self.epoch}.{self._suffix}"
        save = PendingCall(None, self._save_checkpoint, filename)
        if not self.verbose:
            return [save]
        return [PendingCall(None, _print, f'Saving checkpoint to "{filename}"'), save]

    looks_after_health: bool = True
    """Whether `HealthCheck` looks at the training where it is not among the callbacks."""

    def _check_health(self, record: Record) -> None:
        look_after(self, record)

    _suffix = "safetensors"

    def _save_checkpoint(self, filename: str) -> None:
        save_checkpoint(self, filename)

    def _is_to_stop(self) -> bool:
        if self._best.is_out_of_patience:
            self.stop_reason = "patience"
        return self.stop_reason is not None

    def _finish(self) -> None:
        """End a call of `train`: give the model its best parameters, or the average of the last."""
        self.stop_reason = "patience" if self.stop_reason == "patience" else None
        params, buffers = self.ema_params, self.ema_buffers
        if self.restore_best and self.best_params:
            params, buffers = self.best_params, self.best_buffers
        if params:
            replace(self.model, params, buffers)


def _count_or_none(name: str, value: Any) -> int | None:
    return None if value is None else as_count("Solver", name, value)


def _number_or_none(name: str, value: Any, below: float) -> float | None:
    if value is None:
        return None
    return as_number("Solver", name, value, 0.0, below, open_low=True, open_high=True)


def _is_seed(rng: Any) -> bool:
    if rng is None or isinstance(rng, np.random.Generator | np.random.RandomState):
        return False
    as_count("Solver", "rng (a Generator, a RandomState or a seed)", rng, minimum=0)
    return True


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  (verbose output is part of the courses' contract)
