"""Train small networks on the ranks that mpirun started; rank 0 prints a hash of all that came of each.

    mpirun -n 4 python tests/distributed/matrix.py '[{"rule": "adam", "norm": null, "dtype": "float32"}, ...]'

Without mpirun the same shards are computed by one process.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

from handgrad import data
from handgrad.data import Augmentation
from handgrad.distributed.launch import launched
from handgrad.models import ConvNet
from handgrad.training import Solver
from handgrad.training.checkpoint import state_of


def solver_of(case: dict[str, Any]) -> Solver:
    np.random.seed(3)
    images = data.load("digits").arrays
    few = {name: array[: case.get("rows", 300)] for name, array in images.items()}
    model = ConvNet(
        input_dim=(1, 8, 8),
        num_classes=10,
        conv_params=[{"num_filters": 4, "filter_size": 3}],
        hidden_dims=[512, 512] if case.get("big") else [12],
        normalization=case["norm"],
        dropout_keep_ratio=case.get("dropout", 0.8),
        weight_scale="kaiming",
        reg=1e-3,
        dtype=np.dtype(case["dtype"]).type,
    )
    rule = case["rule"]
    return Solver(
        model,
        few,
        update_rule=rule,
        optim_config={"learning_rate": 0.02 if rule == "muon" else 1e-3},
        batch_size=50,
        num_epochs=case.get("epochs", 1),
        num_train_samples=100,
        shards=case.get("shards", 8),
        norm_sync=case.get("sync", False),
        augment=Augmentation({"crop": 1, "flip": 0.5}),
        sampling=case.get("sampling", "replacement"),
        skip_easy=case.get("skip_easy", 0.0),
        ema=0.9,
        clip_norm=5.0,
        verbose=False,
    )


def digest(tree: Any) -> str:
    """Return a hash of nested dictionaries of arrays and numbers, without what was timed."""
    found = hashlib.sha256()

    def go(part: Any) -> None:
        if isinstance(part, dict):
            for key in sorted(part):
                if key not in ("_seconds", "should"):
                    found.update(key.encode())
                    go(part[key])
        elif hasattr(part, "tobytes"):
            found.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
        else:
            found.update(repr(part).encode())

    go(tree)
    return found.hexdigest()


def main() -> None:
    cases = json.loads(sys.argv[1])
    world = None
    if launched() is not None:
        from handgrad.distributed.wire import Wire
        from handgrad.distributed.world import join

        world = join(60.0)
    for case in cases:
        solver = solver_of(case)
        sent = 0
        if world is not None:
            wire = Wire(world, solver.shards.count, check_every=2)
            solver.use_wire(wire)
            sent = -world.bytes_sent
        solver.train()
        if world is not None:
            sent += world.bytes_sent
        if world is None or world.rank == 0:
            line = {"hash": digest(state_of(solver)), "loss": solver.loss_history[-1], "sent": sent,
                    "bytes": sum(w.nbytes for w in solver.model.params.values()),
                    "steps": solver.iteration}  # fmt: skip
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
