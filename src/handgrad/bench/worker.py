"""The processes in which the sides run, and the pipe to them.

Each side has processes of its own (`handgrad.processes`), so that thread pools, allocators and settings
that must be in the environment before a process starts do not meet.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.bench.measure import samples_of
from handgrad.errors import HandgradError
from handgrad.processes import Process, ProcessError, serve

SIDES = {"ours": "handgrad.bench.ours:Ours", "torch": "handgrad.bench.torch_peer:TorchPeer"}


class SideError(HandgradError, RuntimeError):
    """A side could not do what it was asked for."""


class Desk:
    """Answers requests: holds at most one prepared job, whose calls are timed."""

    def __init__(self, side: str) -> None:
        """Load the `side`, a key of `SIDES`."""
        module, _, name = SIDES[side].partition(":")
        self.side: Any = getattr(importlib.import_module(module), name)()
        self.call: Any = None
        self.once, self.count = False, 1

    def ask(self, do: str, **request: Any) -> Any:
        """Do what the method ``_<do>`` does."""
        return getattr(self, f"_{do}")(**request)

    def _prepare(self, job: dict[str, Any], setting: dict[str, str]) -> None:
        self.call, self.once = None, job.get("once", False)
        self.call = self.side.prepare(job, setting)
        self.count = getattr(self.call, "steps", 1)

    def _time(self, seconds: float) -> list[float]:
        return [one / self.count for one in samples_of(self.call, seconds, warm=not self.once)]

    def _check(
        self, job: dict[str, Any], setting: dict[str, str], dtype: str, dropout: bool, file: str
    ) -> None:
        """Write the results of the job to `file`."""
        np.savez(file, **self.side.check(job, setting, dtype, dropout))

    def _memory(self) -> int:
        return peak_memory()

    def _info(self) -> Any:
        return self.side.info()

    def _compile(self) -> None:
        self.side.compile()

    def close(self) -> None:
        """Let go of the job."""
        self.call = None


class Worker(Process):
    """A `Desk` in a process of its own, with `environment` on top of this one's."""

    def __init__(
        self, side: str, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the process."""
        super().__init__("handgrad.bench.worker", threads, environment, [side])
        self.side = side

    def ask(self, do: str, **request: Any) -> Any:
        """Send a request and wait for the answer; SideError if there is none."""
        try:
            return self.request(do=do, **request)
        except ProcessError as error:
            raise SideError(f"{self.side}: {error}") from None

    def close(self) -> None:
        """End the process."""
        self.kill()
        super().close()


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes; SideError if unknown."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent had at the fork
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        raise SideError("this system does not tell a process's peak memory") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    # what libraries print must not get between the answers
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        serve(Desk(sys.argv[2]).ask, sys.stdin, pipe)
