"""Layers as operations of a plan: for each pair those that the native engine calls, in its order.

    lower(part, memory, x, ...) -> (out, backward)        backward(dout, need_dx) -> dx

A part is what the engine computes in one call (`handgrad.engines.native.fused`): the names of its pairs,
their options and arrays.  The gradients of the arrays are written to slots of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from handgrad.nn.compiled.memory import NONE, Memory, NotCovered, Ref

Backward = Callable[[Ref, bool], Ref | None]
Lowered = tuple[Ref, Backward]
Options = tuple[Any, ...]

CURVES = {"sigmoid": 0, "tanh": 1, "elu": 4}  # of native/kernels/table.h
GELUS = {"none": 2, "tanh": 3}
_NO_CURVE = 5
_PLANES = 16  # channels below which images in rows order are pooled as planes


class Array(NamedTuple):
    """A pair's array behind x: its slot and shape, and the slot of its gradient."""

    slot: int
    shape: tuple[int, ...]
    gradient: int


class Moments(NamedTuple):
    """Mean and variance of a batch, (C,): what running statistics move towards."""

    mean: int
    var: int
    channels: int


class Part(NamedTuple):
    """What is lowered in one go; takes_pool: whether the engine's convolution computes the pooling itself."""

    names: tuple[str, ...]
    options: tuple[Options, ...]
    arrays: tuple[tuple[Array, ...], ...]
    takes_pool: bool = False


def lower(part: Part, memory: Memory, x: Ref, needs_dx: bool, moments: list[Moments]) -> Lowered:
    """Add the forward of `part`; the backward that is returned adds its own operations when it is called.

    The moments of a normalisation, of the batch or given ones, are added to `moments`.  NotCovered where no
    plan knows the part.
    """
    takes_pool = part.takes_pool
    names, options, arrays = part.names, part.options, part.arrays
    if names[0] not in ("affine", "conv"):
        return behind(names, options, arrays, memory, x, False, moments)
    if is_stem(part):
        is_given = names[1] == "batchnorm_test"
        return _stem(options, arrays, memory, x, needs_dx, moments, is_given)
    if takes_pool:
        return _conv(options[0], arrays[0], memory, x, pool=True, rectify=len(names) == 3)
    no_db = "batchnorm" in names  # the mean takes off whatever b adds
    if names[0] == "affine":
        y, back = _affine(arrays[0], memory, x, no_db)
    else:
        y, back = _conv(options[0], arrays[0], memory, x, no_db=no_db)
    if len(names) == 1:
        return y, back
    out, back_behind = behind(names[1:], options[1:], arrays[1:], memory, y, True, moments)

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dy = back_behind(dout, True)
        assert dy is not None
        return back(dy, need_dx)

    return out, backward


def is_stem(part: Part) -> bool:
    """Whether it is the first block of a network over images (native/ops/stem.h), which reads `dtype`."""
    return part.takes_pool and len(part.names) == 4


def _affine(arrays: Sequence[Array], memory: Memory, x: Ref, no_db: bool) -> Lowered:
    w, b = arrays
    shape = x.shape
    x = memory.dense(x, False)
    sizes = [shape[0], *w.shape]
    out = memory.array((shape[0], w.shape[1]))
    memory.op("affine", [x.slot, w.slot, b.slot, out.slot], sizes)

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dx = memory.array(shape) if need_dx else None
        slots = [dout.slot, x.slot, w.slot, dx.slot if dx else NONE, w.gradient, b.gradient]
        memory.op("affine_backward", slots, [*sizes, no_db])
        return dx

    return out, backward


def _conv(
    options: Options,
    arrays: Sequence[Array],
    memory: Memory,
    x: Ref,
    *,
    no_db: bool = False,
    pool: bool = False,
    rectify: bool = False,
) -> Lowered:
    w, b = arrays
    x = memory.dense(x, True)
    sizes, image = sizes_of(options, w, x)
    if pool:
        image = (image[0] // 2, image[1] // 2)
    out = memory.array((x.shape[0], w.shape[0], *image), True)
    places = memory.value(out.numbers, 1) if pool else NONE
    memory.op("conv", [x.slot, w.slot, b.slot, out.slot, places], [*sizes, rectify])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, True)
        dx = memory.array(x.shape, True) if need_dx else None
        slots = [dout.slot, places, x.slot, w.slot, dx.slot if dx else NONE, w.gradient, b.gradient]
        memory.op("conv_backward", slots, [*sizes, no_db])
        return dx

    return out, backward


def sizes_of(options: Options, w: Array, x: Ref) -> tuple[list[int], tuple[int, int]]:
    """Return the sizes of a convolution for its operations, and those of its output images."""
    stride, pad, dilation, groups = options
    F, _, *window = w.shape
    height, width = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], window, stride, pad, dilation, strict=True)
    )
    return [*x.shape, F, *window, *stride, *pad, *dilation, groups], (height, width)


