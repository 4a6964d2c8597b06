"""Ctrl-C at any line of the package: `train` goes on with the bits of the run that was not interrupted.

The exception is raised, by a trace function, before the n-th line that is executed in the package during a
small training; then `train` is called again.  All that a run is must be as without: parameters, histories,
running statistics, random streams, the files and the records that callbacks were told of.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from bisect import bisect_left
from pathlib import Path

import numpy as np
import pytest
from training.toys import Softmax, conv_net, flat, images, make_data, outcome, without_times

import handgrad
from handgrad import engines, nn
from handgrad.data import Augmentation
from handgrad.optim import build_schedule
from handgrad.training import (
    Callback,
    Checkpointer,
    HealthCheck,
    HistoryWriter,
    LayerStatistics,
    ResumeWarning,
    Solver,
    load_checkpoint,
)
from handgrad.training.positions import _place_of_spare, position_of
from handgrad.training.progress import ProgressBar
from handgrad.training.undo import Before

# A file whose closing was interrupted is closed by Python, which says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PACKAGE = str(Path(handgrad.__file__).parent)


class Interrupt:
    """Raises KeyboardInterrupt before line number `at` that is executed in the package.

    Looking at each line makes a training four times slower.  With `whole`, which looked at all of the same
    training, it begins to look at the last step or estimate that starts before the line.
    """

    def __init__(self, at: int, whole: Interrupt | None = None) -> None:
        self.left = at
        self.lines = 0
        self.run: list[tuple[str, int]] = []  # the lines of the sources, as they ran
        self.starts: list[
            int
        ] = []  # the number of lines before each start of a step or an estimate
        self.whole = whole
        self.begin = bisect_left(whole.starts, at) if whole else 0
        self.count = 0  # starts so far

    @property
    def places(self) -> dict[tuple[str, int], int]:
        """Line of the sources -> the last time it ran."""
        return {line: at for at, line in enumerate(self.run, start=1)}

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.lines += 1
            self.run.append((frame.f_code.co_filename, frame.f_lineno))
            if self.lines == self.left:
                raise KeyboardInterrupt
        return self

    def start(self, before, solver) -> None:
        """What `Before` is made with, at each start."""
        self.count += 1
        if self.begin == 0:
            self.starts.append(self.lines)
        elif self.count == self.begin:
            assert self.whole is not None
            self.lines = self.whole.starts[self.begin - 1]
            sys.settrace(self)
            frame = sys._getframe(1)
            while frame is not None:  # those that go on after the start
                frame.f_trace = self if frame.f_code.co_filename.startswith(PACKAGE) else None
                frame = frame.f_back
        self.make(before, solver)

    def __enter__(self):
        self.before, self.make = sys.gettrace(), Before.__init__
        Before.__init__ = lambda before, solver: self.start(before, solver)
        if self.begin == 0:
            sys.settrace(self)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)
        Before.__init__ = self.make


class Told(Callback):
    """Somebody else's callback, with a state of its own."""

    def __init__(self):
        self.records = []

    def on_step_end(self, solver, record):
        self.records.append((record["kind"], record["iteration"], record["loss"]))

    def on_epoch_end(self, solver, record):
        self.records.append((record["kind"], record["iteration"], record["val_acc"]))

    def on_record(self, solver, record):
        self.records.append((record["kind"], record["iteration"]))


def noise(X, rng):
    return X + 0.1 * rng.standard_normal()  # a RandomState keeps every other one for later


def in_place(w, dw, config):
    """Momentum as students write it: weights and state are changed in place."""
    v = config.setdefault("velocity", np.zeros_like(w))
    v *= 0.9
    v -= config.setdefault("learning_rate", 0.1) * dw
    w += v
    return w, config


def sequential():
    layers = [nn.Conv2d(3, 3, pad=1), nn.BatchNorm(), nn.Dropout(0.7, rng=3), nn.Dropout(0.9)]
    return nn.Sequential([*layers, nn.Flatten(), nn.Affine(4)], (2, 6, 6), rng=0)


