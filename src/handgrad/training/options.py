"""The options of a training, each described once: what it does, and what it may be.

The Solver checks its arguments by this description, a configuration its table ``[training]``; the Solver's
docstring, the help of ``handgrad train`` and the table in the documentation show its words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import Any, TypeVar

import numpy as np

from handgrad.errors import (
    OptionError,
    as_count,
    as_flag,
    as_items,
    as_number,
    as_path,
    check_callable,
    check_choice,
    check_dictionary,
)
from handgrad.nn.compiled.half import FLOAT32, PRECISIONS
from handgrad.optim import get_rule
from handgrad.training.checks import checked_callbacks
from handgrad.training.metrics import METRICS
from handgrad.training.passes import as_skip
from handgrad.training.sampling import SAMPLINGS
from handgrad.training.steering import as_acts

Check = Callable[[str, str, Any], Any]
"""``check(where, name, value)`` -> the value to use; OptionError says where, name, and what it may be."""

Described = TypeVar("Described", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """An option of a training.

    Attributes:
        name: of the Solver's argument, "" where it has none.
        says: what it does.
        check: of the argument, None where the model or the data decide.
        none: what None means, "" where it may not be None.
        key: its name in the table [training], "" where that has none.
        in_file: the check there, where it is another one.
        off: what stands for None there.
        file_says: what it does there, where that differs.
    """

    name: str
    says: str
    check: Check | None = None
    none: str = ""
    key: str = ""
    in_file: Check | None = None
    off: Any = None
    file_says: str = ""

    def checked(self, where: str, value: Any) -> Any:
        """Return the argument `value` as it is used."""
        if self.check is None or (value is None and self.none):
            return value
        return self.check(where, self.name, value)

    def checked_in_file(self, value: Any) -> Any:
        """Return the `value` of the table [training] as it is used."""
        check = self.in_file or self.check
        return check("training", self.key, value) if check else value

    @property
    def text(self) -> str:
        """What the Solver's argument does."""
        return f"{self.says}; None for {self.none}" if self.none else self.says

    @property
    def file_text(self) -> str:
        """What the key of the table [training] does."""
        says = self.file_says or self.says
        off = '``""``' if self.off == "" else self.off
        return f"{says}; {off} for {self.none}" if self.off is not None else says


def count(least: int = 1) -> Check:
    """Check for an integer of at least so many."""
    return lambda where, name, value: as_count(where, name, value, least)


def number(low: float, high: float = math.inf, **ends: bool) -> Check:
    """Check for a number in [low, high]; `ends` are open_low and open_high."""
    return lambda where, name, value: as_number(where, name, value, low, high, **ends)


def choice(*known: str) -> Check:
    """Check for one of some names."""

    def check(where: str, name: str, value: Any) -> Any:
        check_choice(where, name, value, known)
        return value

    return check


def _dictionary(where: str, name: str, value: Any) -> Any:
    value = {} if value is None else value
    check_dictionary(where, name, value)
    return value


def _function(where: str, name: str, value: Any) -> Any:
    check_callable(where, name, value)
    return value


def _rule(where: str, name: str, value: Any) -> Any:
    return value if callable(value) else get_rule(value)


def _path(where: str, name: str, value: Any) -> Any:
    as_path(where, name, value)
    return value


def _callbacks(where: str, name: str, value: Any) -> Any:
    return checked_callbacks(value)


def _stream(where: str, name: str, value: Any) -> Any:
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return value
    seed = f"{name} (a Generator, a RandomState or a seed)"
    return np.random.default_rng(as_count(where, seed, value, minimum=0))


def _skip(where: str, name: str, value: Any) -> Any:
    return as_skip(where, value)


