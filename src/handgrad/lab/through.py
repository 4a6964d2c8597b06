"""A layer through the training: how its outputs, weights and gradients are spread at moment after moment."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.errors import OptionError
from handgrad.lab.looking import Passed, run_targets
from handgrad.lab.opened import Opened

ROWS = 64  # that are passed through at each moment
MOMENTS = 32
BINS = 48
_SAMPLE = 20_000  # numbers of an array that are counted


def through(run: Opened, weights: list[str], label: str) -> dict[str, Any]:
    """Return how a layer's numbers are spread at each of `weights`, at most `MOMENTS` of them.

    Returns:
        steps (None for the trained network); dead and zeros, shares at each; spreads: for its outputs, its
        parameters and their gradients name, low, high, counts (moments x bins, over one range for all), and
        norms.

    Raises OptionError for a layer that is not there.
    """
    if len(weights) > MOMENTS:
        places = np.linspace(0, len(weights) - 1, MOMENTS).astype(int)
        weights = [weights[i] for i in places]
    X, y = run.rows("val", ROWS)
    targets = run_targets(run, y)
    steps: list[int | None] = []
    dead, zeros = [], []
    arrays: dict[str, list[np.ndarray]] = {}
    for name in weights:
        try:
            steps.append(run.choose(name))
        except (OptionError, OSError):
            continue  # frames are thinned while a training runs
        passed = Passed(run.model, X, targets)
        call = next((call for call in passed.calls if call.label == label), None)
        if call is None:
            raise OptionError("lab: the network has no such layer")
        out = np.asarray(passed.values[call.output])
        axes = (0, *range(2, out.ndim))
        dead.append(float(1 - np.mean(out.any(axis=axes))) if out.ndim > 1 else 0.0)
        zeros.append(float(np.mean(out == 0)))
        arrays.setdefault("outputs", []).append(_some(out))
        for parameter in call.layer.parameters:
            arrays.setdefault(parameter, []).append(_some(run.model.params[parameter]))
            if parameter in passed.grads:
                name = f"gradient of {parameter}"
                arrays.setdefault(name, []).append(_some(np.asarray(passed.grads[parameter])))
    return {
        "label": label,
        "steps": steps,
        "dead": dead,
        "zeros": zeros,
        "spreads": [_spread(name, given) for name, given in arrays.items()],
    }


def _some(array: np.ndarray) -> np.ndarray:
    """Return at most `_SAMPLE` numbers of `array`, a copy, evenly taken."""
    flat = np.ravel(array)
    return np.array(flat[:: -(-flat.size // _SAMPLE) or 1], np.float64)


def _spread(name: str, arrays: list[np.ndarray]) -> dict[str, Any]:
    finite = [a[np.isfinite(a)] for a in arrays]
    low = min((float(a.min()) for a in finite if a.size), default=0.0)
    high = max((float(a.max()) for a in finite if a.size), default=0.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts = [np.histogram(a, BINS, (low, high))[0].tolist() for a in finite]
    norms = [float(f"{np.sqrt(np.mean(a * a)) if a.size else 0.0:.5g}") for a in finite]
    return {"name": name, "low": low, "high": high, "counts": counts, "sizes": norms}