CALLBACKS = "callbacks"
CASES = {
    "sgd": lambda: {"lr_decay": 0.9},
    "verbose": lambda: {"verbose": True, "print_every": 1},
    "noise": lambda: {"augment": noise, "model": Softmax(rng=np.random.RandomState(4))},
    "a rule in place": lambda: {"update_rule": in_place, "clip_norm": 1.0},
    "averages": lambda: {"ema": 0.9, "update_rule": "adam", "patience": 1, "sampling": "shuffled"},
    CALLBACKS: lambda: {"update_rule": "adam", "schedule": build_schedule("cosine")},
    "batch norm": lambda: {
        "model": conv_net(), "data": images(10), "update_rule": "muon", "ema": 0.5,
        "augment": Augmentation({"flip": 0.5, "crop": 1}), "rng": np.random.RandomState(5),
    },
    "passes": lambda: {
        "model": sequential(), "data": images(20), "update_rule": "sgd_momentum", "rng": 1,
        "sampling": "shuffled", "skip_easy": [0.5, 0.9], "num_epochs": 3,
    },
    "plain passes": lambda: {
        "model": sequential(), "data": images(20), "rng": 1, "num_epochs": 3,
        "sampling": "shuffled", "skip_easy": 0.9,
    },
}  # fmt: skip
BATCH = {"batch_size": 10, "num_epochs": 2, "num_train_samples": 15, "verbose": False}


class Trial:
    """One training of a case: made, interrupted, gone on with, and looked at."""

    def __init__(self, case: str, folder: Path) -> None:
        np.random.seed(11)
        folder.mkdir()
        self.folder = folder
        options = {**BATCH, "data": make_data(20), **CASES[case]()}
        self.told = Told()
        callbacks = [self.told]
        self.statistics = LayerStatistics(options["data"]["X_val"][:5])
        if case == CALLBACKS:
            callbacks = [
                HistoryWriter(folder / "history.jsonl"), self.statistics, HealthCheck(), self.told,
                ProgressBar("stdout"), Checkpointer(folder, every_steps=3),
            ]  # fmt: skip
            options["checkpoint_name"] = str(folder / "at")
        model = options.pop("model", None) or Softmax()
        self.solver = Solver(model, options.pop("data"), callbacks=callbacks, **options)

    def outcome(self):
        solver = self.solver
        found = outcome(solver)
        found["told"] = self.told.records
        found["rest"] = solver.estimated_at, solver.seconds > 0, solver.stop_reason, solver.warnings
        found |= flat({"ema": solver.ema_params, "ema_buffers": solver.ema_buffers})
        found |= flat({str(i): r for i, r in enumerate(self.statistics.records)})
        for path in sorted(self.folder.iterdir()):
            if path.suffix == ".jsonl":
                found[path.name] = without_times(path)
            else:
                state = load_checkpoint(path).state
                state["progress"].pop("_seconds")
                found |= flat({path.name: state})
        return found


def expected_of(case, tmp_path, capsys):
    """The outcome without an interruption, what is printed, and the lines of the package."""
    Trial(case, tmp_path / "first").solver.train()  # what is done once only
    capsys.readouterr()
    trial = Trial(case, tmp_path / "whole")
    with Interrupt(0) as lines:
        trial.solver.train()
    return trial.outcome(), printed(capsys), lines


def printed(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith(("(Iter", "(Epoch", "Saving"))]


def check(case, folder, at, expected, capsys):
    trial, whole = Trial(case, folder), expected[2]
    interrupt = Interrupt(at, whole)
    with pytest.raises(KeyboardInterrupt), interrupt:
        trial.solver.train()
    assert interrupt.lines == at
    assert interrupt.run[-1] == whole.run[at - 1]
    trial.solver.train()
    found = trial.outcome()
    differing = [name for name in expected[0] if found.get(name) != expected[0][name]]
    assert not differing, f"interrupted at line {at}: {differing}"
    assert found.keys() == expected[0].keys()
    shutil.rmtree(folder)
    assert [line.replace(str(folder), "") for line in printed(capsys)] == [
        line.replace(str(folder.parent / "whole"), "") for line in expected[1]
    ]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Waiting for the disk would make hours of thousands of trainings."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.thorough(keep=6)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", [e for e in engines.available() if e != "naive"])
