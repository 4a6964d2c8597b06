"""Compiled kernels for NumPy float32 and float64: channels-last memory, threads, SIMD."""

from handgrad.engines.native import (
    activations,
    affine,
    conv,
    dropout,
    embedding,
    joins,
    losses,
    norm,
    pool,
    upsample,
)
from handgrad.engines.native import control as control
from handgrad.engines.native import fused as fused
from handgrad.engines.native import plans as plans
from handgrad.engines.native import updates as updates
from handgrad.engines.pairs import functions_of

globals().update(
    functions_of(activations, affine, conv, dropout, embedding, joins, losses, norm, pool, upsample)
)
