"""Stop `handgrad train` at random moments, resume it, and compare with the run that never stopped.

    python tests/training/run_stops.py FOLDER HOW COUNT SEED

HOW is "kill" (SIGKILL), "signal" (SIGINT and SIGTERM in turn) or "full" (a disk too small, COUNT sizes).
Prints as JSON what was seen.  Everything is imported once; each run is a fork of this process, which has
one thread, so that a run costs little more than its training.  Each has dropout, batch normalisation,
augmentation, a schedule with a warm-up, and one of the update rules; checkpoints are saved in the middle of
epochs too.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from handgrad import report
from handgrad.cli import main
from handgrad.optim import RULES
from handgrad.training.checkpoint import checkpoint_files, load_checkpoint, load_model_arrays

CONFIG = """
name = "stops"
[data]
name = "digits"
[model]
name = "ConvNet"
conv_params = [{num_filters = 2, filter_size = 3}]
hidden_dims = [6]
normalization = "batchnorm"
dropout_keep_ratio = 0.8
weight_scale = "kaiming"
reg = 1e-3
[optimizer]
name = "RULE"
[schedule]
name = "cosine"
warmup = 5
[training]
epochs = 3
batch_size = 25
num_train_samples = 100
checkpoint_steps = 20
lr_decay = 0.95
patience = 9
augment = {crop = 1, flip = 0.1}
"""


def start(arguments: list[str], output: Path, limit: int | None = None) -> int:
    """Fork a `handgrad` command; return the child's process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.argv = ["handgrad", *arguments]
        report.write_report = lambda folder: (
            folder
        )  # drawing takes seconds, and is not what is tried
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    finally:
        os._exit(code)


def finish(pid: int) -> int:
    """Wait for a child; return its exit code, negative for a signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_in(folder: Path) -> Path | None:
    """Return the run folder in `folder` that can be resumed, None where there is none yet."""
    for found in folder.iterdir():
        if (found / "config.toml").exists():
            return found
    return None


def command(folder: Path, config: Path) -> list[str] | None:
    """Return the command that starts or goes on with the run in `folder`, None if it is finished."""
    run = run_in(folder)
    if run is None:
        return ["train", "--quiet", "--config", str(config), "--out", str(folder)]
    if (run / "model.safetensors").exists():
        return None
    return ["train", "--quiet", "--resume", str(run)]


def outcome(folder: Path) -> dict[str, Any]:
    """Return all that must be the same of a finished run, as texts and bytes."""
    run = run_in(folder)
    assert run is not None
    records = map(json.loads, (run / "history.jsonl").read_text().splitlines())
    dropped = ("time", "images_per_second", "seconds", "date")
    history = [
        {key: value for key, value in record.items() if key not in dropped}
        for record in records
        if record["kind"] != "resume"
    ]
    state = load_checkpoint(checkpoint_files(run / "checkpoints")[0]).state
    state["progress"].pop("_seconds")
    model = load_model_arrays(run / "model.safetensors")
    found = {"history": json.dumps(history), "model": _text({**model.params, **model.buffers})}
    return found | {f"state {part}": _text(value) for part, value in state.items()}


def _text(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {_text(tree[key])}" for key in sorted(tree)) + "}"
    return f"{tree.dtype} {tree.tobytes().hex()}" if hasattr(tree, "tobytes") else repr(tree)


class Trial:
    """The runs of one experiment, in a folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.output = folder / "output"
        self.wholes: dict[str, tuple[Path, dict[str, Any], float]] = {}
        self.wrong: list[str] = []
        self.finished = 0

    def whole(self, rule: str) -> tuple[Path, dict[str, Any], float]:
        """Return the configuration, the outcome and the seconds of the run that never stops."""
        if rule not in self.wholes:
            config = self.folder / f"{rule}.toml"
            config.write_text(CONFIG.replace("RULE", rule))
            out = self.folder / f"whole-{rule}"
            out.mkdir()
            started = time.monotonic()
            words = command(out, config)
            assert words is not None
            code = finish(start(words, self.output))
            if code != 0:
                raise RuntimeError(f"exit code {code}: {self.output.read_text()[-2000:]}")
            self.wholes[rule] = config, outcome(out), time.monotonic() - started
        return self.wholes[rule]

    def compare(self, rule: str, out: Path) -> None:
        """Note in what the finished run in `out` differs from the whole one."""
        expected, found = self.whole(rule)[1], outcome(out)
        different = [key for key in expected if expected[key] != found.get(key)]
        if different:
            self.wrong.append(f"{rule} in {out}: {', '.join(different)} differ")
        self.finished += 1

    def new_folder(self, name: str) -> Path:
        out = self.folder / name
        out.mkdir()
        return out


