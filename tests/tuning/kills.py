"""Kill the workers of a search, and its commands, at random moments; compare with a search left alone.

    python tests/tuning/kills.py FOLDER KILLS TRIALS SEED [URL]

Four commands of one worker each share the study.  Prints as JSON what was seen.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from handgrad.tuning.search import kept_inputs
from handgrad.tuning.trials import open_study

CONFIG = """
name = "killed"
[data]
name = "digits"
[model]
name = "FullyConnectedNet"
hidden_dims = [16]
weight_scale = "kaiming"
dropout_keep_ratio = 0.9
[optimizer]
name = "adam"
learning_rate = 1e-3
[training]
epochs = 500
batch_size = 25
num_train_samples = 100
"""
SPACE = """
[optimizer.learning_rate]
type = "log"
low = 1e-4
high = 0.05
[model.hidden_dims]
type = "choice"
values = [[8], [16], [16, 16]]
"""


def command(folder: Path, out: Path, trials: int, url: str) -> list[str]:
    words = [sys.executable, "-m", "handgrad", "tune", "--config", folder / "run.toml",
             "--space", folder / "space.toml", "--out", out, "--trials", trials, "--sampler", "random",
             "--pruner", "none", "--retries", 100, "--quiet"]  # fmt: skip
    words += ["--workers", 1, "--threads", 1]
    return [*map(str, words), *(["--storage", url, "--name", out.name] if url else [])]


def children(pid: int) -> list[int]:
    """Return the workers of a command."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def values_of(out: Path) -> dict[int, tuple]:
    """Return number -> state, value, settings and all losses of its trials, as they are told."""
    study = open_study(kept_inputs(out))
    found = {}
    for t in study.get_trials(False):
        assert t.number not in found
        losses = [r["loss"] for r in records(out / f"trial-{t.number:04d}") if r["kind"] == "step"]
        found[t.number] = t.state.name, t.value, sorted(t.params.items(), key=str), losses
    return found


def main() -> None:
    folder, kills, trials, seed = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    url = sys.argv[5] if len(sys.argv) > 5 else ""
    (folder / "run.toml").write_text(CONFIG)
    (folder / "space.toml").write_text(SPACE)
    chance = random.Random(seed)
    out = folder / "killed"
    words = command(folder, out, trials, url)
    output = (folder / "output").open("ab")
    begin = lambda: subprocess.Popen(words, stdout=output, stderr=output)  # noqa: E731
    commands = [begin() for _ in range(4)]
    done = of_workers = 0
    while any(c.poll() is None for c in commands):
        time.sleep(chance.uniform(0.5, 2.0) if done < kills else 0.2)
        for i, one in enumerate(commands):
            if one.poll() not in (None, 0):
                commands[i] = begin()
        if done >= kills:
            continue
        one = chance.choice(commands)
        if one.poll() is not None:
            continue
        workers = children(one.pid)
        victims = workers if chance.random() < 0.85 else [one.pid]
        if not victims:
            continue
        os.kill(victims[0], signal.SIGKILL)
        done += 1
        of_workers += victims is workers
        if victims is not workers:
            one.wait()
    codes = [c.wait() for c in commands]
    found = values_of(out)
    alone = folder / "alone"
    subprocess.run(command(folder, alone, trials, ""), check=True, stdout=output, stderr=output)
    expected = values_of(alone)
    resumed = [
        r["iteration"]
        for n in found
        for r in records(out / f"trial-{n:04d}")
        if r["kind"] == "resume"
    ]
    summary = {
        "kills": done,
        "of_workers": of_workers,
        "codes": codes,
        "trials": len(found),
        "lost": sorted(expected.keys() - found.keys()),
        "more": sorted(found.keys() - expected.keys()),
        "unfinished": [n for n, (state, *_) in found.items() if state != "COMPLETE"],
        "different": [n for n in expected if n in found and found[n] != expected[n]],
        "resumed": len(resumed),
        "from_a_checkpoint": sum(i > 0 for i in resumed),
    }
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
