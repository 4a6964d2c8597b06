"""A process that is kept, and judges one task after another: what asks it, and what ends what never ends."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from handgrad.checker.worker import JUDGING

_LARGEST_ANSWER = 64 << 20  # bytes
GRACE = 10.0  # seconds: for a process that has a clock of its own, and for its start


class Kept:
    """The kept process (see `keeper`): started when it is first asked, and again where a task ended it."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        """Start it with this environment, in this folder, when it is asked."""
        self.environment, self.folder = dict(environment), folder
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._libraries: set[str] = set()  # that tasks needed: loaded once, they need not be again
        self._judging: int | None = None  # the process that has the task

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            if self._judging is not None:
                kill(self._judging)
            kill(process.pid)
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def give_up(self) -> None:
        """End the task that is judged now, from another thread; `judge` then returns a problem."""
        if self._judging is not None:
            kill(self._judging)

    def judge(self, task: Mapping[str, Any], scratch: Path, inside: Path) -> dict[str, Any]:
        """Return what came of a task: records, remarks, a problem, and whether to try again.

        scratch: a folder for the answer; inside: where the code lies that a problem names.
        """
        answer, trace = scratch / "answer.json", scratch / "trace.txt"
        for path in (answer, trace):
            path.unlink(missing_ok=True)
        seconds = float(task["seconds"])
        load = sorted(self._libraries)
        task = {**task, "answer": str(answer), "trace": str(trace), "load": load,
                "inside": str(inside)}  # fmt: skip
        late, code = False, 1
        try:
            code = self._asked(task, time.monotonic() + seconds + GRACE)
        except TimeoutError:
            late = True
        except BaseException:  # as after Ctrl-C
            self.close()
            raise
        found: dict[str, Any] = {"records": [], "remarks": [], "problem": ""}
        if not _read(answer, found):
            lines = _text(trace)
            found["problem"] = f"{_how(code, late, seconds, lines)}{_place(lines, inside)}"
            found["again"] = JUDGING in lines or not lines
        self._libraries.update(found.pop("libraries", ()))
        return found

    def _asked(self, task: Mapping[str, Any], end: float) -> int:
        """Hand the task over and wait; return how the process that judged it ended."""
        process = self._running()
        assert process.stdin is not None
        self._judging = number = process.pid
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            while True:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0.01))
                if not line:
                    raise BrokenPipeError
                said = json.loads(line)
                if "process" in said:
                    self._judging = number = said["process"]
                else:
                    break
        except queue.Empty:
            if number == process.pid:
                self.close()
            else:
                kill(number)
                self._lines.get(timeout=GRACE)  # that it was ended
            raise TimeoutError from None
        except (BrokenPipeError, ValueError):
            code = process.wait()
            self.close()
            return code
        if number != process.pid:
            kill(number)  # what it started and left behind
        if not said["clean"]:
            self.close()
        return int(said["code"])

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._lines = queue.Queue()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "handgrad.checker.keeper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )
            threading.Thread(target=_listen, args=(self._process, self._lines), daemon=True).start()
        return self._process


def _listen(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Hand on what the process says; at its end, an empty line."""
    with suppress(OSError, ValueError):
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def kill(number: int) -> None:
    """End a process and all that it started, where the system knows groups of processes."""
    killpg = getattr(os, "killpg", None)
    if killpg is not None:
        with suppress(ProcessLookupError, PermissionError):
            killpg(number, signal.SIGKILL)


def _read(answer: Path, found: dict[str, Any]) -> bool:
    """Take over what the process wrote; whether it came to its end."""
    try:
        if answer.stat().st_size > _LARGEST_ANSWER:
            found["problem"] = "its report is too large"
            return True
        for line in answer.read_text("utf-8").splitlines():
            found |= json.loads(line)
            if "records" in json.loads(line):
                return True
    except (OSError, ValueError, TypeError):
        pass
    return False


def _how(code: int, late: bool, seconds: float, trace: str) -> str:
    if late or trace.startswith("Timeout"):
        return f"stopped after {seconds:g} seconds"
    crash = re.match(r"(?:Fatal Python error|Windows fatal exception): (.*)", trace)
    if crash:
        return f"it crashed ({crash[1]})"
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"it ended before it was judged ({how})"


def _place(trace: str, folder: Path) -> str:
    """Where in the submission the process stood, by the trace that it left."""
    inside = [
        (Path(file).relative_to(folder).as_posix(), line, name)
        for file, line, name in re.findall(r'File "(.*?)", line (\d+) in (.*)', trace)
        if folder in Path(file).parents
    ]
    if not inside:
        return ""
    file, line, _ = inside[0]  # the innermost
    names = [name for *_, name in inside if not name.startswith("<")]
    where = f"in {names[0]}" if names else "while it was imported"
    return f" {where} ({file}:{line})"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")[:100_000]
    except OSError:
        return ""