def _table(where: str, name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise OptionError(f"{where}: {name} must be a table, got {value!r}")
    return value


def _class_weight(where: str, name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        check_choice(where, f"{name} (or a table)", value, ("", "balanced"))
    return value


def _steering(where: str, name: str, value: Any) -> Any:
    return as_acts(value)


def _patterns(where: str, name: str, value: Any) -> Any:
    for pattern in as_items(where, name, value, "patterns of names"):
        if not isinstance(pattern, str):
            raise OptionError(f"{where}: {name} must hold texts, got {pattern!r} in it")
    return value


OPTIONS = (
    Option("update_rule", "name of a rule of `handgrad.optim`, or such a function", _rule),
    Option(
        "optim_config",
        'settings of the rule, as in ``{"learning_rate": 1e-3}``; under "parameters" those of single '
        'parameters by name, ``{"parameters": {"conv1.*": {"learning_rate": 0}}}``, where * stands for '
        "anything.  Keys that the rule does not know are refused; a rule of your own says what it knows in "
        "its attribute ``settings`` (`handgrad.optim.keys_of`), and takes everything if it has none",
        _dictionary,
    ),
    Option("lr_decay", "factor on the learning rate after each epoch", number(0.0), key="lr_decay"),
    Option("batch_size", "rows of a step", count(), key="batch_size"),
    Option("num_epochs", "epochs of a call of `train`", count(0), key="epochs", in_file=count(),
           file_says="passes over the training set"),
    Option("num_train_samples", "training rows for an estimate of the accuracy", count(), "all",
           key="num_train_samples"),
    Option("num_val_samples", "validation rows for an estimate of the accuracy", count(), "all",
           key="num_val_samples", in_file=count(0), off=0),
    Option("checkpoint_name", "save ``<checkpoint_name>_epoch_<epoch>.safetensors`` at each estimate",
           _path, "no such files"),
    Option("print_every", "steps between printed losses", count()),
    Option("verbose", "print"),
    Option("rng", "a Generator, a RandomState, or a seed", _stream, "NumPy's global stream"),
    Option("callbacks", "called in this order at the start, after steps, and after estimates", _callbacks),
    Option("schedule", "``schedule(step, total_steps)`` -> factor on the learning rate of this step, on top "
           "of lr_decay; steps count from 0", _function, "1"),
    Option("augment", "``augment(X_batch, rng)`` -> the batch to train on; where it has a true attribute "
           "``takes_rows``, it is also given ``rows=``, the places of the images in the training set, and "
           "``epoch=``", _function, "the batch as it is", key="augment", in_file=_table,
           file_says="random changes of the training images, as ``{flip = 0.5, crop = 4}`` "
           "(`handgrad.data.Augmentation`)"),
    Option("patience", "stop after so many epochs without a better validation accuracy", count(), "never",
           key="patience", in_file=count(0), off=0),
    Option("restore_best", "end with the parameters of the best validation accuracy, not with the last",
           as_flag, key="restore_best"),
    Option("clip_norm", "scale the gradients of a step down to this norm, of all of them together, where "
           "theirs is larger; the norm before that is in the step's record, as gradient_norm",
           number(0.0, open_low=True), "no limit", key="clip_norm", in_file=number(0.0), off=0),
    Option("precision", 'what gradients are computed in: "float32"; "bf16", in which values of layers are '
           "stored and products take their factors, while parameters, their gradients, sums, statistics and "
           'updates stay float32; or "auto", which measures both before the first step and takes the faster '
           "one (`handgrad.nn.compiled.half`)", choice(*PRECISIONS), key="precision"),
    Option("ema", "decay of a moving average of the weights, as 0.999, in (0, 1)",
           number(0.0, 1.0, open_low=True, open_high=True), "no average", key="ema",
           in_file=number(0.0, 1.0, open_high=True), off=0),
    Option("sampling", '"replacement", or "shuffled": each row at most once an epoch, in a random order '
           "(`handgrad.training.sampling`)", choice(*SAMPLINGS), key="sampling"),
    Option("skip_easy", 'with "shuffled", the share of the rows with low losses that a pass over the '
           "training set leaves out (`handgrad.training.passes`), or its first and last value; an epoch "
           "keeps its number of steps.  The model then has ``last_scores``, those of its last training step",
           _skip, key="skip_easy"),
    Option("task", '"classification", "regression" or "multilabel"', none="that of the model's loss, where "
           "it has one"),
    Option("metric", "what decides what is best, for patience, restore_best and the schedule plateau: "
           '"loss", of the validation set; a name of `handgrad.training.metrics`; or a function '
           "(predictions, y) -> number, of which more is better", none="the accuracy, of a regression r2",
           key="metric", in_file=choice("", "loss", *METRICS), off="",
           file_says='what decides what is best: "loss", of the validation set, or a name of '
           "`handgrad.training.metrics`"),
    Option("class_weight", 'how often the rows of each class count in the loss: "balanced", (C,) numbers or '
           "a dictionary label -> number", none="once", key="class_weight", in_file=_class_weight, off="",
           file_says='how often the rows of each class count in the loss: "balanced", or a table label -> '
           "number"),
    Option("sample_weight", "how often each training row counts, (N,).  Rows of weight 0 are left out",
           none="once"),
    Option("accumulate", "in how many parts, one after the other, the gradient of a batch is computed, to "
           "save memory (`handgrad.training.weighting.loss_in_parts`)", count(), key="accumulate"),
    Option("shards", "in how many shards a batch is cut, whose gradients are summed in one fixed tree, so "
           "that several ranks of MPI can compute them (`handgrad.training.shards`)", count(),
           "one piece", key="shards", in_file=count(0), off=0,
           file_says="in how many shards a batch is cut, whose gradients are summed in one fixed tree, so "
           "that several ranks of MPI can compute them (`handgrad.training.shards`); 8 with mpirun"),
    Option("norm_sync", "whether batch normalisation takes the statistics of all shards of a batch together, "
           "not of each (`handgrad.nn.lockstep`)", as_flag, key="norm_sync"),
    Option("", "seconds that a rank of MPI waits for another one before the job ends", key="rank_timeout",
           in_file=number(0.1)),
    Option("freeze", 'patterns of names, as "conv1.*", of parameters that stay as they are', key="freeze",
           in_file=_patterns),
    Option("unit", "makes numbers of their own unit of the targets and predictions of a regression, for "
           "metric", none="those of the scores"),
    Option("", "epochs between checkpoints", key="checkpoint_every", in_file=count()),
    Option("", "steps between further checkpoints", none="none", key="checkpoint_steps",
           in_file=count(0), off=0),
    Option("", "changes between two steps, as ``{iteration = 150, rate = 0.5}`` "
           "(`handgrad.training.steering`)", key="steering", in_file=_steering),
)  # fmt: skip

ARGUMENTS = {option.name: option for option in OPTIONS if option.name}
IN_FILE = {option.key: option for option in OPTIONS if option.key}


def check_together(where: str, given: Mapping[str, Any]) -> None:
    """Raise OptionError for options that do not go together."""
    if given["accumulate"] > 1 and (given["shards"] or 1) > 1:
        raise OptionError(f"{where}: accumulate and shards both cut a batch; leave one of them out")
    if given["precision"] != FLOAT32 and given["shards"]:
        raise OptionError(
            f"{where}: precision {given['precision']!r} and shards do not go together; leave one of them out"
        )
    if not given["skip_easy"]:
        return
    if given["sampling"] != "shuffled":
        raise OptionError(
            f"{where}: skip_easy needs sampling='shuffled', got {given['sampling']!r}"
        )
    if given["accumulate"] > 1:
        raise OptionError(f"{where}: skip_easy needs the scores of a whole batch, so accumulate=1")


def checked_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a Solver as they are used; OptionError for one that may not be so."""
    checked = {name: option.checked("Solver", given[name]) for name, option in ARGUMENTS.items()}
    check_together("Solver", checked)
    return checked


def described(texts: Mapping[str, str]) -> Callable[[Described], Described]:
    """Write what the options do into the docstring of a class or function, where a line says ``options``."""

    def describe(thing: Described) -> Described:
        before, mark, after = (thing.__doc__ or "").partition("options\n")  # -OO leaves none
        indent = before[before.rfind("\n") + 1 :]
        lines = [
            fill(f"{name}: {text}.", 100, initial_indent=indent, subsequent_indent=f"{indent}    ")
            for name, text in texts.items()
        ]
        if mark:
            thing.__doc__ = "\n".join([before.rstrip(), *lines, after])
        return thing

    return describe


TEXTS = {name: option.text for name, option in ARGUMENTS.items()}
FILE_TEXTS = {key: option.file_text for key, option in IN_FILE.items()}
