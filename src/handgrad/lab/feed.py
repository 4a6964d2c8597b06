"""The training's side: a callback that writes what the lab shows, and takes its acts, between two steps.

It takes at most a share of the time, 0.6 % unless told otherwise: after a look that took t seconds the next
one comes t / share seconds later at the earliest, and all of it together, the beginning too, stays within
that share.  What a look finds is handed to a thread that writes it.  While that is busy the next looks are
dropped.  No error of the disk, and nobody who looks, stops the training.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.lab.live import (
    ACTS,
    FEED,
    FRAMES,
    LEASE,
    LEASED,
    LOOKED_AT,
    STATUS,
    WATCHED,
    WEIGHTS,
    Acts,
    is_recent,
    live_folder,
    write_quickly,
)
from handgrad.training.arrays import buffers_of
from handgrad.training.callback import Callback, Record
from handgrad.training.checkpoint import ModelFile, save_arrays

if TYPE_CHECKING:
    from handgrad.training.run import Run
    from handgrad.training.solver import Solver

SHARE = 0.006  # of the time that looks take; what they push out of the caches comes on top
PAUSE = 0.1  # seconds between two looks, at least
LARGEST_FEED = 1 << 20  # bytes
LARGEST_FRAMES = 64 << 20  # bytes of all frames together
MOST_FRAMES = 40
_GUESS = 0.003  # seconds that a look takes, where none was measured yet
_LEAST_RATE, _LARGEST_RATE = 1e-4, 1e4  # factors on the learning rate that an act may ask for


class Feed(Callback):
    """Write the state of a training to the folder ``live`` of its run, and do the acts that come from there.

    ::

        run = start_run(config, folder)
        run.train([Feed(run)])

    Attributes: seconds, spent so far, those of the thread that writes included.
    """

    only_last_step = True  # to be told of each step costs more than the looks do

    def __init__(self, run: Run, share: float = SHARE) -> None:
        """Feed the lab that looks at `run`."""
        self.run = run
        self.folder = live_folder(run.folder)
        self.share = share
        self.seconds = 0.0
        self._writer = Writer(self.folder)
        self._acts: Acts | None = None
        self._next = self._began = 0.0
        self._last = (0, 0.0)  # iteration and time of the last look
        self._is_paused = False
        self._steps_left = 0  # to do until the next pause

    @property
    def needs_each_step(self) -> bool:  # type: ignore[override]
        """Only while steps are counted: else a plan may take several in one go."""
        return self._steps_left > 0

    # -- what the Solver calls ---------------------------------------------------------------------

    def on_train_begin(self, solver: Solver) -> None:
        """Begin to write; acts of earlier trainings are over."""
        self._began = perf_counter()
        with suppress(OSError):
            (self.folder / FRAMES).mkdir(parents=True, exist_ok=True)
        self._acts = Acts(self.folder / ACTS)
        self._is_paused, self._steps_left = False, 0
        self._last = (solver.iteration, self._began)
        self._writer.start()
        self._writer.offer({STATUS: self._status(solver, "running")})
        self.seconds = perf_counter() - self._began
        self._next = self._due

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Look, where it is time to; of several steps that a plan took in one go, after the last."""
        if perf_counter() >= self._next or self._steps_left:
            self.look(solver)

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Keep the weights of this epoch, where there is room."""
        start = perf_counter()
        if self._due > start and record["epoch"] > 0:
            return
        name = f"{FRAMES}/frame-{solver.iteration:08d}.safetensors"
        size = sum(w.nbytes for w in solver.model.params.values())
        if size * 4 <= LARGEST_FRAMES and self._writer.is_idle:
            self._writer.offer({name: _weights(solver)})
        self._took(perf_counter() - start)

    def on_train_end(self, solver: Solver) -> None:
        """Say that the training is over, and how it ended."""
        state = "stopped" if solver.stop_reason not in (None, "patience") else "ended"
        self._writer.stop({STATUS: self._status(solver, state)})

    # -- looking -----------------------------------------------------------------------------------

    def look(self, solver: Solver) -> None:
        """Take the acts that came, and offer what is to be written."""
        start = perf_counter()
        self._take_acts(solver)
        if self._steps_left:
            self._steps_left -= 1
            if not self._steps_left:
                self._is_paused = True
        self._offer(solver, "paused" if self._is_paused else "running", start)
        self._took(perf_counter() - start)
        if self._is_paused:
            self._wait(solver)

    def _took(self, seconds: float) -> None:
        written = self._writer.take_seconds()
        self.seconds += seconds + written
        now = perf_counter()
        pause = max((seconds + written) / self.share, self._due - now, PAUSE)
        self._next = now + min(pause, 60.0)

    @property
    def _due(self) -> float:
        """When another look fits into the share of the time since the training began."""
        return self._began + (self.seconds + _GUESS) / self.share

    def _offer(self, solver: Solver, state: str, now: float) -> None:
        if not self._writer.is_idle:
            return  # the last look is still being written: this one is dropped
        iteration, then = self._last
        self._last = solver.iteration, now
        speed = (solver.iteration - iteration) * solver.batch_size / max(now - then, 1e-9)
        status = self._status(solver, state)
        status |= {"gradient_norm": _norm(solver.grads), "images_per_second": round(speed, 1)}
        files: dict[str, Any] = {STATUS: status}
        if solver.iteration > iteration:
            keys = ("iteration", "gradient_norm", "images_per_second")
            files[FEED] = {key: status[key] for key in keys}
        if is_recent(self.folder / WATCHED, LOOKED_AT):
            files[WEIGHTS] = _weights(solver)
        self._writer.offer(files)

    def _status(self, solver: Solver, state: str) -> dict[str, Any]:
        return {
            "state": state,
            "pid": os.getpid(),
            "iteration": solver.iteration,
            "total_steps": solver.total_steps,
            "epoch": solver.epoch,
            "learning_rate": solver.learning_rate,
            "seconds": solver.seconds,
            "looking": self.seconds,
            "updated": time.time(),
        }

    # -- acts --------------------------------------------------------------------------------------

    def _take_acts(self, solver: Solver) -> None:
        assert self._acts is not None
        for act in self._acts.read():
            kind = act.get("act")
            if kind == "pause":
                self._is_paused, self._steps_left = True, 0
            elif kind == "resume":
                self._is_paused = False
            elif kind == "step":
                self._is_paused, self._steps_left = False, _steps(act.get("steps"))
            elif kind == "stop":
                self._is_paused = False
                solver.stop()
            elif kind == "rate" and _is_factor(act.get("factor")):
                self.run.steer(float(act["factor"]))

    def _wait(self, solver: Solver) -> None:
        """Wait until somebody lets the training go on, stops it, or no lab is there any more."""
        lease = self.folder / LEASE
        paused_at, told = time.time(), perf_counter()
        while self._is_paused and solver.stop_reason is None:
            time.sleep(0.02)
            before = len(self.run.steering.acts)
            self._take_acts(solver)
            if time.time() - paused_at > LEASED and not is_recent(lease, LEASED):
                self._is_paused = False
            now = perf_counter()
            if now - told > 1.0 or len(self.run.steering.acts) > before:
                told = now
                self._offer(solver, "paused", now)
        self._last = (solver.iteration, perf_counter())
        self._next = 0.0


class Writer:
    """A thread that writes the files of a look; it holds one look at a time."""

    def __init__(self, folder: Path) -> None:
        """Write to `folder`."""
        self.folder = folder
        self._files: dict[str, Any] | None = None
        self._seconds = 0.0
        self._is_over = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the last look was written."""
        return self._files is None

    def take_seconds(self) -> float:
        """Return the processor time that the thread took since this was asked last."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def start(self) -> None:
        """Start the thread."""
        self.stop()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="handgrad-lab-feed", daemon=True)
        self._thread.start()

    def offer(self, files: dict[str, Any]) -> None:
        """Hand over a look: name -> what is written there; dropped while the last one is being written."""
        with self._changed:
            if self._files is None:
                self._files = files
                self._changed.notify()

    def stop(self, files: dict[str, Any] | None = None) -> None:
        """Write a last look, and end; wait two seconds for it at most."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._files is None, timeout=1.0)
            self._files = self._files or files
            self._is_over = True
            self._changed.notify()
        thread.join(timeout=1.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._files is not None or self._is_over)
                files = self._files
            if files is not None:
                start = time.thread_time()
                for name, content in files.items():
                    with suppress(Exception):  # a full disk, a folder that is gone
                        self._write(name, content)
                self._seconds += time.thread_time() - start
            with self._changed:
                self._files = None
                self._changed.notify_all()
                if self._is_over:
                    return

    def _write(self, name: str, content: Any) -> None:
        path = self.folder / name
        if name == FEED:
            _append(path, content)
        elif isinstance(content, ModelFile):
            save_arrays(path, content)
            if name.startswith(FRAMES):
                _thin(path.parent)
        else:
            write_quickly(path, json.dumps(content).encode())


