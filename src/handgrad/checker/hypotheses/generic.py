"""Mistakes that any layer can have: sign, factor, sum, transpose, a lost or unused gradient."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, Raised, is_numeric, same

Change = Callable[[Any], Any]


def each(change: Change) -> Callable[[Call], dict[str, Any]]:
    """Predict every result as a change of the right one."""

    def predict(call: Call) -> dict[str, Any]:
        return {key: change(np.asarray(value)) for key, value in call.expected.items()}

    return predict


def scaled(size: Callable[[Call], float]) -> Callable[[Call], dict[str, Any]]:
    """Predict every result as the right one times a number that depends on the call."""

    def predict(call: Call) -> dict[str, Any]:
        return {key: np.asarray(value) * size(call) for key, value in call.expected.items()}

    return predict


def upstream(change: Callable[[np.ndarray], Any]) -> Callable[[Call], dict[str, Any]]:
    """Predict the gradients for another upstream gradient."""

    def predict(call: Call) -> dict[str, Any]:
        if call.gradient is None or not np.ndim(call.dout):
            return {}
        return call.gradient(change(np.array(call.dout)))

    return predict


def _rows(call: Call) -> int:
    first = next(iter(call.arrays.values()))
    return first.shape[0] if first.ndim else 1


def _shape(call: Call) -> tuple[int, ...]:
    return np.shape(call.dout if call.dout is not None else call.expected.get("out", ()))


def _space(call: Call) -> int:
    return int(np.prod(_shape(call)[2:]))


def _columns(call: Call) -> int:
    first = next(iter(call.arrays.values()))
    return int(np.prod(first.shape[1:]))


FACTORS: list[tuple[str, str, Callable[[Call], float]]] = [
    ("batch", "N, the number of rows", _rows),
    ("space", "H'W', the number of places", _space),
    (
        "batch_and_space",
        "N H' W', the number of places in the batch",
        lambda c: _rows(c) * _space(c),
    ),
    ("row", "the size of a row", _columns),
    ("size", "the number of results", lambda call: int(np.prod(_shape(call)))),
    ("batch_squared", "N**2: the batch is counted twice", lambda call: _rows(call) ** 2),
    ("root_of_batch", "the root of N", lambda call: _rows(call) ** 0.5),
    ("root_of_row", "the root of the size of a row", lambda call: _columns(call) ** 0.5),
    (
        "batch_less_one",
        "N / (N - 1)",
        lambda call: np.float64(_rows(call)) / (_rows(call) - 1),
    ),
]


def readings(factor: float, calls: Sequence[Call]) -> list[str]:
    """Return what a factor is in all of the calls: sizes, in words."""
    found = []
    with np.errstate(all="ignore"):
        for _, words, size in FACTORS:
            name = words.partition(":")[0]
            sizes = np.array([size(call) for call in calls], float)
            if np.allclose(sizes, factor, rtol=1e-6):
                found.append(name)
            elif np.allclose(1 / sizes, factor, rtol=1e-6):
                found.append(f"1 / ({name})" if " / " in name else f"1 / {name}")
    return found


def _only(axis: int, index: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(dout: np.ndarray) -> np.ndarray:
        kept = np.zeros_like(dout)
        at = (slice(None),) * axis + (index,)
        kept[at] = dout[at]
        return kept

    return change


# "Cannot cast ufunc 'add' output from dtype('float64') to dtype('int64')", not "broadcast ... into"
INTEGER_CAST = re.compile(r"cannot cast .* to dtype\('u?int\d+'\)", re.I)


def _integers(call: Call) -> dict[str, Any]:
    """Return what came, where it is an integer though the right result is not."""
    found = {}
    for key, got in call.got.items():
        if isinstance(got, Raised):
            if INTEGER_CAST.search(got.message):
                found[key] = got
        elif np.shape(got) != np.shape(call.expected.get(key, ())):
            continue
        elif (_integer(got) or _whole(got)) and not _integral(call.expected.get(key)):
            found[key] = got
    return found


def _integer(value: Any) -> bool:
    return is_numeric(value) and np.asarray(value).dtype.kind in "iu"


def _integral(value: Any) -> bool:
    """Whether the right numbers are whole themselves, as labels are: no cast changes them."""
    return is_numeric(value) and bool(np.all(np.asarray(value) == np.rint(np.real(value))))


def _whole(value: Any) -> bool:
    """Whether the numbers are whole, and not all 0 or 1, as a mask's are."""
    if not is_numeric(value) or np.iscomplexobj(value) or not np.all(np.isfinite(value)):
        return False
    value = np.asarray(value, float)
    return bool(np.all(value == np.rint(value)) and np.any(np.abs(value) > 1))


