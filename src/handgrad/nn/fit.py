"""Whether inputs, weights, running statistics and losses of one's own fit a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array, as_numpy, how_to_convert, objects_in
from handgrad.errors import (
    DtypeError,
    OptionError,
    ShapeError,
    check_dictionary,
    check_known,
    check_takes,
    shown,
)
from handgrad.nn.options import Shape, as_row_shape

_PLAIN = tuple(np.dtype(name) for name in ("float32", "float64", "complex128"))


def check_params(
    name: str, params: Mapping[str, Any], shapes: Mapping[str, Shape], *, all_names: bool = True
) -> None:
    """Raise an error unless `params` are arrays of numbers with the names and shapes of `shapes`.

    Args:
        name: the network's, for messages.
        params: name -> array.
        shapes: name -> shape, of the parameters that the network was made with.
        all_names: whether none may be missing.

    Raises:
        OptionError: a name is no parameter's, or missing.  ShapeError, DtypeError: an array does not fit.
    """
    if params.keys() != shapes.keys():
        check_known(f"{name}: params", params, shapes)
        if all_names:
            missing = ", ".join(repr(key) for key in shapes if key not in params)
            known = ", ".join(params) or "nothing"
            raise OptionError(f"{name}: params lacks {missing}; it holds {known}")
    for key, w in params.items():
        if type(w) is np.ndarray and w.dtype in _PLAIN and w.shape == shapes[key]:
            continue
        where = f"params[{key!r}]"
        if not isinstance(w, np.ndarray) or hasattr(w, "mask"):
            raise DtypeError(
                f"{name}: {where} must be a NumPy array, got {type(w).__name__}; {_as_array(where, w)}"
            )
        if w.shape != shapes[key]:
            turned = "; did you mean its transpose?" if w.T.shape == shapes[key] else ""
            raise ShapeError(
                f"{name}: {where} must have shape {shapes[key]}, with which the network was made, "
                f"got {w.shape}{turned}"
            )
        if w.dtype.kind not in "iu" and w.dtype.newbyteorder("=") not in _PLAIN:
            got = objects_in(where, w) if w.dtype.kind == "O" else w.dtype
            hint = how_to_convert(where, w, w)
            raise DtypeError(
                f"{name}: {where} must be float32, float64 or complex128, got {got}{hint}"
            )


def _as_array(name: str, w: Any) -> str:
    """Return what makes a NumPy array of `w`, called `name`."""
    if isinstance(w, np.ndarray):
        return f"put a number of your choice in the place of masked ones, {name}.filled(number)"
    return (
        f"pass {name}.detach().cpu().numpy()"
        if hasattr(w, "detach")
        else f"pass np.asarray({name})"
    )


def checked_buffers(name: str, buffers: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return copies of running statistics `buffers`, if they hold real numbers, and no variance below 0."""
    check_dictionary(name, "buffers", buffers)
    checked = {}
    for key, value in buffers.items():
        if not isinstance(key, str):
            raise OptionError(f"{name}.load_buffers: names must be texts, got {shown(key)}")
        array = np.array(as_numpy(f"{name}.load_buffers", key, value))
        if array.dtype.kind not in "iuf":
            raise DtypeError(
                f"{name}.load_buffers: {key} must hold real numbers, got {array.dtype}"
            )
        # a diverged training may have left NaN or infinity, which is put back as it was
        if "running_var" in key and (np.isfinite(array) & (array < 0)).any():
            raise OptionError(
                f"{name}.load_buffers: {key} must be at least 0, as variances are, got {shown(array)}"
            )
        checked[key] = array
    return checked


def check_complete(where: str, names: Collection[str], statistics: Iterable[str]) -> None:
    """Raise OptionError if `names` are a part of what a layer keeps, and `statistics` are not all among them.

    A mean without its variance is no state that a training leaves: the variance would start anew.
    """
    missing = [name for name in statistics if name not in names]
    if names and missing:
        raise OptionError(
            f"{where}: {', '.join(names)} came without {', '.join(missing)}; the running statistics of a "
            "layer come together, as buffers() returns them"
        )


def check_inputs(name: str, forward: Callable[..., Any], shapes: Sequence[Shape]) -> None:
    """Raise ShapeError if `forward` does not take as many inputs as there are `shapes`."""
    try:
        check_takes(name, "forward", forward, f"{len(shapes)} inputs", len(shapes))
    except OptionError as error:
        given = " and ".join(map(str, shapes))
        reason = str(error).removeprefix(f"{name}: ")
        raise ShapeError(f"{name}: inputs of {given} were given, but {reason}") from None


