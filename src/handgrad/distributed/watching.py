"""What rank 0 does alone, while the other ranks see that it lives.

After the training rank 0 measures the test set and writes the report.  A thread of it says once a second that
it is there; the others wait for that, and end the job where it does not come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from handgrad.distributed.world import Patience
from handgrad.errors import HandgradError

if TYPE_CHECKING:
    from handgrad.distributed.world import World

_ALIVE, _DONE = 1, 0
_TAG = 3
_EVERY = 1.0  # seconds between two signs of life
_LOOK = 0.02  # seconds between two looks for one


@contextmanager
def rank_0_alone(world: World | None, what: str) -> Iterator[bool]:
    """Give whether this process is to do `what` in the ``with`` block: rank 0, or one without MPI.

    The other ranks wait at its beginning until rank 0 is at its end.

    Raises:
        RankError: rank 0 gave no sign of life for so long as ranks may keep silent.
        OtherRankEnded: it ended by an error, and says so itself.
    """
    if world is None or world.size == 1 or world.MPI.Query_thread() < world.MPI.THREAD_SERIALIZED:
        yield world is None or world.rank == 0
        return
    if world.rank:
        _wait(world, what)
        yield False
        return
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(world, over), daemon=True)
    thread.start()
    is_done = False
    try:
        yield True
        is_done = True
    finally:
        over.set()
        thread.join()
        if is_done:
            _say(world, _DONE)


def _say(world: World, what: int) -> None:
    word = np.array([what], np.int8)
    sent = {rank: [world.send(word, rank, _TAG)] for rank in range(1, world.size)}
    world.wait(sent, "a sign of life")


def _tell(world: World, over: threading.Event) -> None:
    try:
        while not over.is_set():
            _say(world, _ALIVE)
            over.wait(_EVERY)
    except HandgradError:  # another rank is gone; what it said is heard at the end
        return


def _wait(world: World, what: str) -> None:
    """Return when rank 0 is done."""
    word = np.array([_ALIVE], np.int8)
    while word[0] == _ALIVE:
        coming, patience = world.receive(word, 0, _TAG), Patience(world.timeout)
        while not world.is_done([coming]):
            world.look()
            if patience.is_over():
                raise world.late([0], what)
            time.sleep(_LOOK)
