"""A training step of AntConvNet on the ranks that mpirun started: time, processor time, bytes, hidden share.

    mpirun -n 2 python tests/distributed/speed.py --threads 1
    python tests/distributed/speed.py --threads 2 [--shards 1]
    mpirun -n 2 python tests/distributed/speed.py --threads 1 --delay 0.002    # messages come later

Rank 0 prints a line of JSON.  Times are the fastest and the median of the steps; processor time is the mean
over them, of all ranks together.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from handgrad import engines
from handgrad.distributed.launch import launched
from handgrad.models import build
from handgrad.training import Solver

STEPS, ROWS = 12, 128


def network():
    """The network of the recipe ant, for 10 classes of pictures of 32 x 32."""
    from handgrad.training.recipes import load_recipe

    model = load_recipe("ant").config.model
    options = {key: value for key, value in model.items() if key != "name"}
    return build(model["name"], **{"input_dim": (3, 32, 32), "num_classes": 10, **options})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--delay", type=float, default=0.0)
    given = parser.parse_args()
    engines.set_threads(given.threads)
    np.random.seed(0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((512, 3, 32, 32)).astype(np.float32)
    y = rng.integers(0, 10, 512)
    data = {"X_train": X, "y_train": y, "X_val": X[:10], "y_val": y[:10]}
    solver = Solver(network(), data, update_rule="adam", batch_size=ROWS, verbose=False,
                    shards=given.shards if given.shards > 1 else None)  # fmt: skip
    world = wire = None
    if launched() is not None:
        from handgrad.distributed.wire import Wire
        from handgrad.distributed.world import join

        world = join(120.0)
        world.delay = given.delay
        wire = Wire(world, given.shards, check_every=1000)
        solver.use_wire(wire)
    solver.try_step()
    sent = world.bytes_sent if world else 0
    times, flying, waiting = [], 0.0, 0.0
    used = time.process_time()
    for _ in range(STEPS):
        started = time.perf_counter()
        solver.try_step()
        times.append(time.perf_counter() - started)
        if wire is not None:
            flying, waiting = flying + wire.seconds["flying"], waiting + wire.seconds["waiting"]
    used = (time.process_time() - used) / STEPS
    every = world.share(used, "the times") if world else [used]
    if world is None or world.rank == 0:
        size = sum(w.nbytes for w in solver.model.params.values())
        found = {
            "ranks": len(every),
            "threads": given.threads,
            "shards": given.shards,
            "fastest_ms": round(1e3 * min(times), 2),
            "median_ms": round(1e3 * float(np.median(times)), 2),
            "processor_ms": round(1e3 * sum(every), 2),
            "model_bytes": size,
        }
        if world is not None and world.size > 1:
            ideal = 2 * size * (world.size - 1) / world.size
            found["bytes_of_ideal"] = round((world.bytes_sent - sent) / STEPS / ideal, 4)
            found["hidden"] = round(1 - waiting / flying, 3)
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