def _summed(call: Call, axes: Callable[[int], tuple[int, ...]], keep: bool) -> dict[str, Any]:
    return {
        key: np.sum(value, axis=axes(np.ndim(value)), keepdims=keep)
        for key, value in call.expected.items()
        if np.ndim(value)
    }


def _not_summed(call: Call) -> dict[str, Any]:
    """Bias-like gradients: dout itself, where it should have been summed."""
    return {
        key: call.dout for key in call.expected if call.dout is not None and key in ("db", "dbeta")
    }


def _collapsed(call: Call) -> dict[str, Any]:
    """Return what came where summing the right result over some axes gives it."""
    found = {}
    for key, value in call.expected.items():
        got: Any = call.got.get(key)
        if is_numeric(got) and np.ndim(got) < np.ndim(value):
            for axis in range(np.ndim(value)):
                total = np.sum(value, axis=axis)
                if total.shape == np.shape(got) and np.allclose(total, got):
                    found[key] = got
            if not np.ndim(got) and np.allclose(np.sum(value), got):
                found[key] = got
    return found


def _same_numbers(call: Call) -> dict[str, Any]:
    """Return what came where it has the right numbers in another shape."""
    found = {}
    for key, value in call.expected.items():
        got: Any = call.got.get(key)
        other_shape = is_numeric(got) and np.shape(got) != np.shape(value)
        if (
            other_shape
            and np.size(got) == np.size(value)
            and np.allclose(np.ravel(got), np.ravel(value))
        ):
            found[key] = got
    return found


def _reordered(call: Call) -> dict[str, Any]:
    """Return what came where it has the right numbers, in the right shape, in other places."""
    found = {}
    for key, value in call.expected.items():
        got: Any = call.got.get(key)
        if not is_numeric(got) or np.shape(got) != np.shape(value) or np.size(value) < 3:
            continue
        scale = call.scale.get(key) or 1.0
        far = np.abs(np.sort(np.ravel(got)) - np.sort(np.ravel(value)))
        varied = np.unique(np.round(np.ravel(value) / scale, 6)).size > np.size(value) / 2
        if varied and np.max(far) <= 1e-6 * scale:
            found[key] = got
    return found


def _swap(a: str, b: str) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        if a in call.expected and b in call.expected:
            return {a: call.expected[b], b: call.expected[a]}
        return {}

    return predict


def _cycled(steps: int) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        keys = list(call.expected)
        if len(keys) < 3:
            return {}
        return {key: call.expected[keys[(i + steps) % len(keys)]] for i, key in enumerate(keys)}

    return predict


def _flipped(value: Any) -> Any:
    return value[..., ::-1, ::-1] if np.ndim(value) == 4 else value


def _spatial_transpose(value: Any) -> Any:
    return np.swapaxes(value, -1, -2) if np.ndim(value) == 4 else value


def _scaled_up(name: str, words: str, size: Callable[[Call], float]) -> list[Hypothesis]:
    return [
        Hypothesis(
            f"times_{name}",
            f"{{key}} is too large by the factor {words}: a division is missing (a sum, not a mean)",
            scaled(size),
            size=size,
        ),
        Hypothesis(
            f"over_{name}",
            f"{{key}} is too small by the factor {words}: it is divided once too often (a mean, not a sum)",
            scaled(lambda call: 1.0 / size(call)),
            size=lambda call: 1.0 / size(call),
        ),
    ]


def _repeated(call: Call) -> dict[str, Any]:
    """Gradients of rows taken by an array of indices, of which the last dout alone is added."""
    found = {}
    for index in call.options:
        if not (isinstance(index, np.ndarray) and index.dtype.kind in "iu"):
            continue
        for key, value in call.expected.items():
            shape = np.shape(value)
            if shape and np.shape(call.dout) == (*index.shape, *shape[1:]):
                found[key] = np.zeros(shape)
                found[key][index] += call.dout
    return found


def _rounded(call: Call) -> dict[str, Any]:
    """Return what came, where it has the digits of float32 only."""
    found = {}
    for key, value in call.expected.items():
        got: Any = call.got.get(key)
        if is_numeric(got) and same(got, value, call.scale.get(key), 2e-6):
            found[key] = got
    return found


