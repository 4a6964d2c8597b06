"""Print how closely the three libraries agree, as the table of docs/three-libraries.md.

cd tests && python -m nn.three_libraries_table          # needs the extra "peers"
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import warnings
from typing import Any

import numpy as np
from nn.three_levels import NETS, SHAPE, Keras, Torch, handgrad, weights

from handgrad.optim import sgd_nesterov_momentum

LEVELS = ("functions", "Model", "Sequential")
RATE, MOMENTUM = 3e-3, 0.9


def batches(count: int = 10, rows: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    return [
        (rng.standard_normal((rows, *SHAPE)), rng.integers(10, size=rows)) for _ in range(count)
    ]


def difference(got: Any, expected: Any) -> float:
    """The largest difference, on the scale of the largest number."""
    return float(np.max(np.abs(np.asarray(got) - expected)) / np.max(np.abs(expected)))


def differences(peer: Any, level: str, net: str) -> dict[str, float]:
    """How far Handgrad's numbers are from a peer's that starts with the same weights.

    After the scores, loss and gradients of one batch: losses and parameters of ten steps.
    """
    model = handgrad(level, net, weights(net))
    found: dict[str, float] = {}
    configs = {name: {"learning_rate": RATE, "momentum": MOMENTUM} for name in model.params}
    for step, (X, y) in enumerate(batches()):
        loss, grads = model.loss(X, y)
        if step == 0:
            expected, others = peer.loss(X, y)
            found["scores"] = difference(model.loss(X), peer.scores(X))
            found["loss"] = difference(loss, expected)
            pairs = zip(grads.values(), others.values(), strict=True)
            found["gradients"] = max(difference(a, b) for a, b in pairs)
        found["losses"] = max(
            found.get("losses", 0.0), difference(loss, peer.step(X, y, RATE, MOMENTUM))
        )
        for name, w in model.params.items():
            model.params[name], configs[name] = sgd_nesterov_momentum(w, grads[name], configs[name])
    pairs = zip(model.params.values(), peer.params().values(), strict=True)
    found["parameters"] = max(difference(a, b) for a, b in pairs)
    return found


def main() -> None:
    os.environ["KERAS_BACKEND"] = "torch"
    warnings.simplefilter("ignore")
    names = ("numpy", "torch", "keras")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    rows = ["network | level | beside | scores | loss | gradients | ten losses | parameters after"]
    for net in NETS:
        for level in LEVELS:
            for library, make in {"PyTorch": Torch, "Keras": Keras}.items():
                found = differences(make(net, weights(net)), level, net)
                numbers = " | ".join(f"{value:.0e}" for value in found.values())
                rows.append(f"{net} | {level} | {library} | {numbers}")
    rows.insert(1, " | ".join(["---"] * 8))
    print("\n".join(f"| {row} |" for row in rows))  # noqa: T201
    print(f"\nPython {platform.python_version()}, {versions}; float64, batches of 8.")  # noqa: T201


if __name__ == "__main__":
    main()
