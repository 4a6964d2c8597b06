"""Layers of sequences (N, C, L) as operations of a plan: those of images of one row, which they are."""

from __future__ import annotations

from collections.abc import Sequence

from handgrad.nn.compiled.layers import (
    Array,
    Lowered,
    Moments,
    Part,
    behind,
    lower,
    max_pool,
    mean_pool,
)
from handgrad.nn.compiled.memory import Memory, NotCovered, Ref
from handgrad.nn.layer import Layer
from handgrad.nn.sequences import AvgPool1d, BatchNorm1d, Conv1d, GlobalAvgPool1d, MaxPool1d

KINDS = (Conv1d, MaxPool1d, AvgPool1d, BatchNorm1d, GlobalAvgPool1d)
"""The layers that `lower_sequence` knows."""


def lower_sequence(
    layer: Layer,
    memory: Memory,
    x: Ref,
    arrays: Sequence[Array],
    eps: float,
    of_batch: bool,
    moments: list[Moments],
) -> Lowered:
    """Add the operations of one of `KINDS`.

    eps, of_batch, moments: of a batch normalisation; see `handgrad.nn.compiled.layers.lower`.
    """
    image = x._replace(shape=(*x.shape[:2], 1, *x.shape[2:]))
    made = _of_image(layer, memory, image, arrays, eps, of_batch, moments)
    out, back = made
    whole, is_row = out.shape, isinstance(layer, GlobalAvgPool1d)
    shape = whole[:2] if is_row else (*whole[:2], whole[3])

    def backward(dout: Ref, need_dx: bool) -> Ref | None:
        dx = back(dout._replace(shape=whole), need_dx)
        return None if dx is None else dx._replace(shape=x.shape)

    return out._replace(shape=shape, last=out.last and not is_row), backward


def _of_image(
    layer: Layer,
    memory: Memory,
    x: Ref,
    arrays: Sequence[Array],
    eps: float,
    of_batch: bool,
    moments: list[Moments],
) -> Lowered:
    if isinstance(layer, Conv1d):
        (w, b), param = arrays, layer.conv1d_param
        w = w._replace(shape=(*w.shape[:2], 1, w.shape[2]))
        pairs = ((1, param["stride"]), (0, param["pad"]), (1, param["dilation"]))
        part = Part(("conv",), ((*pairs, param["groups"]),), ((w, b),))
        return lower(part, memory, x, True, moments)
    if isinstance(layer, BatchNorm1d):
        names = ("batchnorm" if of_batch else "batchnorm_test",)
        return behind(names, ((eps,),), (tuple(arrays),), memory, x, False, moments)
    if isinstance(layer, GlobalAvgPool1d):
        return mean_pool(memory, x, x.shape[2:], (1, 1))
    assert isinstance(layer, MaxPool1d | AvgPool1d)
    if layer.pad:
        raise NotCovered("a pooling with a border")
    window, stride = (1, layer.size), (1, layer.stride)
    if isinstance(layer, AvgPool1d):
        return mean_pool(memory, x, window, stride)
    return max_pool(memory, x, (window, stride, None))
