"""Layers of scores in bf16: as `layers.lower`, with a normalisation by given moments folded into weights.

What is made of weights alone is kept by the native plan while its arrays cannot change
(native/ops/bf16_scores.h).
"""

from __future__ import annotations

from handgrad.nn.compiled.layers import (
    Lowered,
    Moments,
    Part,
    behind,
    is_stem,
    lower,
    no_backward,
    sizes_of,
)
from handgrad.nn.compiled.memory import Memory, Ref

_POOL = ((2, 2), (2, 2), None)  # window, stride, border of a pooling in one call with a convolution


def lower_scores(
    part: Part, memory: Memory, x: Ref, needs_dx: bool, moments: list[Moments]
) -> Lowered:
    """Add the operations of `part`; there is no backward."""
    names, options, arrays = part.names, part.options, part.arrays
    if names[0] not in ("affine", "conv") or is_stem(part):
        return lower(part, memory, x, needs_dx, moments)
    w, b = arrays[0]
    results = w.shape[1 if names[0] == "affine" else 0]
    given, eps, taken = list[int](), list[float](), 1
    if names[taken:][:1] == ("batchnorm_test",):
        gamma, beta = arrays[taken]
        moments.append(Moments(memory.give(results), memory.give(results), results))
        given = [gamma.slot, beta.slot, moments[-1].mean, moments[-1].var]
        eps, taken = [options[taken][0]], taken + 1
    rectify = names[taken:][:1] == ("relu",)
    taken += rectify
    x = memory.dense(x, names[0] == "conv")
    if names[0] == "affine":
        out = memory.array((x.shape[0], results))
        sizes = [x.shape[0], *w.shape, rectify, False]
    else:
        sizes, image = sizes_of(options[0], w, x)
        pool = names[taken:] == ("max_pool",) and options[taken] == _POOL and min(image) >= 2
        if pool:
            taken, image = taken + 1, (image[0] // 2, image[1] // 2)
        out = memory.array((x.shape[0], results, *image), True)
        sizes += [rectify, pool]
    memory.op(f"{names[0]}_scores", [x.slot, w.slot, b.slot, out.slot, *given], sizes, eps)
    if taken < len(names):
        out, _ = behind(names[taken:], options[taken:], arrays[taken:], memory, out, True, moments)
    return out, no_backward


def join_scores(memory: Memory, scores: Ref, result: int) -> None:
    """Let the network's scores, a dense array, be written to the slot `result` in float32."""
    name, slots, sizes, numbers = memory.ops[-1]
    if name == "affine_scores" and slots[3] == scores.slot:
        memory.ops[-1] = (name, [*slots[:3], result, *slots[4:]], [*sizes[:-1], True], numbers)
    else:
        memory.op("copy", [scores.slot, result], [scores.numbers])
