"""The options that a data set was made with, kept beside what was guessed: a run makes the same again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, Final, ParamSpec

import numpy as np

from handgrad.data.dataset import Dataset

P = ParamSpec("P")
_OTHERS: Final = ("path", "split")  # known otherwise


def remembered(make: Callable[P, Dataset]) -> Callable[P, Dataset]:
    """Let the data sets that `make` reads from a file have its options in their ``settings``.

    Those that are the defaults are left out, and columns that were passed as arrays.
    """
    signature = inspect.signature(make)
    defaults = {name: p.default for name, p in signature.parameters.items() if name not in _OTHERS}

    @wraps(make)
    def made(*args: P.args, **options: P.kwargs) -> Dataset:
        dataset = make(*args, **options)
        if "path" not in dataset.settings:
            return dataset
        given = {
            name: _plain(value)
            for name, value in signature.bind(*args, **options).arguments.items()
            if name in defaults
        }
        own = {
            name: value
            for name, value in given.items()
            if value is not None and value != _plain(defaults[name])
        }
        return replace(dataset, arrays=dataset.rows, settings={**own, **dataset.settings})

    return made


def _plain(value: Any) -> Any:
    """Return `value` as a configuration writes it; None for what it cannot write."""
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if isinstance(value, np.dtype | type):
        return np.dtype(value).name
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return None if None in items else items
    return None