BOTH = [
    Hypothesis(
        "single_precision",
        "{key} has the digits of float32 only, though float64 came in: something is cast on the way",
        _rounded,
        r"float32|astype|dtype|\bf4\b",
        True,
    ),
    Hypothesis("zero", "{key} is zero everywhere: it is never filled in", each(np.zeros_like)),
    Hypothesis("sign", "{key} has the wrong sign", each(np.negative)),
    Hypothesis(
        "integer_truncation",
        "{key} is cut to whole numbers: a buffer has the dtype of an integer array (zeros_like), or "
        "the result is cast; make it float",
        _integers,
        r"(zeros|empty|ones|full)_like|dtype|\bint",
        some=True,
    ),
    Hypothesis(
        "factor_2",
        "{key} is twice too large: a factor 1/2 is missing, or added twice",
        each(lambda v: 2 * v),
        size=lambda call: 2.0,
    ),
    Hypothesis(
        "factor_half",
        "{key} is half of what it should be: a factor 2 is missing",
        each(lambda v: v / 2),
        size=lambda call: 0.5,
    ),
    *[item for factor in FACTORS for item in _scaled_up(*factor)],
    Hypothesis("transposed", "{key} is transposed", each(np.transpose), r"\.T\b|transpose"),
    Hypothesis(
        "space_transposed",
        "{key} has rows and columns of the image exchanged",
        each(_spatial_transpose),
    ),
    Hypothesis("flipped", "{key} is rotated by 180 degrees: the kernel is flipped", each(_flipped)),
    Hypothesis(
        "shape",
        "{key} holds the right numbers in the wrong shape",
        _same_numbers,
        r"reshape|keepdims|sum",
        True,
    ),
    Hypothesis(
        "reordered",
        "{key} holds the right numbers in the wrong places: the axes are in another order before "
        "reshape (transpose first)",
        _reordered,
        r"reshape|transpose|moveaxis|swapaxes",
        True,
    ),
    Hypothesis("extra_sum", "{key} is summed over an axis too many", _collapsed, r"sum", True),
]
FORWARD = BOTH
BACKWARD = [
    *BOTH,
    Hypothesis(
        "repeated_index",
        "{key} is wrong where an index comes twice: `d[index] += dout` adds one of the repeated rows "
        "only; use np.add.at(d, index, dout)",
        _repeated,
        r"\]\s*\+=",
    ),
    Hypothesis(
        "missing_sum",
        "{key} is dout itself: it must be summed over the batch (and the places)",
        _not_summed,
        r"\bd(b|beta)\b.*=\s*dout",
    ),
    Hypothesis(
        "dout_unused",
        "{key} does not contain dout: the chain rule is not applied",
        upstream(np.ones_like),
    ),
    Hypothesis(
        "only_last_image",
        "{key} holds the last image of the batch only: it is assigned in the loop, not added",
        upstream(_only(0, -1)),
        r"\bd\w+.*[^+\-*/=<>!]=[^=]",
    ),
    Hypothesis(
        "only_first_image", "{key} holds the first image of the batch only", upstream(_only(0, 0))
    ),
    *[
        Hypothesis(
            "only_first_column",
            f"{{key}} uses the {which} column of dout only",
            upstream(_only(1, index)),
            r"dout\[",
        )
        for which, index in (("first", 0), ("last", -1))
    ],
    Hypothesis("dout_squared", "{key} contains dout twice: its square", upstream(np.square)),
    Hypothesis("absolute_dout", "{key} uses the size of dout without its sign", upstream(np.abs)),
    Hypothesis(
        "swapped_gamma_beta", "dgamma and dbeta are exchanged", _swap("dgamma", "dbeta"), r"return"
    ),
    Hypothesis("swapped_w_b", "dw and db are exchanged", _swap("dw", "db"), r"return"),
    Hypothesis("swapped_x_b", "dx and db are exchanged", _swap("dx", "db"), r"return"),
    Hypothesis("order", "the results are returned in the wrong order", _cycled(1), r"return"),
    Hypothesis("order", "the results are returned in the wrong order", _cycled(2), r"return"),
    Hypothesis("swapped_x_w", "dx and dw are exchanged", _swap("dx", "dw"), r"return"),
]
