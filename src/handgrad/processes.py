"""Work in processes of their own, asked over a pipe by lines of JSON.

Thread pools and settings that must be in the environment before NumPy loads do not meet there.  A
request is a JSON object on one line of standard input, the answer one on standard output; between
requests a process sleeps in a read, and it ends when its input does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from handgrad.errors import HandgradError

THREAD_VARIABLES = ("HANDGRAD_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                    "MKL_NUM_THREADS")  # fmt: skip


class ProcessError(HandgradError, RuntimeError):
    """A process could not do what it was asked for."""


class Process:
    """A module of this package, run with ``python -m``, that answers requests by `serve`."""

    def __init__(
        self,
        module: str,
        threads: int,
        environment: Mapping[str, str] | None = None,
        arguments: Iterable[str] = (),
    ) -> None:
        """Start `module` on `threads` threads, with `environment` on top of this process's.

        Its argument is the number of this process, so that it can see whether that is still there.
        Ctrl-C does not reach it; who started it closes or kills it.
        """
        chosen = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **(environment or {})}
        root = str(Path(__file__).parents[1])
        given = chosen.get("PYTHONPATH", os.environ.get("PYTHONPATH"))
        path = os.pathsep.join(filter(None, [root, given]))
        self.name = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(os.getpid()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **chosen, "PYTHONPATH": path},
            start_new_session=True,
        )

    def request(self, **request: Any) -> Any:
        """Send a request and wait for the answer; ProcessError if there is none."""
        to, answers = self.process.stdin, self.process.stdout
        assert to is not None
        assert answers is not None
        try:
            to.write(json.dumps(request) + "\n")
            to.flush()
            line = answers.readline()
        except (BrokenPipeError, ValueError):  # a ValueError if it was closed meanwhile
            line = ""
        if not line:
            raise ProcessError(f"a process ended with status {self.process.wait()}: {self.name}")
        answer = json.loads(line)
        if "error" in answer:
            raise ProcessError(answer["error"])
        return answer["answer"]

    def kill(self) -> None:
        """End the process at once, whatever it does; `close` it afterwards."""
        self.process.kill()

    def close(self) -> None:
        """Let the process end, and wait for it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a request that a killed process did not read
                    pipe.close()
        self.process.wait()


def serve(answer: Callable[..., Any], requests: IO[str], answers: IO[str]) -> None:
    """Answer each request by ``answer(**request)`` until there are no more."""
    for line in requests:
        try:
            reply = {"answer": answer(**json.loads(line))}
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            kind = "" if isinstance(error, HandgradError) else f"{type(error).__name__}: "
            reply = {"error": kind + first}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


def serve_parent(answer: Callable[..., Any]) -> None:
    """Answer the requests of the process that started this one; end when it is gone.

    What libraries print goes to standard error, so that it does not get between the answers.
    """
    threading.Thread(target=end_with, args=[int(sys.argv[1])], daemon=True).start()
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(answer, sys.stdin, channel)


def end_with(parent: int) -> None:
    """End this process when `parent` is no longer the one above it, as after kill -9."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
