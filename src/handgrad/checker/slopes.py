"""Derivatives of somebody's forward pass: by complex step where it can, else by differences.

The quantity is ``sum(dout * forward(arrays))``.  One random direction through all arrays decides how
it is differentiated: where the output bends (a kink, a tie, a jump) within the reach of the
differences, there is no derivative to compare with; where the complex step disagrees with the
differences (an absolute value, a conjugate, a lost imaginary part), only differences can be used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.records import Raised
from handgrad.gradcheck.complex_step import STEP

COMPLEX, CENTRAL = "complex step", "central differences"
SINGLE = "differences of float32, to about 0.2 %"
_TOLERANCES = {COMPLEX: 1e-7, CENTRAL: 1e-6, SINGLE: 2e-3}
_SHORT_STEPS, _CLOSE = (1e-2, 5e-3), 1e-3  # where long steps and a gradient disagree
_LONG_REACH = 1e-2  # of the same where the output is rounded to float32
_LONG_STEPS = (1e-1, 3e-2, 1e-2)
_REACH = 1e-5  # of the probe for kinks
_STEPS = (1e-3, 1e-4, 1e-5)  # of the differences
_ROUNDED = "the forward pass computes in float32: what it rounds away hides the slope"
_ENTRIES = 400  # at most so many entries of one array are differentiated one by one


class Slope:
    """The derivative of ``sum(dout * forward(arrays))`` at `arrays`.

    method: how it is taken.  trouble: why it cannot be, or "".
    """

    def __init__(
        self,
        forward: Callable[[dict[str, Any]], Any],
        arrays: dict[str, np.ndarray],
        dout: Any,
        rng: np.random.Generator,
    ) -> None:
        """Probe the forward pass along one random direction."""
        self._forward, self._arrays, self._dout, self._rng = forward, arrays, np.asarray(dout), rng
        self.method, self.trouble = CENTRAL, ""
        direction = self.direction(*arrays)
        self.trouble = self._bends(direction, _REACH)
        if self.trouble == _ROUNDED:
            self.method = SINGLE
            self.trouble = self._bends(direction, _LONG_REACH)
        elif not self.trouble:
            central, error = self._central(direction)
            slope = self._complex(direction)
            if (
                slope is not None
                and abs(slope - central) <= 1e-6 * abs(central) + 10 * error + 1e-9
            ):
                self.method = COMPLEX

    @property
    def tolerance(self) -> float:
        """How far a right gradient may be from the derivative, relative to its terms."""
        return _TOLERANCES[self.method]

    def direction(self, *keys: str) -> dict[str, np.ndarray]:
        """Return a random direction in the arrays `keys`, on the scale of each."""
        return {
            key: self._rng.standard_normal(self._arrays[key].shape) * _size(self._arrays[key])
            for key in keys
        }

    def along(self, direction: dict[str, np.ndarray]) -> tuple[float, float]:
        """Return the derivative along `direction` and an estimate of its error."""
        if self.method == COMPLEX:
            slope = self._complex(direction)
            if slope is not None:
                return slope, 0.0
        return self._central(direction)

    def gradient(self, key: str, got: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the gradient in one array, entry by entry, and an estimate of its error.

        Of a large array some entries are drawn; the others are taken from `got`, and so are those of
        float32 where the output bends.
        """
        array = self._arrays[key]
        gradient = np.array(got, np.float64)
        entries = list(np.ndindex(array.shape))
        if len(entries) > _ENTRIES:
            entries = [entries[i] for i in self._rng.permutation(len(entries))[:_ENTRIES]]
        worst = 0.0
        for entry in entries:
            unit = np.zeros(array.shape)
            unit[entry] = 1.0
            slope, error = self.along({key: unit})
            if self.method == SINGLE and self._crosses({key: unit}, slope, float(gradient[entry])):
                continue
            gradient[entry] = slope
            worst = max(worst, error)
        return gradient, worst

    def _crosses(self, direction: dict[str, np.ndarray], slope: float, got: float) -> bool:
        """Whether long steps found `slope`, and not `got`, because they crossed a kink that is close."""
        if abs(slope - got) <= _CLOSE * abs(slope):
            return False
        for step in _SHORT_STEPS:
            outs = [self._out(direction, s * step) for s in (-1, 1)]
            left, right = (np.sum(self._dout * out) if out is not None else np.nan for out in outs)
            if abs((right - left) / (2 * step) - got) <= _CLOSE * abs(got):
                return True
        return bool(self._bends(direction, _LONG_REACH))

    def _moved(self, direction: dict[str, np.ndarray], step: float | complex) -> Any:
        arrays = {
            key: array + step * direction[key] if key in direction else array.copy()
            for key, array in self._arrays.items()
        }
        return self._forward(arrays)

    def _out(self, direction: dict[str, np.ndarray], step: float) -> np.ndarray | None:
        out = self._moved(direction, step)
        if isinstance(out, Raised) or np.shape(out) != self._dout.shape:
            return None
        self._dtype = np.asarray(out).dtype
        return np.asarray(out, np.float64)

    def _single(self, out: np.ndarray) -> bool:
        """Whether the output has no more digits than float32 keeps."""
        rounded = out.astype(np.float32).astype(np.float64)
        return self._dtype.itemsize < 8 or bool(np.any(out) and np.array_equal(out, rounded))

    def _bends(self, direction: dict[str, np.ndarray], reach: float) -> str:
        """Say why there is no derivative: the slopes on both sides differ, and not by curvature."""
        outs = [self._out(direction, s * reach) for s in (-2, -1, 0, 1, 2)]
        if any(out is None for out in outs):
            return "the forward pass fails close to the point"
        far_left, left, here, right, far_right = (np.asarray(out) for out in outs)
        if not all(np.all(np.isfinite(out)) for out in (far_left, left, here, right, far_right)):
            return "the output is not finite"
        near = np.abs(right - 2 * here + left) / reach
        far = np.abs(far_right - 2 * here + far_left) / (2 * reach)
        slope = np.max(np.abs(far_right - far_left), initial=0.0) / (4 * reach)
        rounding = 1e-6 / reach if self.method == SINGLE else 1e-9
        noise = rounding * np.max(np.abs(here), initial=0.0)
        suspicious = np.maximum(near, far) > 1e-3 * slope + noise
        curved = np.abs(2 * near - far) <= 0.1 * far + (noise if self.method == SINGLE else 0)
        if np.any(suspicious & ~curved):
            if self.method != SINGLE and self._single(here):
                return _ROUNDED
            return "the output has a kink, a tie or a jump at the point"
        return ""

    def _central(self, direction: dict[str, np.ndarray]) -> tuple[float, float]:
        """Fourth-order differences with the step whose halving changes the result least."""
        best = (0.0, np.inf)
        for step in _LONG_STEPS if self.method == SINGLE else _STEPS:
            values = [self._out(direction, s * step) for s in (-2, -1, -0.5, 0.5, 1, 2)]
            if any(value is None for value in values):
                continue
            a, b, c, d, e, f = (float(np.sum(self._dout * v)) for v in values if v is not None)
            whole = (8 * (e - b) - (f - a)) / (12 * step)
            half = (8 * (d - c) - (e - b)) / (6 * step)
            if abs(whole - half) < best[1]:
                best = (half, abs(whole - half))
            if best[1] <= 1e-9 * abs(best[0]):
                break
        return best

    def _complex(self, direction: dict[str, np.ndarray]) -> float | None:
        out = self._moved(direction, 1j * STEP)
        if isinstance(out, Raised) or np.shape(out) != self._dout.shape:
            return None
        if not np.iscomplexobj(out):
            return None
        slope = float(np.sum(self._dout * np.imag(out))) / STEP
        return slope if np.isfinite(slope) else None


def _size(array: np.ndarray) -> float:
    return float(np.std(array)) or float(np.max(np.abs(array), initial=0.0)) or 1.0
