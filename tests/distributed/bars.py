"""Ranks beside threads on the AntConvNet step, and PyTorch's DistributedDataParallel, in turns.

    python tests/distributed/bars.py [--turns 3]

Needs a quiet machine of two cores.  Prints a row for each way, the median of its turns' fastest steps, and
the ratios that are wanted.  Handgrad's first three rows are the same bits: a batch of 128 in 8 shards.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from distributed import mpi  # noqa: E402

SPEED, DDP = HERE / "speed.py", HERE / "ddp.py"
ROWS = {
    "1 rank x 1 thread": (1, SPEED, "--threads", 1),
    "1 rank x 2 threads": (1, SPEED, "--threads", 2),
    "2 ranks x 1 thread": (2, SPEED, "--threads", 1),
    "PyTorch DDP (gloo), 2 ranks x 1 thread": (0, DDP, "--ranks", 2, "--threads", 1),
    "PyTorch DDP (gloo), 1 rank x 2 threads": (0, DDP, "--ranks", 1, "--threads", 2),
    "PyTorch DDP (gloo), 1 rank x 1 thread": (0, DDP, "--ranks", 1, "--threads", 1),
    "2 ranks x 1 thread, 2 shards": (2, SPEED, "--threads", 1, "--shards", 2),
    "no MPI, one piece x 1 thread": (0, SPEED, "--threads", 1, "--shards", 1),
    "no MPI, one piece x 2 threads": (0, SPEED, "--threads", 2, "--shards", 1),
}


def measured(ranks: int, *words: object) -> dict:
    """Return what one process of it prints."""
    env = {**mpi.environment(), "PYTHONPATH": str(HERE.parent)}
    command = mpi.command(ranks, *words) if ranks else [sys.executable, *map(str, words)]
    env.pop("HANDGRAD_NUM_THREADS")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    found: dict[str, list[dict]] = {name: [] for name in ROWS}
    for _ in range(turns):
        for name, words in ROWS.items():
            found[name].append(measured(*words))
    times = {}
    say = sys.stdout.write
    for name, lines in found.items():
        times[name] = median(line["fastest_ms"] for line in lines)
        own = lines[-1]
        more = ", ".join(f"{key} {own[key]}" for key in ("bytes_of_ideal", "hidden") if key in own)
        spread = " ".join(f"{line['fastest_ms']:.1f}" for line in lines)
        say(f"{name:42} {times[name]:7.1f} ms  ({spread}; median {own['median_ms']:.1f}, "
            f"processor {own['processor_ms']:.1f}) {more}\n")  # fmt: skip
    two = times["2 ranks x 1 thread"]
    say(f"2 ranks x 1 thread: {times['1 rank x 2 threads'] / two:.2f} times the speed of 1 rank x 2 threads, "
        f"{times['1 rank x 1 thread'] / two:.2f} times that of 1 rank x 1 thread\n")  # fmt: skip
    two = times["2 ranks x 1 thread, 2 shards"]
    one = [times[f"no MPI, one piece x {threads}"] / two for threads in ("2 threads", "1 thread")]
    say(f"2 ranks, 2 shards: {one[0]:.2f} the speed of one piece on 2 threads, {one[1]:.2f} of 1\n")
    ddp = times["PyTorch DDP (gloo), 2 ranks x 1 thread"]
    say(f"PyTorch DDP: {times['PyTorch DDP (gloo), 1 rank x 2 threads'] / ddp:.2f} and "
        f"{times['PyTorch DDP (gloo), 1 rank x 1 thread'] / ddp:.2f} times; "
        f"Handgrad on 2 ranks is {ddp / times['2 ranks x 1 thread']:.2f} times as fast\n")  # fmt: skip


if __name__ == "__main__":
    main()
