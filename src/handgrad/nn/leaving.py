"""Gradients that leave a network one by one, each as soon as backward is done with it.

Who cuts a batch into shards (`handgrad.training.shards`) sums the gradients of the shards.  While it
listens, a network hands each gradient over when no later call adds to it.  The gradient can then be sent to
other processes while backward goes on.  The penalty of the weights is left to the listener, who adds it
once, to the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from handgrad.engines.arrays import Array

Take = Callable[[str, Array], None]


class Leaving:
    """A listener; was_heard says whether a network has asked for it, and so left the penalty out."""

    def __init__(self) -> None:
        self.was_heard = False
        self._take: Take | None = None

    @contextmanager
    def to(self, take: Take) -> Iterator[None]:
        """Let this thread's networks hand each gradient, by its name, to `take` in the ``with`` block."""
        self._take = take
        token = listening.set(self)
        try:
            yield
        finally:
            listening.reset(token)

    def heard(self) -> Take | None:
        """Return what gradients are handed to, and note that a network has asked."""
        self.was_heard = True
        return self._take


listening: ContextVar[Leaving | None] = ContextVar("handgrad_leaving", default=None)
"""Who takes the gradients of this thread's networks, or None."""
