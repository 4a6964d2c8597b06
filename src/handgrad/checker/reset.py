"""Leaving the process as it was before somebody's file was imported and judged.

A copy of the process needs none of this.  Where files are judged one after another in one process, no
file may be judged by what an earlier file did to the process: names that it replaced in NumPy or in the
standard library, modules, random states, NumPy's error handling, the working directory, the environment.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.random

_GONE = object()


class Before:
    """The state of the process at one moment, which `put_back` restores.

    Not kept is what a class written in Python had assigned to it, and what changed inside of lists and
    dictionaries, but for the search path, the finders, the arguments, the filters of warnings, and
    the environment.
    """

    def __init__(self) -> None:
        """Take it down."""
        self.modules = dict(sys.modules)
        self.names = {
            name: dict(vars(module))
            for name, module in self.modules.items()
            if isinstance(module, ModuleType) and name != "__main__"
        }
        lists: tuple[Any, ...] = (
            sys.path, sys.meta_path, sys.path_hooks, sys.argv, warnings.filters,
        )  # fmt: skip
        self.lists = [(one, list(one)) for one in lists]
        self.environment, self.folder = dict(os.environ), Path.cwd()
        self.errors, self.error_call = np.geterr(), np.geterrcall()
        self.printing = np.get_printoptions()
        self.random = (np.random.get_state(), random.getstate())
        self.depth, self.traces = sys.getrecursionlimit(), (sys.gettrace(), sys.getprofile())
        self.signals = {one: signal.getsignal(one) for one in signal.valid_signals()}
        self.threads = set(threading.enumerate())
        self.collects = gc.isenabled()

    def put_back(self) -> bool:
        """Restore it; return whether that is all that is to be done.

        It is not where a thread is left, where a module came in meanwhile, of which it cannot be known what
        was done to it, and where something of NumPy was replaced: what was computed with it may be kept.
        """
        trace, profile = self.traces
        sys.settrace(trace)
        sys.setprofile(profile)
        for one, content in self.lists:
            if list(one) != content:
                one[:] = content
        replaced = self._modules()
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        with contextlib.suppress(OSError):
            os.chdir(self.folder)
        np.seterr(**self.errors)
        np.seterrcall(self.error_call)
        np.set_printoptions(**self.printing)
        np.random.set_state(self.random[0])
        random.setstate(self.random[1])
        sys.setrecursionlimit(self.depth)
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.signals.items():
                if handler is not None and signal.getsignal(number) is not handler:
                    with contextlib.suppress(OSError, ValueError):
                        signal.signal(number, handler)
        if self.collects:
            gc.enable()
        new = (name for name in sys.modules if name not in self.modules)
        strange = any(name.partition(".")[0] != "handgrad" for name in new)
        return not (strange or replaced) and set(threading.enumerate()) <= self.threads

    def _modules(self) -> bool:
        """Put modules, and the names in them, back; return whether something that counts was replaced."""
        for name in list(sys.modules):
            module = sys.modules[name]
            if name not in self.modules and getattr(module, "__spec__", None) is None:
                del sys.modules[name]
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
        counts = False
        for name, before in self.names.items():
            top = name.partition(".")[0]
            replaced = _put_names_back(vars(self.modules[name]), before, top == "handgrad")
            counts |= replaced and top in ("numpy", "handgrad", "builtins", "math", "random")
        return counts


def _put_names_back(now: dict[str, Any], before: dict[str, Any], own: bool) -> bool:
    """Return whether a function or class had been replaced.

    own: of this library's modules, which keep values of their own, only functions are put back.
    """
    replaced = False
    for name, value in before.items():
        if now.get(name, _GONE) is not value and (not own or callable(value)):
            now[name] = value
            replaced |= callable(value)
    if len(now) > len(before) and not own:
        for name in now.keys() - before.keys():
            if not isinstance(now[name], ModuleType):  # a part that was imported meanwhile stays
                del now[name]
    return replaced


@contextlib.contextmanager
def as_before(forget: Callable[[], None]) -> Iterator[None]:
    """Leave the process as it is now, whatever happens within.

    forget: called where what was computed within may have been computed with something that was replaced.
    """
    before = Before()
    try:
        yield
    finally:
        if not before.put_back():
            forget()
