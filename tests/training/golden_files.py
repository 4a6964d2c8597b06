"""Golden files: a checkpoint and a model file of every released version, and what is in them.

Run this once at each release, before the version is raised, and commit what it writes:

    python tests/training/golden_files.py

It refuses to write over the files of a version: what was released stays as it was.  (Delete the files of
a version that is not out yet, when the format changes, and make them again.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from training.toys import StopAt, make_data

import handgrad
from handgrad.models import FullyConnectedNet
from handgrad.optim import build_schedule
from handgrad.training import Solver, save_checkpoint, save_model

FOLDER = Path(__file__).with_name("golden")


def solver() -> Solver:
    """A Solver with all that a checkpoint can hold: statistics, dropout, a schedule, a rule's state."""
    model = FullyConnectedNet(
        [4], input_dim=6, num_classes=3, normalization="batchnorm", dropout_keep_ratio=0.8,
        dtype=np.float32, rng=np.random.default_rng(5),
    )  # fmt: skip
    return Solver(
        model, make_data(), update_rule="adam", optim_config={"learning_rate": 1e-2}, batch_size=20,
        num_epochs=3, num_train_samples=30, rng=7, verbose=False,
        schedule=build_schedule({"name": "cosine"}),
    )  # fmt: skip


def described(tree: Any) -> Any:
    """Nested dictionaries as JSON, every array and NumPy number by its bits."""
    if isinstance(tree, dict):
        return {str(key): described(value) for key, value in tree.items()}
    if isinstance(tree, np.ndarray | np.generic):
        array = np.asarray(tree)
        bits = array.astype(array.dtype.newbyteorder("<")).tobytes().hex()
        return {"dtype": array.dtype.name, "shape": list(array.shape), "bits": bits}
    return tree.hex() if isinstance(tree, float) else tree


def write(folder: Path) -> None:
    """Train up to the middle of an epoch, and write the files and what they hold."""
    folder.mkdir(parents=True)
    np.random.seed(11)
    trained = solver()
    trained.callbacks = [StopAt(5)]
    trained.train()
    save_checkpoint(trained, folder / "checkpoint.safetensors")
    save_model(folder / "model.safetensors", trained.model, {"made by": "golden_files.py"})
    holds = {
        "iteration": trained.iteration,
        "params": trained.model.params,
        "buffers": trained.model.buffers(),
        "optim_configs": trained.optim_configs,
        "best_params": trained.best_params,
        "losses": np.array(trained.loss_history),
        "streams": {
            "of NumPy": np.random.get_state(legacy=False),
            "of the Solver": trained.rng.bit_generator.state,
        },
    }
    text = json.dumps(described(holds), indent=1)
    (folder / "holds.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    here = FOLDER / handgrad.__version__
    if here.exists():
        sys.exit(f"{here} is there already: the files of a version are made once")
    write(here)
