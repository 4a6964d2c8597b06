"""The ranks of a job: messages that never wait for ever, and how the ranks end together.

All messages are sent and received without blocking, and waited for in a loop that looks for three things:
that they are done; that another rank has said that it ends; and that the time is over
(`training.rank_timeout`).  A rank that ends says so to all others, and waits for a moment until they have
heard; so one message is printed, the exit codes are ours, and nothing is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from handgrad.distributed.launch import launched
from handgrad.errors import HandgradError, OptionError
from handgrad.optional import library

TIMEOUT = 20.0  # seconds that a rank waits for another one
START = 25  # seconds in which MPI must have connected the ranks
_NOTICE = 1  # tag of what a rank says when it ends
_AGREE = 2
_FAREWELL = 5.0  # seconds in which the others must have heard that a rank ends
_LOOK = 0.002  # seconds between two looks for notices
_STOPPED = 1.0  # seconds between two looks, of which more were spent stopped
_SPINS = 200  # looks before the processor is given to others


class RankError(HandgradError, RuntimeError):
    """A rank does not answer, or holds other numbers than the others."""


class OtherRankEnded(HandgradError, RuntimeError):
    """Another rank has said that it ends; that one tells why."""


class Patience:
    """Seconds of waiting, without those in which this process itself was stopped, as schedulers do."""

    def __init__(self, seconds: float) -> None:
        """Begin to wait."""
        self._left, self._last = seconds, time.monotonic()

    def is_over(self) -> bool:
        """Return whether the seconds are over; is asked many times a second."""
        now = time.monotonic()
        self._left -= min(now - self._last, _STOPPED)
        self._last = now
        return self._left < 0


class World:
    """The ranks.

    Attributes:
        per_node: ranks of this machine.
        library: the name of the MPI.
        bytes_sent: by this rank.
        exit_code: of this process, once it is known.
        delay: seconds that gradients are kept back after they came, to try a slow network.
    """

    def __init__(self, comm: Any, timeout: float = TIMEOUT) -> None:
        """`comm`: a communicator of mpi4py, of which copies are made."""
        self.MPI = library("mpi4py.MPI", "training with MPI", "mpi")
        self.comm = comm.Dup()
        self._control = comm.Dup()
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.timeout = timeout
        self.bytes_sent = 0
        self.delay = 0.0
        self.exit_code: int | None = None
        self.heard: dict[int, dict[str, Any]] = {}  # what other ranks said when they ended
        self._next_look = 0.0
        node = comm.Split_type(self.MPI.COMM_TYPE_SHARED)
        self.per_node = node.Get_size()
        node.Free()
        self.library = self.MPI.Get_library_version().splitlines()[0].strip()

    # -- messages ----------------------------------------------------------------------------------

    def send(self, array: Any, to: int, tag: int) -> Any:
        """Begin to send the bytes of a contiguous `array`; return the request."""
        self.bytes_sent += array.nbytes
        return self.comm.Isend([array, array.nbytes, self.MPI.BYTE], to, tag)

    def receive(self, array: Any, source: int, tag: int) -> Any:
        """Begin to receive the bytes of a contiguous `array`; return the request."""
        return self.comm.Irecv([array, array.nbytes, self.MPI.BYTE], source, tag)

    def is_done(self, requests: Sequence[Any]) -> bool:
        """Return whether all `requests` are complete; let MPI work on them."""
        return bool(self.MPI.Request.Testall(list(requests)))

    def wait(self, requests: Mapping[int, Sequence[Any]], what: str) -> None:
        """Wait until the requests, by the rank at the other end, are complete.

        Raises:
            OtherRankEnded: a rank ended meanwhile.
            RankError: a rank did not answer in time; names it, and `what` was waited for.
        """
        every = [request for own in requests.values() for request in own]
        patience, looks = Patience(self.timeout), 0
        while not self.is_done(every):
            looks += 1
            self.look()
            if looks > _SPINS:
                time.sleep(5e-5)
            if patience.is_over():
                late = [rank for rank, own in requests.items() if not self.is_done(own)]
                if late:
                    raise self.late(late, what)

    def late(self, ranks: Iterable[int], what: str) -> RankError:
        """Return the error that `ranks` have not answered, and `what` was waited for."""
        names = ", ".join(map(str, sorted(ranks))) or "?"
        return RankError(
            f"rank {names} has not answered for {self.timeout:g} s ({what}): it hangs, or its machine is "
            "lost; if it is only slow, raise training.rank_timeout"
        )

    def look(self) -> None:
        """Raise OtherRankEnded if a rank has said that it ends."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK
        self._hear()
        if self.heard:
            raise OtherRankEnded(f"rank {min(self.heard)} has ended")

    def _hear(self) -> None:
        status = self.MPI.Status()
        while self._control.Iprobe(self.MPI.ANY_SOURCE, _NOTICE, status):
            data = bytearray(status.Get_count(self.MPI.BYTE))
            self._control.Recv([data, self.MPI.BYTE], status.Get_source(), _NOTICE)
            self.heard[status.Get_source()] = json.loads(data.decode())

    def share(self, own: Any, what: str) -> list[Any]:
        """Return what each rank gives: plain data, small.  `what` is said where one does not come."""
        data = json.dumps(own).encode()
        found: list[Any] = [None] * self.size
        found[self.rank] = own
        others = [rank for rank in range(self.size) if rank != self.rank]
        sent = {r: [self.comm.Isend([data, self.MPI.BYTE], r, _AGREE)] for r in others}
        missing, patience = set(others), Patience(self.timeout)
        status = self.MPI.Status()
        while missing:
            for rank in sorted(missing):
                if self.comm.Iprobe(rank, _AGREE, status):
                    into = bytearray(status.Get_count(self.MPI.BYTE))
                    self.comm.Recv([into, self.MPI.BYTE], rank, _AGREE)
                    found[rank] = json.loads(into.decode())
                    missing.discard(rank)
            self.look()
            if missing:
                time.sleep(2e-4)
            if missing and patience.is_over():
                raise self.late(missing, what)
        self.wait(sent, what)
        return found

    # -- the end -----------------------------------------------------------------------------------

    def end(self, message: str | None, code: int) -> tuple[str | None, int]:
        """Tell the other ranks that this one ends early; return what it prints, and its exit code.

        One rank prints: the lowest of those that failed by themselves.  Does not return where others do not
        hear: they hang, or are gone, and the job is aborted.

        Args:
            message: why; None if another rank ended.
            code: exit code.
        """
        notice = {"message": message, "code": code}
        data = json.dumps(notice).encode()
        others = [rank for rank in range(self.size) if rank != self.rank]
        requests = [self._control.Isend([data, self.MPI.BYTE], r, _NOTICE) for r in others]
        started = time.monotonic()
        while len(self.heard) < len(others) or not self.is_done(requests):
            self._hear()
            if time.monotonic() - started > _FAREWELL:
                break
            time.sleep(1e-3)
        is_quiet = len(self.heard) == len(others)
        every = {**self.heard, self.rank: notice}
        failed = sorted(rank for rank, said in every.items() if said["message"] is not None)
        first = failed[0] if failed else self.rank
        code = every[first]["code"] or code
        text = message if first == self.rank else None
        if text is not None and any(said["message"] != message for said in every.values()):
            text = f"rank {self.rank}: {text}"
        if not is_quiet:
            if text is not None:
                print(f"handgrad: {text}", file=sys.stderr, flush=True)  # noqa: T201
            time.sleep(0 if text is not None else _FAREWELL)  # who prints aborts first
            sys.stdout.flush()
            self.comm.Abort(code)
        return text, code


