"""Networks that are put together on the page: shapes checked at once, and the code that makes them."""

from __future__ import annotations

import inspect
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from handgrad import data as datasets
from handgrad import nn
from handgrad.errors import HandgradError, OptionError
from handgrad.lab.exporting import exported

MOST_LAYERS = 60
MOST_NUMBERS = 20_000_000  # parameters, and numbers of a row's largest value
HIDDEN = ("Add", "Concat", "Whitening", "Upsample", "Conv1d", "MaxPool1d", "AvgPool1d", "BatchNorm1d",
          "GlobalAvgPool1d")  # fmt: skip
_GIVEN = {
    "num_filters": 16,
    "filter_size": 3,
    "width": 64,
    "num_groups": 4,
    "pieces": 2,
    "groups": 4,
}
_SIZES = ("num_filters", "filter_size", "width", "size", "stride", "pad", "num_groups", "pieces", "groups",
          "dilation")  # fmt: skip


def palette() -> list[dict[str, Any]]:
    """Return the layers that can be stacked, each with its options: name, default, and what it is."""
    found = []
    for name, made in nn.LAYERS.items():
        if name in HIDDEN:
            continue
        options = []
        for p in inspect.signature(made).parameters.values():
            default = _GIVEN.get(p.name, 1) if p.default is p.empty else p.default
            if p.name in ("name", "init", "rng") or not isinstance(default, bool | int | float):
                continue
            options.append({"name": p.name, "default": default, "needed": p.default is p.empty})
        says = (inspect.getdoc(made) or "").splitlines()
        found.append({"layer": name, "options": options, "says": says[0] if says else ""})
    return found


@lru_cache(maxsize=4)
def _described(
    name: str, options: tuple[tuple[str, Any], ...]
) -> tuple[tuple[int, ...], int, str, list[str]]:
    given = {key: list(v) if isinstance(v, tuple) else v for key, v in options}
    description = datasets.load(name, **given).description
    names = list(description.class_names or description.target_names)
    return description.input_shape, description.num_outputs, description.task, names


def describe(table: dict[str, Any]) -> tuple[tuple[int, ...], int, str, list[str]]:
    """Return the input shape, number of outputs, task and names of a data set, given as [data] has it."""
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items() if k != "name"}
    return _described(table["name"], tuple(sorted(options.items())))


def check(
    data: dict[str, Any], layers: list[dict[str, Any]], settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the shapes of a stack of layers, what is wrong with it, and its code.

    Returns:
        A dictionary.  Of the data: input, outputs, task, classes.  Of the network: layers (for each its shape
        and number of parameters, or the text of its error), total, error (of the whole), and code (at the
        three levels and as a configuration) where nothing is wrong.
    """
    if not isinstance(layers, list) or not 0 < len(layers) <= MOST_LAYERS:
        raise OptionError(f"lab: a network has 1 to {MOST_LAYERS} layers")
    shape, outputs, task, names = describe(data)
    found: dict[str, Any] = {
        "input": list(shape),
        "outputs": outputs,
        "task": task,
        "classes": names,
    }
    rows: list[dict[str, Any]] = []
    total = 0
    now: tuple[int, ...] | None = shape
    for table in layers:
        if now is None:
            rows.append({})
            continue
        try:
            _check_sizes(table, now)
            one = nn.sequential([table], now, rng=0)
            count = sum(w.size for w in one.params.values())
            now = tuple(one._row_shape or ())
        except HandgradError as error:
            rows.append({"error": _short(error)})
            now = None
            continue
        except Exception as error:  # of a layer of one's own
            rows.append({"error": f"{type(error).__name__}: {error}"[:400]})
            now = None
            continue
        total += count
        rows.append({"shape": list(now), "params": count})
    found |= {"layers": rows, "total": total, "error": _error(rows, now, outputs)}
    if found["error"] is None:
        found["code"] = exported(data, layers, settings, shape, outputs, task)
    return found


def _error(rows: list[dict[str, Any]], now: tuple[int, ...] | None, outputs: int) -> str | None:
    for i, row in enumerate(rows):
        if "error" in row:
            return f"layer {i + 1}: {row['error']}"
    if now is None or len(now) != 1 or now[0] != outputs:
        shown = " x ".join(map(str, now or ()))
        return f"the network returns {shown} numbers for a row, and the data ask for {outputs}"
    return None


def _check_sizes(table: Any, now: tuple[int, ...]) -> None:
    """Raise OptionError for sizes that would fill the memory."""
    if not isinstance(table, dict):
        raise OptionError("lab: a layer is a table")
    sizes = [table.get(name, 1) for name in _SIZES]
    numbers = [abs(n) for n in sizes if isinstance(n, int | float)]
    largest = max(numbers, default=1)
    width = table.get("width", table.get("num_filters", 1))
    width = width if isinstance(width, int) else 1
    window = table.get("filter_size", 1)
    window = window if isinstance(window, int) else 1
    weights = width * (prod(now) if "width" in table else now[0] * window * window)
    values = width * prod(now[1:]) if "num_filters" in table else width
    if largest > 100_000 or max(weights, values) > MOST_NUMBERS:
        raise OptionError(f"lab: a layer of this size has more than {MOST_NUMBERS:,} numbers")


def _short(error: Exception) -> str:
    return str(error).removeprefix("Sequential: ")[:400]


def points_table(points: Any) -> bytes:
    """Return points of the page, [[x, y, class], ...], as a CSV file; OptionError for others."""
    if not isinstance(points, list) or not 10 <= len(points) <= 5000:
        raise OptionError("lab: draw 10 to 5000 points")
    lines, labels = ["x,y,label"], set()
    for point in points:
        ok = isinstance(point, list) and len(point) == 3
        if not ok or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in point):
            raise OptionError("lab: a point is x, y and the number of its class")
        x, y, label = float(point[0]), float(point[1]), int(point[2])
        if not (np.isfinite([x, y]).all() and abs(x) <= 100 and abs(y) <= 100 and 0 <= label < 10):
            raise OptionError("lab: a point lies too far away, or its class is not 0 to 9")
        labels.add(label)
        lines.append(f"{x:.6g},{y:.6g},{'ABCDEFGHIJ'[label]}")
    if len(labels) < 2:
        raise OptionError("lab: draw points of two classes at least")
    return "\n".join(lines).encode() + b"\n"
