"""Engines: the ways to compute the pairs.

An engine has one function for each name of `handgrad.engines.pairs`, with the same signature in every
engine.  Engines receive checked arrays of one dtype and plain options; checking, dictionaries and random
numbers belong to `handgrad.layers`.

======================  ==========================================================================
``naive``               plain loops, the text to learn from and the oracle; NumPy arrays
``vectorized``          the layer files' own array code; any array library, on its own device
``native``              compiled kernels; NumPy float32 and float64
``auto`` (default)      native where it is built and takes the arrays, vectorized for everything else
======================  ==========================================================================
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from handgrad.errors import EngineError, as_count, is_one_of

NAMES = ("naive", "vectorized", "native")

_MEND = "install a C++ compiler, then run in the source folder: pip install --force-reinstall --no-deps ."

_chosen: ContextVar[str] = ContextVar("handgrad_engine", default="auto")


@cache
def available() -> tuple[str, ...]:
    """Return the names of the engines that can be used here.

    >>> "naive" in available() and "vectorized" in available()
    True
    """
    found = ("naive", "vectorized")
    return found if why_missing() else (*found, "native")


@cache
def why_missing() -> str:
    """Return why the native engine cannot be used here, on one line; "" where it can.

    The installer keeps the compiler's first error beside this file.
    """
    folder = Path(__file__).parent
    if PathFinder.find_spec("_kernels", [str(folder / "native")]) is not None:
        try:
            importlib.import_module("handgrad.engines.native._kernels")
        except ImportError as error:  # built for another system, or a library is missing
            return " ".join(str(error).split())
        return ""
    try:
        return (folder / "native_missing.txt").read_text("utf-8").strip()
    except OSError:
        return "this is the pure-Python wheel, or a source folder that was not built"


def missing_text() -> str:
    """Return one line: that the native engine is missing, why, how to mend it; "" where it is there.

    >>> missing_text()  # doctest: +SKIP
    """
    why = why_missing()
    if not why:
        return ""
    return f"The native engine is missing, so layers run on NumPy, several times slower ({why}); {_MEND}"


def get(name: str) -> ModuleType:
    """Return the engine called `name`; EngineError says how to get it where it is missing.

    >>> get('naive').__name__
    'handgrad.engines.naive'
    """
    if not isinstance(name, str) or name not in NAMES:
        raise EngineError(f"engine must be one of 'auto', {str(NAMES)[1:-1]}; got {name!r}")
    return loaded(name)


@cache
def loaded(name: str) -> ModuleType:
    """Return the engine of this name, which is one of `NAMES`."""
    if name not in available():
        raise EngineError(f"engine 'native' is missing here ({why_missing()}); {_MEND}")
    return importlib.import_module(f"handgrad.engines.{name}")


def check_name(name: str) -> str:
    """Return `name` if it is 'auto' or an engine that can be used here, else raise EngineError.

    >>> check_name('vectorized')
    'vectorized'
    """
    if not is_one_of(name, ("auto",)):
        get(name)
    return name


def current() -> str:
    """Return the name of the engine chosen by `use`, 'auto' outside of it.

    >>> current()
    'auto'
    """
    return _chosen.get()


@contextmanager
def use(name: str) -> Iterator[None]:
    """Choose the engine for all calls inside the ``with`` block (of this thread or task).

    >>> with use("naive"):
    ...     current()
    'naive'
    """
    token = _chosen.set(check_name(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def set_threads(count: int) -> None:
    """Compute with `count` threads: the native engine's, and those of NumPy's BLAS.

    Raises OptionError unless `count` is an integer of at least 1.

    >>> set_threads(2)  # doctest: +SKIP
    """
    from threadpoolctl import threadpool_limits

    count = as_count("set_threads", "count", count)
    threadpool_limits(count)
    if "native" in available():
        get("native").control.set_threads(count)


def select(engine: str | None, array: Any) -> tuple[str, ModuleType]:
    """Return (name, module) of the engine for a call on `array`, whose dtype is already checked.

    >>> import numpy as np
    >>> select('naive', np.zeros(3))[0]
    'naive'
    """
    name = _chosen.get() if engine is None else check_name(engine)
    if name == "vectorized":
        return name, loaded(name)
    is_numpy = isinstance(array, np.ndarray)
    takes_native = is_numpy and array.dtype.kind == "f"
    if name == "auto":
        name = "native" if takes_native and "native" in available() else "vectorized"
    elif name == "native" and not takes_native:
        raise EngineError(
            "engine 'native' takes NumPy float32 and float64 arrays, got "
            f"{type(array).__module__}.{type(array).__name__} of {array.dtype}; use 'vectorized'"
        )
    elif name == "naive" and not is_numpy:
        raise EngineError(
            f"engine 'naive' takes NumPy arrays, got {type(array).__module__}."
            f"{type(array).__name__}; use 'vectorized'"
        )
    return name, loaded(name)
