"""What a network keeps from call to call, and how calls in several threads see it.

Any number of threads may predict with a network while one trains it:

- a call reads parameters and running statistics once, together, when it begins; what others do to the
  network afterwards, it does not see;
- a training call puts the new running statistics in place at its end, all in one step;
- the Solver puts the new parameters of a step in place in one step as well.

A prediction therefore sees the network as it was between two such steps.  Parameters that a program
changes in place, ``model.params["W1"] *= 0.9``, are read as they are.

A second thread that wants to train the same network gets a ConcurrencyError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple, TypeVar

from handgrad.engines.arrays import Array
from handgrad.errors import ConcurrencyError

Part = TypeVar("Part")


class State(NamedTuple):
    """The parameters by name, and the running statistics in the network's own form."""

    params: dict[str, Array]
    kept: Any


def lock_of_each_process() -> threading.RLock:
    """Return a lock that is free in a copy of the process, whichever thread held it at that moment."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]
    return lock


changing = lock_of_each_process()
"""Held while a state is read or replaced, never while a network computes."""

_fixed: ContextVar[Mapping[int, State]] = ContextVar("handgrad_fixed", default={})  # noqa: B039
_mode: ContextVar[str | None] = ContextVar("handgrad_mode", default=None)
_trainers: dict[int, training] = {}  # by the id of the model


class in_mode:
    """Let this thread's networks compute in `mode` inside of the ``with`` block."""

    __slots__ = ("_mode", "_token")

    def __init__(self, mode: str) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._token = _mode.set(self._mode)

    def __exit__(self, *error: object) -> None:
        _mode.reset(self._token)


def is_fixed() -> bool:
    """Whether this thread sees some network as it was (`Stateful.fixed`)."""
    return bool(_fixed.get())


def current_mode() -> str | None:
    """Return the mode of this thread's call of a network, None outside of one."""
    return _mode.get()


def copied(part: Part) -> Part:
    """Return a copy of a layer for one call of its network; what it refers to is the same."""
    own = object.__new__(type(part))
    own.__dict__.update(part.__dict__)
    return own


class Stateful:
    """A network whose calls belong to their threads; the base of `nn.Model` and of the ready ones."""

    _params: dict[str, Any]
    last_scores: Any
    _trained_in: int | None = (
        None  # the thread of the last training call; at first, that of the constructor
    )

    _name: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._name = cls.__name__

    def _own_state(self) -> State:
        """Return the present state, in containers that no other code changes."""
        raise NotImplementedError

    def _kept_of(self, buffers: Mapping[str, Any]) -> Any:
        """Return `buffers` in the form of ``State.kept``; refuse what is none of this network."""
        raise NotImplementedError

    def _replace_kept(self, kept: Any) -> None:
        """Put ``State.kept`` in the place of the present one."""
        raise NotImplementedError

    def _state(self) -> State:
        """Return what a call that begins now computes with."""
        given = _fixed.get().get(id(self))
        if given is not None:
            return given
        with changing:
            return self._own_state()

    def _seen_params(self) -> dict[str, Array]:
        """Return the live parameters; in `fixed` those that this thread's calls see."""
        given = _fixed.get().get(id(self))
        return self._params if given is None else given.params

    def _keep(self, kept: Any, scores: Any) -> None:
        """End a training call: put its running statistics, and its scores, in place."""
        fixed = _fixed.get()
        with changing:
            self.last_scores = scores
            if id(self) in fixed:
                fixed[id(self)] = State(fixed[id(self)].params, kept)  # type: ignore[index]
            else:
                self._replace_kept(kept)

    @contextmanager
    def fixed(
        self, params: Mapping[str, Any] | None = None, buffers: Mapping[str, Any] | None = None
    ) -> Iterator[None]:
        """Inside of the ``with`` block, this thread's calls see the network as it is now.

        Setting params, or `load_buffers`, in this thread ends it.

        Args:
            params, buffers: what they see in place of the network's own, as the averages of the Solver;
                other threads go on with the network's own.

        Raises:
            ShapeError, OptionError: `buffers` do not fit the network.
        """
        state = self._state()
        if params is not None:
            state = State(dict(params), self._kept_of({} if buffers is None else buffers))
        before = _fixed.get()
        try:
            _fixed.set({**before, id(self): state})
            yield
        finally:
            _fixed.set(before)

    def _unfix(self) -> None:
        """End `fixed` in this thread: its own change of the network is what it sees from now on."""
        fixed = _fixed.get()
        if id(self) in fixed:
            _fixed.set({key: state for key, state in fixed.items() if key != id(self)})

    def _train_here(self) -> None:
        """Note that this thread trains the network."""
        self._trained_in = threading.get_ident()

    def _is_beside(self) -> bool:
        """Whether this thread neither trained the network last nor, where nobody did, made it."""
        return self._trained_in not in (None, threading.get_ident())


class training:
    """Let this thread alone train `model` inside of the ``with`` block; it may nest.

    Raises ConcurrencyError if another thread is doing so.
    """

    __slots__ = ("model", "thread")

    def __init__(self, model: Any) -> None:
        self.model = model
        self.thread = threading.current_thread()

    def __enter__(self) -> None:
        model = self.model
        try:
            turn = _trainers.setdefault(id(model), self)
            if turn.thread is not self.thread:
                if turn.thread.is_alive():
                    raise ConcurrencyError(
                        f"{type(model).__name__}: the thread {turn.thread.name!r} is training this model, so "
                        f"{self.thread.name!r} cannot train it at the same time; train it from one thread "
                        "after the other, or give each thread a model of its own, made by "
                        "copy.deepcopy(model) before they begin. Predictions, loss(X), need no such care"
                    )
                _trainers[id(model)] = self  # the other one ended without saying so
            if isinstance(model, Stateful):
                model._train_here()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        if _trainers.get(id(self.model)) is self:
            del _trainers[id(self.model)]


def is_trained_elsewhere(model: Any) -> bool:
    """Return whether another thread is training `model`."""
    turn = _trainers.get(id(model))
    return turn is not None and turn.thread is not threading.current_thread()
