"""What a wrong backward does with another dout: whether it looks at one number of it at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Call, Cause, is_numeric
from handgrad.checker.repair import Rerun

_NORMS = ("batchnorm", "layernorm", "groupnorm")


def elementwise(
    key: str, calls: Sequence[Call], layer: KnownLayer, rerun: Rerun | None, line: int | None
) -> Cause | None:
    """Return that dx of a normalisation is dout times a factor for each number, if it is.

    Each number of x takes part in the mean and the variance of others, so that dx must mix dout.
    """
    if rerun is None or layer.family not in _NORMS or key != "dx":
        return None
    wrong = [call for call in calls if key in call.expected and call.wrong(key)]
    tried = [call for call in wrong if call.dout is not None and call.config.smooth][:3]
    if not tried or not all(_by_itself(key, call, rerun) for call in tried):
        return None
    says = (
        "dx is dout times a factor for each number alone: x acts on the other numbers too, through the "
        "mean and the variance, and these paths must be summed"
    )
    return Cause("elementwise_dx", says, (key,), line=line)


def _by_itself(key: str, call: Call, rerun: Rerun) -> bool:
    dout = np.asarray(call.dout)
    other = np.random.default_rng(6).standard_normal(dout.shape)
    got: Any = call.got[key]
    again: Any = rerun.results(rerun.function, replace(call, dout=other)).get(key)
    if not (is_numeric(got) and is_numeric(again)) or np.shape(got) != dout.shape != ():
        return False
    if np.shape(again) != dout.shape:
        return False
    return bool(
        np.allclose(np.asarray(got) * other, np.asarray(again) * dout, rtol=1e-6, atol=1e-9)
    )
