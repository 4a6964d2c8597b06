"""What gradients cannot see: how often dropout keeps, and what it does to the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.checker.records import Breach, Raised
from handgrad.checker.undisturbed import run

if TYPE_CHECKING:
    from handgrad.checker.calling import Pair

_ROWS = 300


def dropout(pair: Pair) -> list[Breach]:
    """The mean is kept, entries are kept with probability p, independently, and anew in each call."""
    return dropout_findings(
        lambda x, param: run(pair.forward, x, param, seed=None), pair.layer.drops
    )


def dropout_findings(forward: Any, drops: bool) -> list[Breach]:
    """Check a dropout forward; drops: whether p is the probability of dropping."""
    x = 2.0 * np.random.default_rng(4).choice([-1.0, 1.0], (_ROWS, _ROWS))
    np.random.seed(3)
    shares, means, replaced = [], [], None
    for p in (0.3, 0.6, 0.75):
        result = forward(x.copy(), {"p": p, "mode": "train"})
        if isinstance(result, Raised):
            return [Breach("raises", f"it raises {result} (train, p {p})", result.line)]
        if not isinstance(result, tuple | list):
            return []  # of what each call returns the evidence speaks
        out = np.asarray(result[0])
        if out.shape != x.shape:
            return [Breach("shape", f"out has shape {out.shape}, expected {x.shape}")]
        kept = out != 0
        shares.append(float(np.mean(kept)))
        means.append(float(np.mean(out / x)))
        replaced = _replaced(x, out) if np.all(kept) else None
        apart = np.mean(kept[x > 0]) - np.mean(kept[x < 0])
        if abs(apart) > 0.05:
            side = "negative" if apart > 0 else "positive"
            says = f"{side} x are dropped more often than others: a mask must not depend on x"
            return [Breach("mask_of_x", says)]
    for axis, what in ((0, "a column"), (1, "a row")):
        spread = np.std(kept.mean(axis=axis))
        if spread > 0.25:
            return [
                Breach(
                    "mask_shared",
                    f"all entries of {what} are dropped together: one number is drawn for them all",
                )
            ]
    keep = np.array([0.3, 0.6, 0.75])
    keep = 1 - keep if drops else keep
    meaning = "dropping" if drops else "keeping"
    if replaced is not None:
        return [
            Breach("dropped_to_one", f"dropped units become {replaced:.3g}: they must become 0")
        ]
    findings = _kept(np.array(shares), np.array(means), keep, meaning)
    if findings:
        return findings
    first = np.asarray(forward(x.copy(), {"p": 0.5, "mode": "train"})[0]) != 0
    second = np.asarray(forward(x.copy(), {"p": 0.5, "mode": "train"})[0]) != 0
    if np.array_equal(first, second):
        return [
            Breach(
                "mask_reused", "two calls without a seed drop the same units: the mask is reused"
            )
        ]
    return []


def _replaced(x: np.ndarray, out: np.ndarray) -> float | None:
    """Return the number that dropped units become: what comes of x above and of x below zero."""
    above, below = (np.unique(np.round(out[side], 9)) for side in (x > 0, x < 0))
    both = np.intersect1d(above, below)
    return float(both[0]) if len(both) == 1 and len(above) == len(below) == 2 else None


def _kept(shares: np.ndarray, means: np.ndarray, keep: np.ndarray, meaning: str) -> list[Breach]:
    close = 0.02
    scaled = means / np.where(shares > 0, shares, 1)  # what a kept unit is multiplied by
    if np.all(np.abs(shares - 1) < close):
        return [Breach("never_drops", "nothing is dropped in train mode: no unit is 0")]
    if np.all(shares < close):
        return [Breach("drops_all", "everything is dropped in train mode")]
    normal = np.array([0.6179, 0.7257, 0.7734])  # of normal numbers are below 0.3, 0.6, 0.75
    for share in (normal, 1 - normal):
        if np.all(np.abs(shares - share) < 0.01):
            return [
                Breach(
                    "normal_mask",
                    "the mask is drawn from a normal distribution (randn): draw uniform numbers (rand)",
                )
            ]
    kept, lost = ("p", "1 - p") if meaning == "keeping" else ("1 - p", "p")  # probabilities
    ratio = f"E[out] = {means[2]:.2g} E[in] at p = 0.75"
    swapped = np.all(np.abs(shares - (1 - keep)) < close)
    if swapped and np.all(np.abs(means - 1) < close):
        other = "dropping" if meaning == "keeping" else "keeping"
        return [
            Breach(
                "p_swapped",
                f"p is taken as the probability of {other}; here it is that of {meaning}",
            )
        ]
    if not swapped and np.any(np.abs(shares - keep) >= close):
        return [Breach("kept_share", f"at p = 0.75, {shares[2]:.0%} of the units are kept")]
    if np.all(np.abs(means - 1) < close):
        return []
    if np.all(np.abs(scaled - 1) < close):
        also = f", and p is not taken as the probability of {meaning}" if swapped else ""
        return [
            Breach("unscaled", f"{ratio}: kept units are not divided by the keep probability{also}")
        ]
    if swapped:
        return [
            Breach(
                "wrong_scale",
                f"{ratio}: {kept} of the units are dropped, but the rest is divided by {kept}, not {lost}",
            )
        ]
    if np.all(np.abs(scaled - keep) < close):
        return [
            Breach(
                "multiplied",
                f"{ratio}: kept units are multiplied by the keep probability, not divided",
            )
        ]
    if np.all(np.abs(scaled * (1 - keep) - 1) < close):
        return [Breach("wrong_scale", f"{ratio}: kept units are divided by {lost}, not {kept}")]
    return [Breach("scale", f"{ratio}: kept units are multiplied by {scaled[2]:.3g}")]
