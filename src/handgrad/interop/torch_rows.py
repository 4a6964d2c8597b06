"""PyTorch's functions of sequences (N, C, L), as those of images of one row; see `torch_ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handgrad.interop.reader import NoCounterpart, as_images, as_seen
from handgrad.interop.torch_images import adaptive, avg_pool, conv, max_pool
from handgrad.interop.torch_values import Weight, value_of, weight_of

Made = Any
_Reader = Any


def _wide(n: Any, first: int) -> Any:
    """A number for one row of pixels, beside that for the rows."""
    if n is None or n == [] or isinstance(n, str):
        return n
    return [first, int(n[0] if isinstance(n, list | tuple) else n)]


def conv1d(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None, stride: Any = None, padding: Any = 0,
    dilation: Any = None, groups: int = 1,
) -> Made:  # fmt: skip
    """A convolution of sequences."""
    w = weight_of(w, "weights")
    if w.array.ndim != 3:
        raise NoCounterpart("not of one dimension")
    image = as_images(r.growing, value_of(x), node.name)
    image = image._replace(view=image.shape)
    filters = Weight(w.array[:, :, None], w.name)
    sizes = _wide(stride, 1), _wide(padding, 0), _wide(dilation, 1)
    return as_seen(conv(r, node, place, image, filters, b, *sizes, groups))


def _pool(pool: Callable[..., Made]) -> Callable[..., Made]:
    def make(
        r: _Reader,
        node: Any,
        place: str,
        x: Any,
        size: Any,
        stride: Any = None,
        padding: Any = 0,
        *rest: Any,
        **named: Any,
    ) -> Made:
        image = as_images(r.growing, value_of(x), node.name)
        image = image._replace(view=image.shape)
        rest = tuple(_wide(n, 1) if isinstance(n, list) else n for n in rest)
        sizes = _wide(size, 1), _wide(stride, 1), _wide(padding, 0)
        return as_seen(pool(r, node, place, image, *sizes, *rest, **named))

    return make


def adaptive_avg_pool1d(r: _Reader, node: Any, place: str, x: Any, size: Any) -> Made:
    """The mean of as many windows as asked for."""
    image = as_images(r.growing, value_of(x), node.name)
    out = adaptive("avg_pool")(r, node, place, image._replace(view=image.shape), _wide(size, 1))
    return out._replace(view=(out.shape[0], 1)) if len(out.shape) == 1 else as_seen(out)


max_pool1d, avg_pool1d = _pool(max_pool), _pool(avg_pool)