def _append(path: Path, record: Record) -> None:
    """Append to the feed; where it is too large, leave out every second line."""
    with path.open("ab") as file:
        file.write(json.dumps(record).encode() + b"\n")
        size = file.tell()
    if size > LARGEST_FEED:
        lines = path.read_bytes().splitlines(keepends=True)
        write_quickly(path, b"".join(lines[::2]))


def _thin(folder: Path) -> None:
    """Delete every second frame but for the first and the last, until they fit."""
    while True:
        files = sorted(folder.glob("frame-*.safetensors"))
        size = sum(file.stat().st_size for file in files)
        if len(files) < 3 or (len(files) <= MOST_FRAMES and size <= LARGEST_FRAMES):
            return
        for file in files[1:-1:2]:
            file.unlink(missing_ok=True)


def _weights(solver: Solver) -> ModelFile:
    """Return a copy of the weights, which the thread can write while the training goes on."""
    params = {name: w.copy() for name, w in solver.model.params.items()}
    buffers = {name: b.copy() for name, b in buffers_of(solver.model).items()}
    metadata = {"iteration": solver.iteration, "epoch": solver.epoch}
    return ModelFile(params, buffers, metadata)


def _norm(grads: dict[str, np.ndarray]) -> float | None:
    with np.errstate(all="ignore"):
        norm = math.sqrt(sum(float(np.vdot(dw, dw).real) for dw in grads.values()))
    return norm if math.isfinite(norm) else None


def _steps(given: Any) -> int:
    return given if isinstance(given, int) and 1 <= given <= 1_000_000 else 1


def _is_factor(given: Any) -> bool:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return is_number and _LEAST_RATE <= given <= _LARGEST_RATE
