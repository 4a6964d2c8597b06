"""Networks that are a list of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from handgrad.errors import OptionError
from handgrad.nn.configured import plain
from handgrad.nn.layer import Layer
from handgrad.nn.model import Model
from handgrad.nn.value import Value


class Sequential(Model):
    """Layers, and blocks, one behind the other.

    Parameters are named by kind and number, ``conv1.W``, ``conv2.b``, or by the layer's own name.

    >>> from handgrad import nn
    >>> net = nn.Sequential(
    ...     [nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.MaxPool(2), nn.Affine(10)], input_shape=(1, 8, 8)
    ... )
    >>> {name: w.shape for name, w in net.params.items()}
    {'conv1.W': (4, 1, 3, 3), 'conv1.b': (4,), 'affine1.W': (64, 10), 'affine1.b': (10,)}
    """

    def __init__(
        self, layers: Iterable[Layer | Model], input_shape: Any = None, **options: Any
    ) -> None:
        """Put `layers` in a row; input_shape and the other options are those of `Model`."""
        try:
            parts = [] if isinstance(layers, str | Layer | Model) else list(layers)
        except Exception:  # as of a closed file
            parts = []
        if not parts and not isinstance(layers, list | tuple):
            raise OptionError(f"Sequential: layers must be a list of layers, got {layers!r}")
        super().__init__(input_shape, **options)
        self._children: dict[str, Layer | Model] = {}
        counts: Counter[str] = Counter()
        for i, part in enumerate(parts):
            name = self._name_of(i, part, counts)
            if name in self._children:
                raise OptionError(f"Sequential: two layers have the name {name}")
            self._children[name] = part
        if not self._children:
            raise OptionError("Sequential: layers must hold at least one layer")
        self._is_static = all(
            isinstance(part, Layer) or part._is_static for part in self._children.values()
        )

    def _name_of(self, place: int, part: Any, counts: Counter[str]) -> str:
        if not isinstance(part, Layer | Model):
            hint = ""
            if isinstance(part, type) and issubclass(part, Layer):
                hint = f"; write {part.__name__}(...)"
            elif hasattr(part, "__handgrad_layer__"):
                hint = f"; write {part.__name__}()"
            raise OptionError(
                f"Sequential: layers[{place}] must be a layer or a model, got {part!r}{hint}"
            )
        if isinstance(part, Layer) and part.name:
            return part.name
        kind = part.kind if isinstance(part, Layer) else type(part).__name__.lower()
        counts[kind] += 1
        return f"{kind}{counts[kind]}"

    def forward(self, *values: Value) -> Value:
        """Hand the value from layer to layer."""
        out: Any = values
        for part in self._children.values():
            out = part(*out) if isinstance(out, tuple) else part(out)
        return out

    def _parts(self) -> Iterator[tuple[str, Layer | Model]]:
        """Yield the layers by name."""
        yield from self._children.items()

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(repr, self._children.values()))}])"

    def config(self) -> dict[str, Any]:
        """Return a table with which `handgrad.models.build` makes this network again."""
        arguments = {
            k: v for k, v in self._arguments.items() if k not in ("layers", "rng", "device")
        }
        return {
            "name": "Sequential",
            "layers": [_table(part) for part in self._children.values()],
            **plain("Sequential", arguments),
        }


def _table(part: Layer | Model) -> dict[str, Any]:
    table = part.config()
    if isinstance(part, Model):
        table = {"layer": table.pop("name"), **table}
    return table
