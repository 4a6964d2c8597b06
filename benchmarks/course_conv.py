"""The course's comparison of slow and fast convolution and pooling, on the two engines.

    python benchmarks/course_conv.py

The results of the very runs that are timed are compared first: no time is printed for an engine that
is wrong.  Exit status 1 if the two disagree, or if vectorized is less than 100 times as fast in any
pass.  It takes about half a minute.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.gradcheck import rel_error
from handgrad.layers import conv_backward, conv_forward, max_pool_backward, max_pool_forward

REQUIRED_RATIO = 100
TOLERANCE = 1e-12  # of the largest number of each array
REPEATS = 15


def main() -> int:
    """Run both comparisons; return the exit status."""
    print(
        f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}, float64"
    )
    print(f"naive: one run; vectorized: median of {REPEATS}\n")
    np.random.seed(231)
    x, w, b = np.random.randn(100, 3, 31, 31), np.random.randn(25, 3, 3, 3), np.random.randn(25)
    dout = np.random.randn(100, 25, 16, 16)
    conv_param = {"stride": 2, "pad": 1}
    conv = compare("conv", conv_forward, conv_backward, (x, w, b, conv_param), dout)
    np.random.seed(231)
    x, dout = np.random.randn(100, 3, 32, 32), np.random.randn(100, 3, 16, 16)
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    pool = compare("max_pool", max_pool_forward, max_pool_backward, (x, pool_param), dout)
    return 0 if conv and pool else 1


def compare(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: tuple[Any, ...],
    dout: np.ndarray,
) -> bool:
    """Verify and time one layer; print what came out, and return whether it is good enough."""
    seconds: dict[str, list[float]] = {}
    results: dict[str, list[np.ndarray]] = {}
    for engine, repeats in (("naive", 1), ("vectorized", REPEATS)):
        forward_time, (out, cache) = timed(lambda e=engine: forward(*arguments, engine=e), repeats)
        backward_time, gradients = timed(lambda c=cache: backward(dout, c), repeats)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        seconds[engine] = [forward_time, backward_time]
        results[engine] = [out, *gradients]

    good = True
    labels = ["out", "dx", "dw", "db"]
    for label, naive, vectorized in zip(
        labels, results["naive"], results["vectorized"], strict=False
    ):
        agree = naive.shape == vectorized.shape
        agree = agree and np.max(np.abs(naive - vectorized)) <= TOLERANCE * np.max(np.abs(naive))
        good = good and agree
        verdict = (
            f"rel_error {rel_error(naive, vectorized):.3g}" if agree else "THE ENGINES DISAGREE"
        )
        print(f"{name} {label}: {verdict}")
    if not good:
        return False

    for part, naive, vectorized in zip(("forward", "backward"), *seconds.values(), strict=True):
        ratio = naive / vectorized
        good = good and ratio >= REQUIRED_RATIO
        verdict = "" if ratio >= REQUIRED_RATIO else f"  BELOW {REQUIRED_RATIO}"
        print(
            f"{name} {part}: naive {naive * 1e3:.1f} ms, vectorized {vectorized * 1e3:.2f} ms, "
            f"ratio {ratio:.0f}{verdict}"
        )
    print()
    return good


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median time of `repeats` calls, and the result of the last."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


if __name__ == "__main__":
    sys.exit(main())
