"""How far the results of a benchmark may be from the reference before it is not timed."""

from __future__ import annotations

import math
from collections.abc import Callable

from handgrad.bench.work import Job

# the largest error and scale (see `compare`)
TOLERANCE = {"float64": 1e-10, "float32": 2e-5, "bf16": 2e-2}
NETWORK_TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "bf16": 5e-2}


def allowed(job: Job, precision: str) -> Callable[[str, int], tuple[float, float]]:
    """Return the tolerances for the results of a job in some precision.

    Of two nearly equal maxima, or at a ReLU's kink, one precision may choose another way than
    float64, which moves part of a gradient to another place: a large error, but, the larger the
    array the more, hardly any scale.
    """
    if job["kind"] in ("conv", "pool", "affine"):
        return lambda name, size: (TOLERANCE[precision],) * 2
    tolerance = NETWORK_TOLERANCE[precision]

    def of_network(name: str, size: int) -> tuple[float, float]:
        if precision == "float64" or not name.startswith("gradient"):
            return tolerance, tolerance
        if precision == "bf16":
            return 0.5, 0.1
        return 3e-2, 3 * tolerance + 2e-2 / math.sqrt(size)

    return of_network
