"""PyTorch's functions of images in the neutral form; see `handgrad.interop.torch_ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handgrad.interop.reader import NoCounterpart, as_pixels, is_sequence, padded, pooled
from handgrad.interop.torch_values import layer_name, pair_of, products, value_of, weight_of

Made = Any
_Reader = Any


def conv(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None, stride: Any = None, padding: Any = 0,
    dilation: Any = None, groups: int = 1,
) -> Made:  # fmt: skip
    """A convolution of images."""
    w = weight_of(w, "weights")
    x = as_pixels(r.growing, value_of(x), layer_name(place, w, node))
    if w.array.ndim != 4 or len(x.shape) != 3:
        raise NoCounterpart("not of two dimensions")
    stride, dilation = pair_of(stride, (1, 1)), pair_of(dilation, (1, 1))
    name = layer_name(place, w, node)
    if padding == "same":
        reach = [d * (n - 1) for d, n in zip(dilation, w.array.shape[2:], strict=True)]
        pads = [n // 2 for n in reach] + [n - n // 2 for n in reach]
        x, pad = padded(r.growing, x, pads, name)
    else:
        pad = (0, 0) if padding == "valid" else pair_of(padding, (0, 0))
    arrays, params = products("conv", w.array, w, b)
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    return r.growing.add("conv", [x], options, arrays, params=params, name=name)


def conv_transpose(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None, stride: Any = None, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = None,
) -> Made:  # fmt: skip
    """A transposed convolution."""
    x, w = value_of(x), weight_of(w, "weights")
    arrays, params = products("conv_transpose", w.array, w, b)
    options = {
        "stride": pair_of(stride, (1, 1)),
        "pad": pair_of(padding, (0, 0)),
        "dilation": pair_of(dilation, (1, 1)),
        "output_pad": pair_of(output_padding, (0, 0)),
        "groups": groups,
    }
    return r.growing.add(
        "conv_transpose", [x], options, arrays, params=params, name=layer_name(place, w, node)
    )


def convolution(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Made:  # fmt: skip
    """Either, as the decomposed graph calls both."""
    if transposed:
        return conv_transpose(
            r, node, place, x, w, b, stride, padding, output_padding, groups, dilation
        )
    return conv(r, node, place, x, w, b, stride, padding, dilation, groups)


def max_pool(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Made:
    """The largest of each window."""
    if pair_of(dilation, (1, 1)) != (1, 1):
        raise NoCounterpart("windows with gaps (dilation)")
    size, pad = pair_of(size), pair_of(padding, (0, 0))
    stride = pair_of(stride, size)
    return pooled(
        r.growing,
        "max_pool",
        value_of(x),
        size,
        stride,
        [*pad, *pad],
        ceil_mode,
        False,
        place or node.name,
    )


def avg_pool(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    counts: bool = True,
    divisor: Any = None,
) -> Made:
    """The mean of each window."""
    if divisor is not None:
        raise NoCounterpart("divisor_override")
    size, pad = pair_of(size), pair_of(padding, (0, 0))
    stride = pair_of(stride, size)
    return pooled(
        r.growing,
        "avg_pool",
        value_of(x),
        size,
        stride,
        [*pad, *pad],
        ceil_mode,
        counts,
        place or node.name,
    )


def adaptive(op: str) -> Callable[..., Made]:
    """Pools of as many windows as asked for."""

    def make(r: _Reader, node: Any, place: str, x: Any, size: Any) -> Made:
        x, size = value_of(x), pair_of(size)
        if op == "avg_pool" and size == (1, 1):
            out = r.growing.add("global_avg_pool", [x], name=place or node.name)
            return out._replace(view=(*out.shape, 1, 1))
        if size == x.shape[1:]:
            return x
        if any(n % s for n, s in zip(x.shape[1:], size, strict=True)):
            raise NoCounterpart(f"from {x.shape[1:]} to {size}, which does not divide it")
        window = tuple(n // s for n, s in zip(x.shape[1:], size, strict=True))
        return pooled(r.growing, op, x, window, window, [0] * 4, False, True, place or node.name)

    return make


def mean(
    r: _Reader, node: Any, place: str, x: Any, dims: Any = None, keepdim: bool = False, **_: Any
) -> Made:
    """The mean of each channel."""
    x = value_of(x)
    if is_sequence(x) and [int(d) % 3 for d in dims or []] == [2]:
        out = r.growing.add("global_avg_pool", [x], name=node.name)
        return out._replace(view=(*out.shape, 1)) if keepdim else out
    if len(x.shape) != 3 or sorted(int(d) % 4 for d in dims or []) != [2, 3]:
        raise NoCounterpart(f"over {dims}")
    out = r.growing.add("global_avg_pool", [x], name=node.name)
    return out._replace(view=(*out.shape, 1, 1)) if keepdim else out


def pad_images(
    r: _Reader, node: Any, place: str, x: Any, pads: Any, mode: Any = "constant", value: Any = 0.0
) -> Made:
    """Constants around images."""
    if isinstance(mode, int | float) and not isinstance(mode, bool):
        mode, value = "constant", mode
    pads = [int(p) for p in pads]
    pads = [*pads, *[0] * (4 - len(pads))]
    if mode != "constant" or len(pads) != 4 or min(pads) < 0:
        raise NoCounterpart(f"mode {mode}, {pads}")
    left, right, top, bottom = pads
    options = {"pads": (top, bottom, left, right), "value": float(value or 0.0)}
    return r.growing.add("pad", [value_of(x)], options, name=place if place else node.name)


def upsample(mode: str) -> Callable[..., Made]:
    """Images, some times as large."""

    def make(r: _Reader, node: Any, place: str, x: Any, size: Any, *rest: Any) -> Made:
        x = value_of(x)
        if mode == "bilinear" and rest and rest[0]:
            raise NoCounterpart("align_corners")
        wanted = tuple(int(n) for n in node.meta["val"].shape[2:])
        if any(w % n for w, n in zip(wanted, x.shape[1:], strict=True)):
            raise NoCounterpart(f"from {x.shape[1:]} to {wanted}, no multiple of it")
        scale = tuple(w // n for w, n in zip(wanted, x.shape[1:], strict=True))
        return r.growing.add(
            "upsample", [x], {"scale": scale, "mode": mode}, name=place or node.name
        )

    return make
