"""The processes in which the sides run, and the pipe to them.

Each side has processes of its own, so that thread pools, allocators and settings that must be in the
environment before a process starts do not meet.  A request is a line of JSON on standard input, the
answer a line of JSON; between requests a process sleeps in `read`.

    python -m handgrad.bench.worker ours|torch
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from handgrad.bench.measure import samples_of
from handgrad.errors import HandgradError

SIDES = {"ours": "handgrad.bench.ours:Ours", "torch": "handgrad.bench.torch_peer:TorchPeer"}
THREAD_VARIABLES = ("HANDGRAD_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                    "MKL_NUM_THREADS")  # fmt: skip


class SideError(HandgradError, RuntimeError):
    """A side could not do what it was asked for."""


class Desk:
    """Answers requests: holds at most one prepared job, whose calls are timed."""

    def __init__(self, side: str) -> None:
        """Load the `side`, a key of `SIDES`."""
        module, _, name = SIDES[side].partition(":")
        self.side: Any = getattr(importlib.import_module(module), name)()
        self.call: Any = None
        self.once = False

    def ask(self, do: str, **request: Any) -> Any:
        """Do what the method ``_<do>`` does."""
        return getattr(self, f"_{do}")(**request)

    def _prepare(self, job: dict[str, Any], setting: dict[str, str]) -> None:
        self.call, self.once = None, job.get("once", False)
        self.call = self.side.prepare(job, setting)

    def _time(self, seconds: float) -> list[float]:
        return samples_of(self.call, seconds, warm=not self.once)

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


class Worker:
    """A `Desk` in a process of its own, with `environment` on top of this one's."""

    def __init__(
        self, side: str, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the process."""
        chosen = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **(environment or {})}
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.side = side
        self.process = subprocess.Popen(
            [sys.executable, "-m", "handgrad.bench.worker", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **chosen, "PYTHONPATH": path},
        )

    def ask(self, do: str, **request: Any) -> Any:
        """Send a request and wait for the answer; SideError if there is none."""
        to, answers = self.process.stdin, self.process.stdout
        assert to is not None
        assert answers is not None
        try:
            to.write(json.dumps({"do": do, **request}) + "\n")
            to.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.process.wait()
            raise SideError(f"the benchmark's {self.side} process ended with status {status}")
        answer = json.loads(line)
        if "error" in answer:
            raise SideError(f"{self.side}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent had at the fork
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def serve(side: str, requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more."""
    desk = Desk(side)
    for line in requests:
        try:
            reply = {"answer": desk.ask(**json.loads(line))}
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            reply = {"error": f"{type(error).__name__}: {first}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    # what libraries print must not get between the answers
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        serve(sys.argv[1], sys.stdin, pipe)
