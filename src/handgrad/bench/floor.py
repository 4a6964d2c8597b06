"""The least that the step of a fully connected network can take: its products at the fastest one's speed.

``python -m handgrad.bench.floor`` measures rows 3 and 4 on one thread.  An affine layer of D inputs and M
outputs multiplies and adds 2 N D M times for the outputs of N rows.  The gradient of its weights takes as
many.  So does that of its inputs, which the first layer does not need.  The floor leaves out all else: the
activations, the loss, the update of every weight, and the way of the first layer's weights from memory.
"""

# ruff: noqa: T201
from __future__ import annotations

from typing import Any

from handgrad.bench import work
from handgrad.bench.rows import all_rows
from handgrad.bench.work import Job
from handgrad.bench.worker import Worker

SETTING = {"engine": "native", "layout": "nchw"}
SIZES = ((208, 256, 256), (416, 256, 512), (416, 512, 512))  # of products that stay in the caches
ROWS = (3, 4)
SECONDS = 2.0


def operations(job: Job) -> int:
    """Return how many products and sums of two numbers a training step of a fully connected network needs.

    >>> operations({"options": {"hidden_dims": [4], "input_dim": 8, "num_classes": 2}, "batch": 10,
    ...             "model": "FullyConnectedNet"})  # 2 * 10 * (2 * 8 * 4 + 3 * 4 * 2)
    1760
    """
    model = work.network(job, "float32")
    weights = [w.size for w in model.params.values() if w.ndim == 2]
    return int(2 * job["batch"] * (3 * sum(weights) - weights[0]))


def fastest(worker: Worker) -> float:
    """Return the speed of the fastest product, in operations a second."""
    found = []
    for N, D, M in SIZES:
        job = {"kind": "affine", "dtype": "float32", "x": (N, D), "w": (D, M), "part": "forward"}
        found.append(2 * N * D * M / _least(worker, job))
    return max(found)


def _least(worker: Worker, job: Job) -> float:
    worker.ask("prepare", job=job, setting=SETTING)
    times: list[float] = worker.ask("time", seconds=SECONDS)
    return min(times)


def main(rows: tuple[int, ...] = ROWS) -> list[dict[str, Any]]:
    """Print and return the floor of each row and the step beside it, both the least of many."""
    worker = Worker("ours", 1)
    try:
        speed = fastest(worker)
        print(f"the fastest product, one thread: {speed / 1e9:.0f} GFLOP/s")
        found = []
        for number in rows:
            row = all_rows()[number]
            job = row.cases["step"]
            count = operations(job)
            floor, step = count / speed, _least(worker, job)
            found.append({"row": number, "operations": count, "floor": floor, "step": step})
            least = f"{count / 1e6:.1f} MFLOP, at least {1e6 * floor:.0f} us"
            share = f"of which the products are {100 * floor / step:.0f} %"
            print(f"row {number}, {row.title}: {least}; a step takes {1e6 * step:.0f} us, {share}")
    finally:
        worker.close()
    return found


if __name__ == "__main__":
    main()
