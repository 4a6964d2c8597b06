"""Plain loops, to be read beside the formulas; the oracle that every other engine is tested against."""

from handgrad.engines.naive import (
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
from handgrad.engines.pairs import functions_of

fused = None  # every pair is a call of its own

globals().update(
    functions_of(activations, affine, conv, dropout, embedding, joins, losses, norm, pool, upsample)
)
