"""Mistakes of batch normalisation, of matrices and of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses import norm, norm_backward
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norm import Parts, batch_parts
from handgrad.checker.records import Call, Config, Raised

Update = Callable[[float, Any, Any], Any]


def _batch(parts: Parts) -> Parts:
    return parts._replace(param={"mode": "train"})


def _running(
    mean: Update | None = None,
    var: Update | None = None,
    sample: Callable[[Any, int], Any] = lambda var, m: var,
) -> Any:
    """Predict the running statistics: updates from (momentum, old, new)."""

    def right(momentum: float, old: Any, new: Any) -> Any:
        return momentum * old + (1 - momentum) * new

    def predict(call: Call) -> dict[str, Any]:
        parts = batch_parts(call)
        if "running_mean" not in call.expected:
            return {}
        momentum = parts.param.get("momentum", 0.9)
        shape = np.shape(call.expected["running_mean"])
        m = int(np.prod([parts.x.shape[axis] for axis in parts.axes]))
        centre, spread = parts.x.mean(parts.axes), sample(parts.x.var(parts.axes), m)
        old_mean = parts.param.get("running_mean", np.zeros(shape))
        old_var = parts.param.get("running_var", np.zeros(shape))
        return {
            "running_mean": (mean or right)(momentum, old_mean, centre),
            "running_var": (var or right)(momentum, old_var, spread),
        }

    return predict


def _unbiased(var: Any, m: int) -> Any:
    return var * np.float64(m) / (m - 1)


def _unbiased_everywhere(call: Call) -> dict[str, Any]:
    parts = batch_parts(call)
    if parts.test:
        return {}
    return _running(sample=_unbiased)(call) | {"out": norm.unbiased(parts)}


def _matrix_of_images(out_too: bool) -> Any:
    """The image is cut into rows of C numbers without moving the channels to the end."""

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        N, C, H, W = x.shape
        parts = batch_parts(call)
        rows = parts._replace(
            x=x.reshape(-1, C),
            gamma=parts.gamma.reshape(1, C),
            beta=parts.beta.reshape(1, C),
            axes=(0,),
        )
        out = norm.scaled(rows, norm.xhat_of(rows)[0])
        back = out.reshape(x.shape) if out_too else out.reshape(N, H, W, C).transpose(0, 3, 1, 2)
        if parts.test:
            return {"out": back}
        moved = Call(
            Config(call.config.name, call.arrays | {"x": rows.x}, call.options),
            expected=call.expected,
            got=call.got,
        )
        return {"out": back} | _running()(moved)

    return predict


def _train_statistics_at_test(parts: Parts) -> Any:
    return norm.scaled(parts, norm.xhat_of(_batch(parts))[0])


def _running_at_train(call: Call) -> dict[str, Any]:
    parts = batch_parts(call)
    if parts.test:
        return {}
    mean, var = (
        np.asarray(call.expected[key]).reshape(parts.gamma.shape)
        for key in ("running_mean", "running_var")
    )
    return {"out": norm.scaled(parts, (parts.x - mean) / np.sqrt(var + parts.eps))}


def _not_stored(call: Call) -> dict[str, Any]:
    missing = Raised("Missing", "")
    parts = batch_parts(call)
    keys = [key for key in ("running_mean", "running_var") if key in call.expected]
    return {
        key: parts.param.get(key, call.got[key] if isinstance(call.got[key], Raised) else missing)
        for key in keys
    }


def _set(momentum: float, old: Any, new: Any) -> Any:
    return new


def _swapped(momentum: float, old: Any, new: Any) -> Any:
    return (1 - momentum) * old + momentum * new


def _summed(momentum: float, old: Any, new: Any) -> Any:
    return momentum * old + new


def _fixed(momentum: float, old: Any, new: Any) -> Any:
    return 0.9 * old + 0.1 * new


def _images(axes: tuple[int, ...]) -> Callable[[Parts], Any]:
    """Normalise images over other axes; nothing to predict for matrices."""

    def value(parts: Parts) -> Any:
        if parts.x.ndim != 4:
            raise LookupError("not an image")
        return norm.over(axes)(parts)

    return value


def _over_rows(parts: Parts) -> Any:
    if parts.x.ndim != 2:
        raise LookupError("not a matrix")
    return norm.over((1,))(parts)


_UPDATE = r"running_\w+\s*=|momentum"
FORWARD = [
    Hypothesis(
        "unbiased_running",
        "running_var is updated with the unbiased variance; the course's uses 1/N",
        _running(sample=_unbiased),
        r"ddof|running_var\s*=|-\s*1",
    ),
    Hypothesis(
        "momentum_swapped",
        "momentum is the wrong way round: running = momentum * running + (1 - momentum) * batch",
        _running(_swapped, _swapped),
        _UPDATE,
    ),
    Hypothesis(
        "momentum_swapped",
        "momentum is the wrong way round in {key}",
        _running(mean=_swapped),
        _UPDATE,
    ),
    Hypothesis(
        "momentum_swapped",
        "momentum is the wrong way round in {key}",
        _running(var=_swapped),
        _UPDATE,
    ),
    Hypothesis(
        "momentum_unused",
        "the running statistics are overwritten with the batch's: momentum is not used",
        _running(_set, _set),
        _UPDATE,
    ),
    Hypothesis(
        "momentum_summed",
        "the batch's statistics are not multiplied by 1 - momentum",
        _running(_summed, _summed),
        _UPDATE,
    ),
    Hypothesis(
        "momentum_fixed",
        "momentum is fixed at 0.9: the option momentum is not used",
        _running(_fixed, _fixed),
        r"0?\.9",
    ),
    Hypothesis(
        "running_deviation",
        "running_var is updated with the standard deviation, not with the variance",
        _running(sample=lambda var, m: np.sqrt(var)),
        r"running_var\s*=",
    ),
    Hypothesis(
        "running_with_epsilon",
        "running_var is updated with var + eps",
        _running(sample=lambda var, m: var + 1e-5),
        r"running_var\s*=",
    ),
    Hypothesis("running_not_stored", "{key} is not stored in bn_param", _not_stored, r"running"),
    Hypothesis(
        "batch_statistics_at_test",
        "test mode uses the batch's statistics: it must use the running ones",
        norm.forward_of(batch_parts, _train_statistics_at_test, "test"),
        r"test",
    ),
    Hypothesis(
        "running_statistics_at_train",
        "train mode normalises with the running statistics: it must use the batch's",
        _running_at_train,
        r"running",
    ),
    Hypothesis(
        "variance_as_deviation",
        "test mode divides by running_var, not by its root",
        norm.forward_of(
            batch_parts,
            lambda p: norm.scaled(p, (p.x - p.statistics()[0]) / (p.statistics()[1] + p.eps)),
            "test",
        ),
        r"running_var",
    ),
    Hypothesis(
        "unbiased_normalised",
        "the variance is the unbiased one (divided by N - 1), in the output and in "
        "running_var; the course's uses 1/N",
        _unbiased_everywhere,
        r"ddof|var",
    ),
    *norm.forward(batch_parts),
    Hypothesis(
        "channels_not_moved",
        "the image is cut into rows of C numbers without moving the channels to the "
        "end (transpose before reshape)",
        _matrix_of_images(False),
        r"reshape",
    ),
    Hypothesis(
        "channels_not_moved",
        "the image is cut into rows of C numbers without moving the channels to the "
        "end (transpose before reshape)",
        _matrix_of_images(True),
        r"reshape",
    ),
    Hypothesis(
        "wrong_axis",
        "the rows are normalised, not the columns: mean and variance are taken over the wrong axis",
        norm.forward_of(batch_parts, _over_rows, "train"),
        r"axis\s*=\s*(1|-1)",
    ),
    Hypothesis(
        "wrong_axis",
        "each image is normalised by itself: the statistics must be taken over the batch too",
        norm.forward_of(batch_parts, _images((2, 3)), "train"),
        r"axis|mean",
    ),
    Hypothesis(
        "wrong_axis",
        "each pixel is normalised over the batch only: the statistics must be taken over the places too",
        norm.forward_of(batch_parts, _images((0,)), "train"),
        r"axis|reshape|mean",
    ),
    Hypothesis(
        "wrong_axis",
        "each image is normalised over all its channels",
        norm.forward_of(batch_parts, _images((1, 2, 3)), "train"),
        r"axis|mean",
    ),
    Hypothesis(
        "wrong_axis",
        "the channels are normalised at each place",
        norm.forward_of(batch_parts, _images((1,)), "train"),
        r"axis|mean",
    ),
    Hypothesis(
        "wrong_axis",
        "all numbers are normalised together, not each channel",
        norm.forward_of(batch_parts, lambda p: norm.over(tuple(range(p.x.ndim)))(p), "train"),
        r"mean",
    ),
]
BACKWARD = norm_backward.backward(batch_parts)
