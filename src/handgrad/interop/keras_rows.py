"""Keras' layers of sequences (N, L, C), as those of images of one row; see `handgrad.interop.keras_ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handgrad.interop.reader import Value, as_images, as_seen

Made = Any
_Reader = Any
_ONE_ROW = ("strides", "dilation_rate", "pool_size")


class _Wide:
    """A layer of sequences that answers as one of images."""

    def __init__(self, keras: Any, layer: Any) -> None:
        self._keras, self._layer = keras, layer
        self.kind_of_images = type(layer).__name__.replace("1D", "2D")

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._layer, name)
        if name == "kernel":
            return self._keras.ops.expand_dims(value, 0)
        if name in _ONE_ROW:
            return (1, int(value[0] if isinstance(value, tuple | list) else value))
        return value


def of_rows(function: Callable[..., Made]) -> Callable[..., Made]:
    """Return the translator of a layer of sequences, by that of the layer of images."""

    def make(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
        (x,) = given
        image = as_images(r.growing, x, layer.name)
        image = image._replace(view=image.shape)
        return as_seen(function(r, _Wide(r.keras, layer), [image], node))

    return make


def global_mean(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    """GlobalAveragePooling1D."""
    (x,) = given
    out = r.growing.add("global_avg_pool", [as_images(r.growing, x, layer.name)], name=layer.name)
    return out._replace(view=(out.shape[0], 1)) if layer.keepdims else out
