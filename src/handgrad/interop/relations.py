"""What was done to numbers: how one array follows from another, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from handgrad.interop.bounds import Value

Array = np.ndarray
_BFLOAT16 = 0xFFFF0000


def relation(other: Array, mine: Value, unit: float) -> str | None:
    """Say what turns `mine` into `other`, of one shape; None where nothing known does, or nothing has to."""
    right = mine.value
    if other.shape != right.shape or not other.size or not np.isfinite(other).all():
        return None
    error = 8 * mine.error + 32 * unit * np.abs(right)

    def is_it(wanted: Array, factor: float = 1.0) -> bool:
        if wanted.shape != other.shape:
            return False
        with np.errstate(all="ignore"):
            slack = max(abs(factor), 1.0) * error + 32 * unit * np.abs(wanted)
            return bool((np.abs(other - wanted) <= slack).all())

    if is_it(right):
        return None
    for words, wanted in turned(right):
        if is_it(wanted):
            return words
    reordered = _reordered(other, right, is_it)
    if reordered:
        return reordered
    size = float((right**2).sum())
    factor = float((other * right).sum()) / size if size else 0.0
    if abs(factor) > 1e-12 and is_it(factor * right, factor):
        return (
            "its sign is the other"
            if abs(factor + 1) < 1e-6
            else f"it is multiplied by {factor:.6g}"
        )
    shift = float((other - right).mean())
    if shift and is_it(right + shift):
        return f"{shift:.6g} is added"
    spread = float(right.var())
    factor = float((other * (right - right.mean())).mean()) / spread if spread else 0.0
    plus = float(other.mean() - factor * right.mean())
    if factor and is_it(factor * right + plus, abs(factor) + abs(plus)):
        return f"it is multiplied by {factor:.6g}, and {plus:.6g} is added"
    low, high = float(other.min()), float(other.max())
    if low < high and is_it(np.clip(right, low, high)):
        sides = [f"{low:.6g}"] if low > right.min() else []
        sides += [f"{high:.6g}"] if high < right.max() else []
        return f"it is cut off at {' and '.join(sides)}"
    for words, wanted in rounded(right):
        near = np.abs(other - wanted) <= 4 * unit * np.abs(wanted)
        if near.mean() > 0.9 and np.allclose(other, wanted, rtol=2e-2):
            return words
    return _scaled(other, right, is_it) or _partly(other, right, error)


def rounded(a: Array) -> Iterator[tuple[str, Array]]:
    """Low precision; numbers near the middle of two may go either way."""
    with np.errstate(all="ignore"):
        yield "it is rounded to float16", a.astype(np.float16).astype(np.float64)
        bits = a.astype(np.float32).view(np.uint32)
        even = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        kept = (even & np.uint32(_BFLOAT16)).view(np.float32)
        yield "it is rounded to bfloat16", kept.astype(np.float64)
        yield "it is rounded to integers", np.round(a)
        yield "it is cut down to integers", np.trunc(a)
        yield "it is rounded down to integers", np.floor(a)
        for parts in (255, 256, 127.5, 128):
            yield f"it is rounded to parts of 1/{parts:g}", np.round(a * parts) / parts
        for digits in (1, 2, 3, 4):
            yield f"it is rounded to {digits} decimals", np.round(a, digits)
        for bits_of in (8, 4):
            step = float(np.abs(a).max()) / (2 ** (bits_of - 1) - 1)
            if step:
                yield f"it is quantised to {bits_of} bits", np.round(a / step) * step


def turned(a: Array) -> Iterator[tuple[str, Array]]:
    """Numbers that move, and functions of each number or row."""
    for axis in range(a.ndim):
        if a.shape[axis] < 2:
            continue
        where = _axis(a, axis)
        yield f"{where} are in reverse order", np.flip(a, axis)
        n = a.shape[axis]
        for k in (
            1,
            -1,
            2,
            -2,
            *{n // g for g in range(2, 9) if n % g == 0 and 2 < n // g < n - 2},
        ):
            yield f"{where} are rolled by {k}", np.roll(a, k, axis)
        for g in (k for k in range(2, a.shape[axis]) if a.shape[axis] % k == 0):
            order = np.arange(a.shape[axis]).reshape(g, -1).T.reshape(-1)
            yield f"{where} are shuffled, as of {g} groups", a.take(order, axis)
    for i in range(a.ndim):
        for j in range(i + 1, a.ndim):
            yield f"its axes {i} and {j} are exchanged", a.swapaxes(i, j)
    if a.ndim == 4:
        yield "it is turned by 90 degrees", np.rot90(a, 1, (2, 3))
        yield "it is turned by 270 degrees", np.rot90(a, -1, (2, 3))
        yield "it is turned by 180 degrees", np.rot90(a, 2, (2, 3))
        for words, axes in (
            ("HWIO", (2, 3, 1, 0)), ("HWOI", (2, 3, 0, 1)), ("OHWI", (0, 2, 3, 1)), ("IOHW", (1, 0, 2, 3)),
        ):  # fmt: skip
            moved = a.transpose(axes)
            yield (
                f"it is in the order {words}, and reshaped, not transposed",
                moved.reshape(a.shape),
            )
            back = a.reshape(moved.shape).transpose(np.argsort(axes))
            yield f"it is read in the order {words}", back
    if a.ndim == 2:
        yield "it is reshaped, not transposed", a.reshape(a.shape[::-1]).T
        yield "it is reshaped, not transposed", a.T.reshape(a.shape)
    with np.errstate(all="ignore"):
        yield "its size is taken, without the sign", np.abs(a)
        yield "it is squared", a**2
        yield "its root is taken", np.sqrt(np.abs(a))
        yield "its exponential is taken", np.exp(np.clip(a, -700, 700))
        yield "1 over it is taken", 1 / a
        yield "a ReLU follows", np.maximum(a, 0)
        yield "a tanh follows", np.tanh(a)
        yield "a sigmoid follows", 1 / (1 + np.exp(-np.clip(a, -500, 500)))
        yield "a softplus follows", np.logaddexp(a, 0)
        for slope in (0.01, 0.1, 0.2, 0.3):
            yield f"a leaky ReLU of slope {slope:g} follows", np.where(a > 0, a, slope * a)
    for axis in range(a.ndim):
        if a.shape[axis] < 2:
            continue
        where = _axis(a, axis)
        with np.errstate(all="ignore"):
            yield f"the mean over {where} is subtracted", a - a.mean(axis, keepdims=True)
            length = np.sqrt((a**2).sum(axis, keepdims=True))
            yield f"it is normalised to length 1 over {where}", a / length
            others = tuple(i for i in range(a.ndim) if i != axis)
            length = np.sqrt((a**2).sum(others, keepdims=True))
            yield f"each of {where} is normalised to length 1", a / length
            mean, std = a.mean(others, keepdims=True), a.std(others, keepdims=True)
            yield f"each of {where} is standardised", (a - mean) / std
            yield f"each of {where} is centred", a - mean
            e = np.exp(a - a.max(axis, keepdims=True))
            yield f"a softmax over {where} follows", e / e.sum(axis, keepdims=True)
            yield f"it is divided by the sum over {where}", a / a.sum(axis, keepdims=True)


def _reordered(other: Array, right: Array, is_it: object) -> str | None:
    """The slices along one axis in another order, which is none of the usual ones."""
    for axis in range(right.ndim):
        n = right.shape[axis]
        if not 2 <= n <= 512 or right.size < 3 * n:
            continue
        a, b = (np.moveaxis(x, axis, 0).reshape(n, -1)[:, :64] for x in (other, right))
        far = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
        order = far.argmin(axis=1)
        if len(np.unique(order)) == n and is_it(right.take(order, axis)):  # type: ignore[operator]
            first = ", ".join(map(str, order[:6]))
            return f"{_axis(right, axis)} are in another order: {first}{', ...' if n > 6 else ''}"
    return None


def _axis(a: Array, axis: int) -> str:
    if a.ndim == 4:
        return (
            "the entries of the first axis",
            "the channels",
            "the rows of pixels",
            "the columns of pixels",
        )[axis]
    return f"the numbers of axis {axis}" if a.ndim > 1 else "the numbers"


def _scaled(other: Array, right: Array, is_it: object) -> str | None:
    """A factor, or a number that is added, for each index of one axis."""
    for axis in range(right.ndim):
        if right.shape[axis] < 2 or right.size < 3 * right.shape[axis]:
            continue
        others = tuple(i for i in range(right.ndim) if i != axis)
        size = (right**2).sum(others, keepdims=True)
        if size.all():
            factor = (other * right).sum(others, keepdims=True) / size
            if factor.any() and is_it(factor * right, float(np.abs(factor).max())):  # type: ignore[operator]
                few = factor.reshape(-1)[:4]
                return f"each of {_axis(right, axis)} is multiplied by a number: {_few(few)}"
        shift = (other - right).mean(others, keepdims=True)
        if is_it(right + shift):  # type: ignore[operator]
            return (
                f"a number is added to each of {_axis(right, axis)}: {_few(shift.reshape(-1)[:4])}"
            )
        centred = right - right.mean(others, keepdims=True)
        size = (centred**2).sum(others, keepdims=True)
        if size.all():
            factor = (other * centred).sum(others, keepdims=True) / size
            plus = (other - factor * right).mean(others, keepdims=True)
            largest = float(np.abs(factor).max() + np.abs(plus).max())
            if factor.any() and is_it(factor * right + plus, largest):  # type: ignore[operator]
                where, few = _axis(right, axis), _few(factor.reshape(-1)[:4])
                more = _few(plus.reshape(-1)[:4])
                return f"each of {where} is multiplied by a number, {few}, and one is added: {more}"
    return None


def _few(numbers: Array) -> str:
    return ", ".join(f"{float(n):.3g}" for n in numbers) + ", ..."


def _partly(other: Array, right: Array, error: Array) -> str | None:
    """Only some numbers differ."""
    bad = np.abs(other - right) > error
    if not bad.any() or bad.mean() > 0.6:
        return None
    share = f"{int(bad.sum())} of its {bad.size} numbers"
    for axis in range(right.ndim):
        if right.ndim > 1 and right.shape[axis] > 1:
            lines = bad.any(tuple(i for i in range(right.ndim) if i != axis))
            if lines.sum() == 1:
                place = int(np.argmax(lines))
                what = "is 0" if not other.take(place, axis).any() else "differs"
                return f"number {place} of {_axis(right, axis)} {what} ({share})"
    if not other[bad].any():
        return f"{share} are 0, which should not be"
    if not right[bad].any():
        return f"{share} should be 0"
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{share} differ, the first at {first}"


def unbiased(other: Array, right: Array) -> str | None:
    """Say so where `other` are the variances `right` of n numbers divided by n - 1, or the reverse."""
    with np.errstate(all="ignore"):
        ratio = float(np.median(other / right))
        n = ratio / (ratio - 1) if ratio > 1 else 1 / (1 - ratio)
    count = round(n) if 1.5 < n < 1e5 else 0
    if not count:
        return None
    wanted = right * count / (count - 1) if ratio > 1 else right * (count - 1) / count
    if abs(n - count) > 0.02 * max(1.0, count / 100) or not np.allclose(other, wanted, rtol=2e-6):
        return None
    way = (
        "n / (n - 1), as if it were unbiased" if ratio > 1 else "(n - 1) / n, as if it were biased"
    )
    return f"the variance is multiplied by {way} (n = {count})"