def stops(trial: Trial, count: int, numbers: list[int]) -> dict[str, Any]:
    """Stop runs `count` times by the signals `numbers` in turn, at random moments."""
    rules = sorted(RULES)
    done = run_number = saved = 0
    slowest = 0.0
    while done < count or run_number == 0:
        rule = rules[run_number % len(rules)]
        config, _, seconds = trial.whole(rule)
        out = trial.new_folder(f"run-{run_number}")
        run_number += 1
        while (words := command(out, config)) is not None:
            pid = start(words, trial.output)
            if done >= count:  # enough: let it run to its end
                code = finish(pid)
            else:
                number = numbers[done % len(numbers)]
                time.sleep(trial.random.uniform(0, 0.9 * seconds))
                os.kill(pid, number)
                started = time.monotonic()
                code = finish(pid)
                slowest = max(slowest, time.monotonic() - started)
                expected = -number if number == signal.SIGKILL else 128 + number
                if code == expected:
                    done += 1
                    saved += run_in(out) is not None
                    continue
            if code != 0:
                trial.wrong.append(f"exit code {code}: {trial.output.read_text()[-500:]}")
                break
        else:
            trial.compare(rule, out)
        shutil.rmtree(out)
    return {"stops": done, "in_training": saved, "slowest": slowest}


def full(trial: Trial, count: int) -> dict[str, Any]:
    """Train on disks of `count` sizes that are all too small; make room, and resume."""
    config = trial.whole("adam")[0]
    sizes = [path.stat().st_size for path in (trial.folder / "whole-adam").rglob("*.*")]
    survived = 0
    for number in range(count):
        out = trial.new_folder(f"disk-{number}")
        share = (number + 0.5) / count
        size = max(int(share * 0.9 * sum(sizes)), 4096)
        is_disk = _mount(out, size)  # a disk of that size, where that is allowed; else small files
        limit = None if is_disk else int(share * max(sizes))
        code = finish(start(command(out, config) or [], trial.output, limit))
        text = trial.output.read_text()[-400:]
        if code != 2 or not any(word in text for word in ("No space left", "File too large")):
            trial.wrong.append(f"size {size}: exit code {code}: {text}")
        debris = [str(path) for path in out.rglob("*.partial")]
        if debris:
            trial.wrong.append(f"size {size}: left {debris}")
        run = run_in(out)
        for path in checkpoint_files(run / "checkpoints") if run else []:
            load_checkpoint(path)
            survived += 1
        if is_disk:
            _mount(out, 64 << 20, "remount,")
        words = command(out, config)
        code = finish(start(words, trial.output)) if words else 0
        if code != 0:
            trial.wrong.append(f"size {size}, with room: {code}: {trial.output.read_text()[-400:]}")
        else:
            trial.compare("adam", out)
        if is_disk:
            _unmount(out)
        shutil.rmtree(out)
    return {"sizes": count, "survived": survived, "disk": "tmpfs" if is_disk else "RLIMIT_FSIZE"}


def _mount(folder: Path, size: int, how: str = "") -> bool:
    """Make `folder` a disk of `size` bytes; return whether that was allowed."""
    words = ["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None:
        return False
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True)


def experiment() -> None:
    """Run the experiment of the command line's arguments."""
    folder, how, count, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    trial = Trial(folder, seed)
    if how == "kill":
        found = stops(trial, count, [signal.SIGKILL])
    elif how == "signal":
        found = stops(trial, count, [signal.SIGINT, signal.SIGTERM])
    else:
        found = full(trial, count)
    rules = sorted(trial.wholes)
    summary = {**found, "finished": trial.finished, "rules": rules, "wrong": trial.wrong}
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    experiment()
