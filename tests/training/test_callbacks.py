"""History, checkpoints, signals and layer statistics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.toys import StopAt, make_data, solver_of, without_times

from handgrad.errors import OptionError
from handgrad.training import (
    Callback,
    Checkpointer,
    HistoryWriter,
    LayerStatistics,
    StopOnSignal,
    latest_checkpoint,
    load_checkpoint,
)


def iterations(folder):
    return [int(path.name[11:19]) for path in sorted(folder.glob("checkpoint-*"))]


def test_checkpointer_keeps_the_newest(tmp_path):
    seen = []

    class Look(Callback):
        def on_step_end(self, solver, record):
            seen.append(iterations(tmp_path))

    solver_of(num_epochs=4, callbacks=[Checkpointer(tmp_path, keep=2), Look()], rng=0).train()
    assert seen[3] == [3]
    assert seen[-1] == [6, 9]
    assert iterations(tmp_path) == [9, 12]
    solver_of(num_epochs=5, rng=0, callbacks=[Checkpointer(tmp_path / "b", every_epochs=3)]).train()
    assert iterations(tmp_path / "b") == [9, 15]  # and the end


def test_checkpointer_every_steps_waits_for_the_estimate(tmp_path):
    np.random.seed(0)
    whole = solver_of()
    whole.train()
    np.random.seed(0)
    history = HistoryWriter(tmp_path / "history.jsonl")
    written = []

    class Keeper(Checkpointer):
        def save(self, solver):
            last = without_times(history.path)[-1]
            written.append((last["kind"], last["iteration"]))
            return super().save(solver)

    keeper = Keeper(tmp_path, every_epochs=99, every_steps=2, keep=99)
    solver_of(callbacks=[history, keeper]).train()
    assert iterations(tmp_path) == [2, 4, 6, 8, 9]
    assert written == [("step", 2), ("step", 4), ("epoch", 6), ("step", 8), ("epoch", 9)]
    for iteration in (2, 6):  # 6 ends an epoch
        rest = solver_of()
        rest.resume(tmp_path / f"checkpoint-{iteration:08d}.safetensors")
        assert len(rest.val_acc_history) == 1 + iteration // 3
        rest.train()
        assert rest.loss_history == whole.loss_history
        assert rest.val_acc_history == whole.val_acc_history


def test_a_stopped_run_is_saved_and_a_failed_one_is_not(tmp_path):
    solver_of(callbacks=[StopAt(5), Checkpointer(tmp_path)]).train()
    assert iterations(tmp_path) == [3, 5]

    def broken(X, rng):
        return X if len(solver.loss_history) < 7 else X * np.nan

    solver = solver_of(callbacks=[Checkpointer(tmp_path / "b")], augment=broken)
    with pytest.raises(ValueError, match="look at augment"):
        solver.train()
    assert iterations(tmp_path / "b") == [3, 6]
    assert all(
        np.isfinite(w).all()
        for w in load_checkpoint(latest_checkpoint(tmp_path / "b")).params.values()
    )


def test_checkpointer_removes_what_a_killed_writer_left(tmp_path):
    (tmp_path / ".checkpoint-00000003.safetensors.abcd.partial").write_bytes(b"half")
    solver_of(num_epochs=1, callbacks=[Checkpointer(tmp_path)]).train()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000003.safetensors"]


def test_history_of_a_resumed_run_is_that_of_the_whole_run(tmp_path):
    probe = make_data()["X_val"][:5]

    def callbacks(name, *more):
        history = HistoryWriter(tmp_path / f"{name}.jsonl")
        return [history, LayerStatistics(probe), *more]

    np.random.seed(0)
    solver_of(callbacks=callbacks("whole")).train()
    np.random.seed(0)
    part = solver_of(callbacks=callbacks("part", StopAt(8)))
    part.train()
    # the crash came at step 8 in the middle of a line, the last checkpoint is of step 4
    np.random.seed(0)
    saver = solver_of(callbacks=[StopAt(4), Checkpointer(tmp_path / "c")])
    saver.train()
    path = tmp_path / "part.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    rest = solver_of(callbacks=callbacks("part"))
    rest.resume(tmp_path / "c")
    rest.callbacks[0].write({"kind": "resume", "iteration": rest.iteration})
    rest.train()
    records = without_times(path)
    assert {"kind": "resume", "iteration": 4} in records
    records.remove({"kind": "resume", "iteration": 4})
    assert records == without_times(tmp_path / "whole.jsonl")
    assert [record["kind"] for record in records[:3]] == ["step", "epoch", "layers"]


def test_layer_statistics_are_right_and_draw_nothing():
    data = make_data()
    looker = LayerStatistics(data["X_val"][:7])
    np.random.seed(0)
    plain = solver_of()
    plain.train()
    drawn = np.random.rand()

    class Look(Callback):
        def on_epoch_end(self, solver, record):
            self.grads, self.before = solver.grads, solver.params_before
            self.after = dict(solver.model.params)
            self.activations = solver.model.activations(data["X_val"][:7])

    np.random.seed(0)
    look = Look()
    solver = solver_of(callbacks=[looker, look], num_epochs=3)
    solver.train()
    assert np.random.rand() == drawn
    assert solver.loss_history == plain.loss_history
    assert [record["epoch"] for record in looker.records] == [0, 1, 2, 3]
    last = looker.records[-1]
    out = look.activations["scores"]
    assert last["layers"]["scores"] == pytest.approx(
        {"mean": out.mean(), "std": out.std(), "zeros": np.mean(out == 0), "dead": 0}
    )
    dw, step = look.grads["W1"], look.after["W1"] - look.before["W1"]
    assert last["gradients"]["W1"] == pytest.approx(
        {"norm": np.sqrt((dw**2).sum()), "max": abs(dw).max(),
         "ratio": np.sqrt((step**2).sum() / (look.before["W1"] ** 2).sum())}
    )  # fmt: skip
    json.dumps(looker.records, allow_nan=False)


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from handgrad.training import Callback, Checkpointer, HistoryWriter, Solver, StopOnSignal
from training.toys import conv_net, images
import numpy as np
np.random.seed(0)
folder = Path(sys.argv[1])
stop = StopOnSignal()
class Slow(Callback):
    def on_step_end(self, solver, record):
        import time
        time.sleep(0.002)
        print(solver.iteration, flush=True)
solver = Solver(conv_net(), images(), update_rule="adam", batch_size=10, num_epochs=30, verbose=False,
                callbacks=[HistoryWriter(folder / "history.jsonl"), Slow(), stop,
                           Checkpointer(folder, every_steps=7)])
if len(sys.argv) > 2:
    solver.resume(folder)
solver.train()
print("best", solver.best_val_acc)
np.save(folder / "losses.npy", solver.loss_history)
np.save(folder / "W1.npy", solver.model.params["W1"])
sys.exit(0 if stop.signal is None else 128 + stop.signal)
"""