def _stem(
    options: Sequence[Options],
    arrays: Sequence[Sequence[Array]],
    memory: Memory,
    x: Ref,
    needs_dx: bool,
    moments: list[Moments],
    is_given: bool,
) -> Lowered:
    """The first block of a network over images (native/ops/stem.h), by the batch's moments or given ones."""
    if needs_dx and not is_given:
        raise NotCovered("a first block behind something that learns")
    (w, b), (gamma, beta) = arrays[0], arrays[1]
    x = memory.dense(x, True)
    sizes, (height, width) = sizes_of(options[0], w, x)
    F, K = w.shape[0], prod(w.shape[1:])
    out = memory.array((x.shape[0], F, height // 2, width // 2), True)
    if is_given:
        mean, var = memory.give(F), memory.give(F)
        moments.append(Moments(mean, var, F))
        slots = [x.slot, w.slot, b.slot, gamma.slot, beta.slot, mean, var, out.slot]
        memory.op("stem_infer", slots, sizes, [options[1][0]])
        return out, no_backward
    mean, var, inv_std, scale = (memory.value(F) for _ in range(4))
    xhat, places = memory.stored(out.numbers), memory.value(out.numbers, 1)
    kept = [xhat, inv_std, scale, places, memory.value(K * (K + 1), 8)]
    moments.append(Moments(mean, var, F))
    slots = [x.slot, w.slot, b.slot, gamma.slot, beta.slot, out.slot, mean, var, *kept]
    memory.op("stem", slots, sizes, [options[1][0]])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, True)
        gradients = [w.gradient, b.gradient, gamma.gradient, beta.gradient]
        memory.op("stem_backward", [dout.slot, x.slot, w.slot, *gradients, *kept], sizes)
        return None

    return out, backward


def behind(
    names: tuple[str, ...],
    options: Sequence[Options],
    arrays: Sequence[Sequence[Array]],
    memory: Memory,
    x: Ref,
    is_own: bool,
    moments: list[Moments],
) -> Lowered:
    """The epilogue of a layer, whose output x no other layer reads; or a layer alone."""
    if names[0] in ("batchnorm", "batchnorm_test"):
        return _norm(names, options, arrays[0], memory, x, moments)
    if names == ("relu",):
        return _rectified(memory, x) if is_own else relu(memory, x)
    if names == ("relu", "max_pool"):
        return max_pool(memory, x, options[1], rectify=True)
    if names == ("max_pool",):
        return max_pool(memory, x, options[0])
    if names == ("gelu",):
        return curve(memory, x, GELUS[options[0][0]])
    if names[0] == "groupnorm" and len(names) == 1:
        return group_norm(memory, x, arrays[0], *options[0])
    raise NotCovered(f"the chain {'_'.join(names)}")


def _norm(
    names: tuple[str, ...],
    options: Sequence[Options],
    arrays: Sequence[Array],
    memory: Memory,
    x: Ref,
    moments: list[Moments],
) -> Lowered:
    """Batch normalisation by the batch's moments or given ones, and what may follow it."""
    of_batch = names[0] == "batchnorm"
    gamma, beta = arrays
    x = memory.dense(x, len(x.shape) > 2)
    channels = x.shape[1]
    rows = prod(x.shape) // channels
    follow, eps = names[1:], options[0][0]
    activation = GELUS[options[1][0]] if follow == ("gelu",) else _NO_CURVE
    sizes = [rows, channels, follow[:1] == ("relu",), of_batch, activation]
    out = x._replace(slot=memory.stored(x.numbers))
    pooling: list[int] = []
    if follow == ("relu", "max_pool"):
        pooling, shape = _pool_sizes(x, *options[2][:2])
        out = memory.array(shape, True)
    elif follow not in ((), ("relu",), ("gelu",)):
        raise NotCovered(f"the chain {'_'.join(names)}")
    sizes += [bool(pooling), *pooling]
    make = memory.value if of_batch else memory.give
    mean, var = make(channels), make(channels)
    inv_std, scale = memory.value(channels), memory.value(channels)
    largest, index = NONE, NONE
    if pooling:
        largest, index = (
            memory.stored(out.numbers),
            memory.value(out.numbers, _index_bytes(pooling)),
        )
    moments.append(Moments(mean, var, channels))
    slots = [x.slot, gamma.slot, beta.slot, mean, var, inv_std, scale, largest, index, out.slot]
    memory.op("batchnorm", slots, sizes, [eps])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, out.last)
        dx = x._replace(slot=memory.stored(x.numbers))
        slots = [dout.slot, x.slot, mean, inv_std, scale, largest, index, beta.slot, dx.slot]
        memory.op("batchnorm_backward", [*slots, gamma.gradient, beta.gradient], sizes)
        return dx

    return out, backward