def join(timeout: float = TIMEOUT) -> World:
    """Return the ranks of the job that this process was started in.

    Raises:
        OptionError: mpi4py is missing, or is one of another MPI than the launcher.
    """
    told = launched()
    mpi4py = library("mpi4py", "training with mpirun", "mpi")
    mpi4py.rc.finalize = True
    try:
        with _alarm():
            MPI = library("mpi4py.MPI", "training with mpirun", "mpi")
    except RuntimeError as error:  # there is no library of MPI to load
        raise OptionError(
            f"mpi4py finds no MPI ({str(error).splitlines()[0]}); get one with: pip install mpich, or load "
            "your cluster's module"
        ) from None
    comm = MPI.COMM_WORLD
    if told is not None and told.size != comm.Get_size():
        raise OptionError(
            f"mpirun started {told.size} processes, but mpi4py sees {comm.Get_size()}: it stands on another "
            f"MPI ({MPI.Get_library_version().splitlines()[0].strip()}) than mpirun; use the mpirun of that "
            "one, or install mpi4py anew for yours"
        )
    return World(comm, timeout)


def give_up(code: int) -> None:
    """Let the launcher end the ranks of a job that this process cannot join: they wait for it in MPI_Init.

    MPICH's launcher hears it; others end the job when a process ends with such a code.
    """
    with suppress(KeyError, ValueError, OSError):
        os.write(int(os.environ["PMI_FD"]), b"cmd=abort exitcode=%d\n" % code)


def leave(world: World) -> None:
    """End this process, when Python ends, with the exit code of `world`: no rank that hangs is left behind.

    MPI_Finalize waits for all ranks; if it takes too long, the system ends this process, and the launcher
    the others.  Behind it the process does nothing more: nobody would see it hang.
    """
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(START)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if world.exit_code is not None:
        world.MPI.Finalize()
        os._exit(world.exit_code)


@contextmanager
def _alarm() -> Iterator[None]:
    """Let the system end this process where MPI does not connect the ranks: one of them hangs, or never came.

    MPI_Init waits in C, where Python is not asked; the launcher then ends the others.
    """
    seconds = int(os.environ.get("HANDGRAD_START_TIMEOUT", START))
    if not hasattr(signal, "alarm") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


def silence() -> None:
    """Let this process print nothing but errors: another rank says it."""
    warnings.showwarning = lambda *told, **options: None
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