def own_loss(name: str, result: Any, scores: Array) -> tuple[Any, Array]:
    """Return the loss and its gradient out of the `result` of a loss function, if it is such a pair."""
    if type(result) is tuple and len(result) == 2:  # the quick way to the same answer
        loss, dscores = result
        is_plain = isinstance(loss, np.floating) and type(dscores) is np.ndarray
        if is_plain and dscores.shape == scores.shape:
            return loss, dscores
    wanted = f"{name}: loss(scores, y) must return (loss, dscores), one number and the gradient of scores"
    if not isinstance(result, tuple | list) or len(result) != 2:
        count = f" of {len(result)}" if isinstance(result, tuple | list) else ""
        raise OptionError(f"{wanted}, got {type(result).__name__}{count}")
    loss, dscores = result
    shape = getattr(loss, "shape", None if isinstance(loss, int | float | complex) else ())
    dtype = getattr(loss, "dtype", None)
    is_number = not (isinstance(dtype, np.dtype) and dtype.kind not in "iufc")
    if shape is not None and (not hasattr(loss, "shape") or prod(shape) != 1 or not is_number):
        what = f"an array of shape {tuple(shape)}" if hasattr(loss, "shape") else shown(loss)
        mean = "; take its mean (and divide dscores by N)" if shape else ""
        raise ShapeError(f"{wanted}, got {what} for the loss{mean}")
    if not hasattr(dscores, "shape"):
        dscores = as_numpy(name, "dscores, which loss returns,", dscores)
    if tuple(dscores.shape) != tuple(scores.shape):
        raise ShapeError(
            f"{wanted}, of shape {tuple(scores.shape)}, got {tuple(dscores.shape)} for dscores"
        )
    return loss, dscores


def input_shapes(where: str, shape: Any) -> list[Shape] | None:
    """Return the shapes of the inputs: several where `shape` is a list of shapes."""
    if shape is None:
        return None
    if (
        isinstance(shape, tuple | list)
        and shape
        and all(isinstance(x, tuple | list) for x in shape)
    ):
        return [as_row_shape(where, one) for one in shape]
    return [as_row_shape(where, shape)]


def as_inputs(name: str, X: Any, dtype: Any) -> list[np.ndarray]:
    """Return X, an array or a tuple of several, as a list of arrays of as many rows."""
    if type(X) is np.ndarray and X.ndim > 1 and X.dtype.kind in "iuf":
        return [X]  # the quick way to the same answer
    given = X if isinstance(X, tuple) else (X,)
    real = dtype is None or dtype(0).dtype.kind != "c"
    must = f"hold {'real ' if real else ''}numbers"
    xs = [as_numpy(name, "X", x, must) for x in given]
    for x in xs:
        if x.ndim < 2:
            raise ShapeError(f"{name}: X must have shape (N, ...), got {x.shape}")
        if x.dtype.kind not in ("iuf" if real else "iufc"):
            hint = "; its imaginary part would be lost" if x.dtype.kind == "c" else ""
            raise DtypeError(f"{name}: X must {must}, got {x.dtype}{hint}")
    if any(len(x) != len(xs[0]) for x in xs):
        raise ShapeError(
            f"{name}: the inputs must have as many rows, got {texts([x.shape for x in xs])}"
        )
    return xs


def check_rows(name: str, rows: Sequence[Shape], expected: Sequence[Shape]) -> None:
    """Raise ShapeError unless the inputs have the shapes `expected`, those of one row each."""
    if list(rows) == list(expected):
        return
    if len(rows) != len(expected):
        raise ShapeError(
            f"{name}: X must be a tuple of {len(expected)} arrays, got {len(rows)}"
            if len(expected) > 1
            else f"{name}: X must be one array, got {len(rows)}"
        )
    shown = " and ".join(str(("N", *row)).replace("'", "") for row in expected)
    got = " and ".join(str(("N", *row)).replace("'", "") for row in rows)
    raise ShapeError(f"{name}: X must have shape {shown}; got {got}")


def texts(shapes: Sequence[Shape]) -> str:
    """Return shapes as in "(2, 3) and (2, 4)"."""
    return " and ".join(str(tuple(shape)) for shape in shapes)