def command(folder, *args):
    tests = str(Path(__file__).parent.parent)
    return [sys.executable, "-c", SCRIPT.format(tests=tests), str(folder), *args]


def run_script(folder, *args, signal_at=None, number=None):
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(command(folder, *args), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip() == str(signal_at):
                process.send_signal(number)
    return process.returncode


def check_same_run(folder, whole_run):
    for file in ("losses.npy", "W1.npy"):
        assert (folder / file).read_bytes() == (whole_run / file).read_bytes()
    found = without_times(folder / "history.jsonl")
    assert found == without_times(whole_run / "history.jsonl")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert run_script(folder) == 0
    return folder


@pytest.mark.skipif(os.name == "nt", reason="Windows sends a process no signal")
@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize(
    ("name", "at"), [("SIGINT", 30), ("SIGTERM", 57), ("SIGKILL", 45), ("SIGKILL", 83)]
)
def test_a_run_that_was_killed_goes_on_bit_by_bit(name, at, whole_run, tmp_path):
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"this system has no {name}")
    code = run_script(tmp_path / "run", signal_at=at, number=number)
    assert code == (-number if name == "SIGKILL" else 128 + number)
    assert run_script(tmp_path / "run", "resume") == 0
    check_same_run(tmp_path / "run", whole_run)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_stop_on_signal_gives_the_handlers_back(name):
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"this system has no {name}")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(number)

    class Interrupt(Callback):
        def on_step_end(self, solver, record):
            if record["iteration"] == 2:
                signal.raise_signal(number)

    stop = StopOnSignal()
    solver = solver_of(callbacks=[stop, Interrupt()])
    solver.train()
    assert stop.signal == number
    assert solver.stop_reason == "interrupted"
    assert solver.iteration == 2
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(number)) == before
    solver.callbacks = [stop]
    solver.train()
    assert stop.signal is None
    assert solver.iteration == 9
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(number)) == before


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_signal_that_somebody_catches_is_left_to_them():
    def theirs(number, frame):
        pass

    class Looks(Callback):
        def __init__(self):
            self.seen = set()

        def on_step_end(self, solver, record):
            self.seen.add(signal.getsignal(signal.SIGUSR1))

    before = signal.signal(signal.SIGUSR1, theirs)
    try:
        looks = Looks()
        solver = solver_of(callbacks=[StopOnSignal(), looks])
        solver.train()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert looks.seen == {theirs}


def test_a_second_signal_acts_as_without_the_callback():
    class Impatient(Callback):
        def on_step_end(self, solver, record):
            signal.raise_signal(signal.SIGINT)
            assert solver.stop_reason == "interrupted"
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        solver_of(callbacks=[StopOnSignal(), Impatient()]).train()


def test_a_misspelt_method_is_refused():
    with pytest.raises(OptionError, match=r'on_step.*did you mean "on_step_end"'):
        type("Watch", (Callback,), {"on_step": lambda self, solver, record: None})