def group_norm(memory: Memory, x: Ref, arrays: Sequence[Array], groups: int, eps: float) -> Lowered:
    """Group normalisation; of one group, layer normalisation."""
    gamma, beta = arrays
    x = memory.dense(x, False)
    N, C = x.shape[:2]
    sizes = [N, C, prod(x.shape[2:]), groups]
    out, xhat, inv_std = memory.array(x.shape), memory.stored(x.numbers), memory.value(N * groups)
    memory.op("groupnorm", [x.slot, gamma.slot, beta.slot, out.slot, xhat, inv_std], sizes, [eps])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, False)
        dx = memory.array(x.shape)
        slots = [dout.slot, xhat, inv_std, gamma.slot, dx.slot, gamma.gradient, beta.gradient]
        memory.op("groupnorm_backward", slots, sizes)
        return dx

    return out, backward


def _rectified(memory: Memory, x: Ref) -> Lowered:
    """ReLU in place, of an x that no other layer reads."""
    positive = memory.value(x.numbers, 1)
    memory.op("rectify", [x.slot, positive], [x.numbers])
    return x, _relu_backward(memory, x, positive, 0, 0.0)


def relu(memory: Memory, x: Ref, alpha: float | None = None) -> Lowered:
    """ReLU, or with alpha the leaky one."""
    out, positive = x._replace(slot=memory.stored(x.numbers)), memory.value(x.numbers, 1)
    leaks, slope = alpha is not None, 0.0 if alpha is None else alpha
    memory.op("relu", [x.slot, out.slot, positive], [x.numbers, leaks], [slope])
    return out, _relu_backward(memory, x, positive, leaks, slope)


def _relu_backward(memory: Memory, x: Ref, positive: int, leaks: int, alpha: float) -> Backward:
    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, x.last)
        dx = x._replace(slot=memory.stored(x.numbers))
        memory.op("relu_backward", [dout.slot, positive, dx.slot], [x.numbers, leaks], [alpha])
        return dx

    return backward


def curve(memory: Memory, x: Ref, number: int, alpha: float = 0.0) -> Lowered:
    """A smooth activation."""
    out = x._replace(slot=memory.stored(x.numbers))
    memory.op("curve", [x.slot, out.slot], [x.numbers, number], [alpha])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, x.last)
        dx = x._replace(slot=memory.stored(x.numbers))
        memory.op("curve_backward", [dout.slot, x.slot, dx.slot], [x.numbers, number], [alpha])
        return dx

    return out, backward


def max_pool(memory: Memory, x: Ref, options: Options, rectify: bool = False) -> Lowered:
    """Max pooling inside of the image, behind a ReLU where `rectify`."""
    window, stride, border = options
    if border is not None:
        raise NotCovered("a pooling with a border")
    planes = not x.last and x.shape[1] < _PLANES and prod(window) < 256
    x = memory.dense(x, not planes)
    sizes, shape = _pool_sizes(x, window, stride)
    out = memory.array(shape, not planes)
    if planes:
        sizes[:2] = sizes[0] * sizes[1], 1
    index = memory.value(out.numbers, _index_bytes(sizes))
    memory.op("max_pool", [x.slot, out.slot, index], [*sizes, rectify])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout, not planes)
        dx = memory.array(x.shape, not planes)
        memory.op("max_pool_backward", [dout.slot, index, dx.slot], sizes)
        return dx

    return out, backward


def mean_pool(memory: Memory, x: Ref, window: Any, stride: Any) -> Lowered:
    """Average pooling inside of the image."""
    x = memory.dense(x, True)
    sizes, shape = _pool_sizes(x, window, stride)
    out = memory.array(shape, True)
    memory.op("mean_pool", [x.slot, out.slot], sizes)

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dout = memory.dense(dout._replace(shape=shape), True)
        dx = memory.array(x.shape, True)
        memory.op("mean_pool_backward", [dout.slot, dx.slot], sizes)
        return dx

    return out, backward


def flatten(memory: Memory, x: Ref) -> Lowered:
    """The same memory in rows order."""
    shape = x.shape
    x = memory.dense(x, False)
    out = x._replace(shape=(shape[0], prod(shape[1:])))
    return out, lambda dout, need_dx: dout._replace(shape=shape, last=False)


def no_backward(dout: Ref, need_dx: bool) -> Ref | None:
    """Refuse the backward of a layer in test mode."""
    raise NotCovered("a backward in test mode")


def _pool_sizes(x: Ref, window: Any, stride: Any) -> tuple[list[int], tuple[int, ...]]:
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], window, stride, strict=True)]
    return [*x.shape, *window, *stride], (*x.shape[:2], *counts)


def _index_bytes(sizes: Sequence[int]) -> int:
    return 1 if sizes[4] * sizes[5] < 256 else 4