def test_some_lines(case, engine, tmp_path, capsys):
    with engines.use(engine):
        count = (
            5 if engine != engines.available()[-1] else 200 if case in (CALLBACKS, "passes") else 40
        )
        some_lines(case, count, tmp_path, capsys)


def some_lines(case, count, tmp_path, capsys):
    expected = expected_of(case, tmp_path, capsys)
    whole = expected[2]
    lines, places = whole.lines, whole.places
    names = ("solver", "step", "estimating", "updates", "clock", "callbacks", "telling", "passes")
    own = [at for (file, _), at in places.items() if Path(file).stem in names]
    draw = random.Random(case)
    chosen = [*draw.sample(range(1, lines + 1), 5), *draw.sample(own, min(len(own), count))]
    for at in [1, 2, 3, *chosen, *range(lines - 4, lines + 1)]:
        check(case, tmp_path / f"at{at}-{random.random()}", at, expected, capsys)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_every_line(case, tmp_path, capsys):
    with engines.use("auto"):
        expected = expected_of(case, tmp_path, capsys)
        for at in range(1, expected[2].lines + 1):
            check(case, tmp_path / str(at), at, expected, capsys)


UNDONE = ("step", "updates", "estimating")


@pytest.mark.parametrize("case", ["a rule in place", "batch norm", "passes"])
def test_a_second_interruption_while_the_first_is_undone(case, tmp_path, capsys, monkeypatch):
    """The undoing is itself interrupted, at each of its lines."""
    put_back = Before.put_back
    second = None

    def interrupted(before, solver):
        nonlocal second
        if second is None:
            put_back(before, solver)
            return
        trace, second = second, None
        with trace:
            put_back(before, solver)

    expected = expected_of(case, tmp_path, capsys)
    monkeypatch.setattr(Before, "put_back", interrupted)
    hit = 0
    run = expected[2].run
    # in a step or an estimate, where there is something to undo
    inside = [i for i, (file, _) in enumerate(run, start=1) if Path(file).stem in UNDONE]
    for at in random.Random(case).sample([i for i in inside if i > len(run) // 3], 3):
        for line in range(1, 80, 3):
            second = Interrupt(line)
            check(case, tmp_path / f"{at}-{line}", at, expected, capsys)
            hit += second is None
            second = None
    assert hit > 20


@pytest.mark.parametrize("drawn", [0, 1, 2, 3])
@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng,
                                  lambda seed: np.random.Generator(np.random.MT19937(seed))])  # fmt: skip
def test_a_stream_goes_back_to_where_it_was(make, drawn):
    stream = make(3)
    stream.standard_normal(drawn)  # an odd number leaves one for later
    go_back = position_of(stream)
    expected = stream.standard_normal(3), stream.random(700)
    for _ in range(2):
        go_back()
        found = stream.standard_normal(3), stream.random(700)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_quick_way_to_the_state_of_a_stream_is_there():
    """If not, NumPy has changed: all is right still, but each step is some 20 us slower."""
    assert _place_of_spare() is not None


def test_fewer_epochs_than_are_done_are_said(tmp_path):
    def make(epochs):
        return Solver(Softmax(), make_data(20), **{**BATCH, "num_epochs": epochs}, rng=0)

    longer = make(3)
    longer.callbacks = [Checkpointer(tmp_path, keep=9)]
    longer.train()
    shorter = make(2)
    with pytest.warns(ResumeWarning, match="3 of 2 epochs are done.*set num_epochs above 3"):
        shorter.resume(tmp_path)
    with pytest.warns(ResumeWarning, match="train\\(\\) has no step to do"):
        shorter.train()
    assert flat(shorter.model.params) == flat(longer.model.params)
    shorter.train()
    assert len(shorter.loss_history) == len(longer.loss_history) + 4
    for epochs in (3, 4):
        fine = make(epochs)
        fine.resume(tmp_path)
        fine.train()
        assert fine.iteration == 2 * epochs
