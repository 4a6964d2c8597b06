"""Compiled kernels for NumPy float32 and float64: channels-last memory, threads, SIMD.

What compiling does not make quicker is not here: it is the layer files' array code.
"""

from typing import Any

from handgrad.engines import vectorized
from handgrad.engines.native import (
    activations,
    affine,
    conv,
    dropout,
    joins,
    losses,
    norm,
    pool,
    upsample,
)
from handgrad.engines.native import choices as choices
from handgrad.engines.native import control as control
from handgrad.engines.native import fused as fused
from handgrad.engines.native import plans as plans
from handgrad.engines.native import updates as updates
from handgrad.engines.pairs import FUNCTIONS, functions_of

globals().update(
    functions_of(activations, affine, conv, dropout, joins, losses, norm, pool, upsample)
)

choices.restore()


def __getattr__(name: str) -> Any:
    if name not in FUNCTIONS:
        raise AttributeError(f"the native engine has no {name!r}")
    function = globals()[name] = getattr(vectorized, name)
    return function
