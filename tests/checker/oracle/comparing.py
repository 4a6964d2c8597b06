"""Results held against PyTorch's, and many of them folded into one verdict."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from oracle.loading import is_environment, unwritten


class Seen(NamedTuple):
    """What one call showed: right, wrong, either or missing; of which result; in which situation."""

    status: str
    key: str
    where: str
    why: str = ""


def compare(key: str, got: Any, expected: Any, where: str, scale: float = 0.0) -> Seen:
    """Hold one result against PyTorch's; a vector as (1, M) or (M, 1) is left open."""
    if got is None:
        return Seen("missing", key, where, "None")
    if isinstance(got, torch.Tensor):
        got = got.detach().numpy()
    expected = np.asarray(expected.detach() if isinstance(expected, torch.Tensor) else expected)
    try:
        got = np.asarray(got)
        numbers = got.astype(np.float64)
    except (TypeError, ValueError) as error:
        return Seen("wrong", key, where, f"no numbers: {error}")
    status = "right"
    if numbers.shape != expected.shape:
        if expected.ndim > 1 or numbers.size != expected.size or numbers.ndim > 2:
            return Seen("wrong", key, where, f"shape {got.shape}, expected {expected.shape}")
        numbers, status = numbers.reshape(expected.shape), "either"
    error = float(np.max(np.abs(numbers - expected), initial=0.0))
    error /= max(float(np.max(np.abs(expected), initial=0.0)), scale, 1e-8)
    if not error <= (1e-4 if got.dtype == np.float32 else 1e-6):
        return Seen("wrong", key, where, f"error {error:.1e}")
    return Seen(status, key, where, "" if status == "right" else f"shape {got.shape}")


def guarded(scores: torch.Tensor, y: Any, got: Any) -> bool:
    """Whether a loss is the mean of -log(p + eps), -log(max(p, eps)) and the like, eps at most 1e-7.

    UCLA's own file has the second.  The gradient is the right one, and no score of the course's sizes shows
    it: a course takes no points off.
    """
    if got is None or np.ndim(got):
        return False
    scores, rows = scores.detach(), torch.arange(len(y))
    p = torch.softmax(scores, 1)[rows, torch.tensor(y)]
    e = torch.exp(scores - scores.max(1, keepdim=True).values)
    own, total, count = e[rows, torch.tensor(y)], e.sum(1), e.shape[1]
    guards = [10.0**-k for k in range(7, 17)]
    forms = (
        torch.add,
        lambda p, eps: p.clamp(min=eps),
        lambda p, eps: p.clamp(eps, 1 - eps),
        lambda p, eps: (own + eps) / (total + count * eps),
        lambda p, eps: (own + eps) / total,
        lambda p, eps: own / (total + eps),
    )
    values = [form(p, eps) for eps in guards for form in forms]
    return any(abs(float(-v.log().mean()) - float(got)) <= 1e-9 * abs(float(got)) for v in values)


def fold(seen: list[Seen], things: list[Any], skip: str = "") -> dict[str, Any]:
    """One verdict of many calls."""
    found = {s.status for s in seen}
    bad = [s for s in seen if s.status in ("wrong", "missing")]
    keys = list(dict.fromkeys(s.key for s in bad))
    told = "; ".join(f"{s.key}: {s.why} ({s.where})" for s in bad[:3])
    if bad and ("wrong" not in found or any(unwritten(t, skip) for t in things)):
        return {"verdict": "not written", "keys": keys, "why": told}
    if "wrong" in found:
        return {"verdict": "wrong", "keys": keys, "why": told}
    if "cannot run" in found:
        told = next(s.why for s in seen if s.status == "cannot run")
        return {"verdict": "cannot run", "keys": [], "why": told}
    if "either" in found:
        told = "; ".join(f"{s.key}: {s.why} ({s.where})" for s in seen if s.status == "either")
        return {"verdict": "either", "keys": [], "why": told}
    return {"verdict": "right" if seen else "not judged", "keys": [], "why": ""}


def raised(error: BaseException, key: str, where: str) -> Seen:
    """What an exception says: the environment's fault or the code's."""
    text = f"{type(error).__name__}: {error}"[:160]
    return Seen("cannot run" if is_environment(error) else "wrong", key, where, text)


def gradients(
    function: Any,
    dout: Any,
    cache: Any,
    expected: dict[str, Any],
    where: str,
    free: bool,
    tolerance: float = 0,
) -> list[Seen]:
    """Call backward; `free`: a sandwich of the student's own may order its gradients as it likes."""
    try:
        got = function(dout.copy(), cache)
    except BaseException as error:
        if isinstance(error, TimeoutError | KeyboardInterrupt):
            raise
        return [raised(error, "d" + n, where) for n in expected]
    got = list(got) if isinstance(got, tuple | list) else [got]
    if len(got) < len(expected):
        return [Seen("wrong", "d" + n, where, f"{len(got)} gradients") for n in expected]
    scale = max(float(np.max(np.abs(np.asarray(e)), initial=0)) for e in expected.values())
    scale = scale if not tolerance else scale * 100
    orders = itertools.permutations(range(len(expected))) if free else [range(len(expected))]
    best: list[Seen] = []
    for order in orders:
        tried = [
            compare("d" + n, got[i], e, where, 1e-6 * scale if not tolerance else scale)
            for i, (n, e) in zip(order, expected.items(), strict=True)
        ]
        if not best or sum(s.status == "right" for s in tried) > sum(
            s.status == "right" for s in best
        ):
            best = tried
    return best


def numeric(function: Callable[..., Any], v: dict[str, Any], name: str, dout: Any = 1.0) -> Any:
    """Central differences of sum(function(v) * dout) by the array `name`."""
    slopes = np.zeros(v[name].shape)
    for i in np.ndindex(slopes.shape):
        ends = []
        for h in (1e-5, -1e-5):
            w = copy.deepcopy(v)
            w[name][i] += h
            ends.append(float(np.sum(function(w) * dout)))
        slopes[i] = (ends[0] - ends[1]) / 2e-5
    return slopes
