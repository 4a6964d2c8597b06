"""Mistakes of batch normalisation, of matrices and of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Beside, Hypothesis
from handgrad.checker.hypotheses.norms import norm, norm_backward
from handgrad.checker.hypotheses.norms.norm import Parts, batch_parts
from handgrad.checker.hypotheses.norms.running_statistics import STATES, running, unbiased
from handgrad.checker.hypotheses.norms.statistics import STATISTICS
from handgrad.checker.records import Call, Config, Raised


def _batch(parts: Parts) -> Parts:
    return parts._replace(param={"mode": "train"})


def _unbiased_everywhere(call: Call) -> dict[str, Any]:
    parts = batch_parts(call)
    if parts.test:
        return {}
    return running(sample_var=unbiased)(call) | {"out": norm.unbiased(parts)}


def _counted(count: Callable[..., int], through_mean: bool, through_variance: bool) -> Any:
    """One path of the backward of images, or both, divides by another number than N H W."""

    def dx(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        if parts.x.ndim != 4:
            raise Beside("a matrix has no places")
        if parts.test:
            return g / std
        wrong = norm.size(parts) / count(*parts.x.shape)
        first = norm.mean(g, parts) * (wrong if through_mean else 1)
        second = xhat * norm.mean(g * xhat, parts) * (wrong if through_variance else 1)
        return (g - first - second) / std

    return norm.backward_of(batch_parts, dx)


def _images_of(call: Call) -> Any:
    x = np.asarray(call.arrays["x"], float)
    if x.ndim != 4:
        raise Beside("a matrix has no places")
    return x


def _matrix_of_images(out_too: bool) -> Any:
    """The image is cut into rows of C numbers without moving the channels to the end."""

    def predict(call: Call) -> dict[str, Any]:
        x = _images_of(call)
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
        return {"out": back} | running()(moved)

    return predict


def _rows_of_channels(out_too: bool) -> Any:
    """The image is cut into C rows without moving the channels to the front."""

    def predict(call: Call) -> dict[str, Any]:
        x = _images_of(call)
        N, C, H, W = x.shape
        parts = batch_parts(call)
        cut = x.reshape(C, -1).T
        rows = parts._replace(
            x=cut, gamma=parts.gamma.reshape(1, C), beta=parts.beta.reshape(1, C), axes=(0,)
        )
        out = norm.scaled(rows, norm.xhat_of(rows)[0]).T
        back = out.reshape(x.shape) if out_too else out.reshape(C, N, H, W).swapaxes(0, 1)
        if parts.test:
            return {"out": back}
        moved = Call(Config(call.config.name, call.arrays | {"x": cut}, call.options))
        moved.expected, moved.got = call.expected, call.got
        return {"out": back} | running()(moved)

    return predict


def _train_statistics_at_test(parts: Parts) -> Any:
    return norm.scaled(parts, norm.xhat_of(_batch(parts))[0])


def _partly_batch(mean: bool) -> Callable[[Parts], Any]:
    """One of the two statistics is the batch's, the other the running one."""

    def value(parts: Parts) -> Any:
        batch, stored = _batch(parts).statistics(), parts.statistics()
        centre, spread = (batch[0], stored[1]) if mean else (stored[0], batch[1])
        return norm.scaled(parts, (parts.x - centre) / np.sqrt(spread + parts.eps))

    return value


def _rows_of_images(back: bool) -> Any:
    """backward cuts dout into rows of C numbers without moving the channels to the end."""

    def predict(call: Call) -> dict[str, Any]:
        parts = batch_parts(call)
        N, C, H, W = _images_of(call).shape
        xhat, std = norm.xhat_of(parts)
        rows = np.reshape(call.dout, (-1, C))
        xhat = xhat.transpose(0, 2, 3, 1).reshape(-1, C)
        flat = parts._replace(axes=(0,), x=xhat, dout=rows, gamma=parts.gamma.reshape(1, C))
        dx = norm_backward.right(rows * flat.gamma, xhat, std.reshape(1, C), flat)
        dx = dx.reshape(N, H, W, C).transpose(0, 3, 1, 2) if back else dx.reshape(N, C, H, W)
        return {"dx": dx, "dgamma": (rows * xhat).sum(0), "dbeta": rows.sum(0)}

    return predict


_RUNNING = ("running_mean", "running_var")
_BATCH, _OLD, _NEW = "the batch's", "the running", "the updated running"


def _running_at_train(mean_from: str, var_from: str) -> Callable[[Call], dict[str, Any]]:
    """Train mode takes one of its statistics, or both, from before or after the update."""

    def predict(call: Call) -> dict[str, Any]:
        parts = batch_parts(call)
        if parts.test:
            return {}
        batch = dict(zip(_RUNNING, _batch(parts).statistics(), strict=True))
        found = []
        for key, source in zip(_RUNNING, (mean_from, var_from), strict=True):
            old = parts.param.get(key, np.zeros(np.shape(call.expected[key])))
            value = {_BATCH: batch[key], _OLD: old, _NEW: call.expected[key]}[source]
            found.append(np.asarray(value).reshape(parts.gamma.shape))
        centre, spread = found
        return {"out": norm.scaled(parts, (parts.x - centre) / np.sqrt(spread + parts.eps))}

    return predict


def _not_stored(call: Call) -> dict[str, Any]:
    missing = Raised("Missing", "")
    parts = batch_parts(call)
    keys = [key for key in ("running_mean", "running_var") if key in call.expected]
    return {
        key: parts.param.get(key, call.got[key] if isinstance(call.got[key], Raised) else missing)
        for key in keys
    }


def _images(axes: tuple[int, ...]) -> Callable[[Parts], Any]:
    """Normalise images over other axes; nothing to predict for matrices."""

    def value(parts: Parts) -> Any:
        if parts.x.ndim != 4:
            raise Beside("a matrix has no places")
        return norm.over(axes)(parts)

    return value


def _over_rows(parts: Parts) -> Any:
    if parts.x.ndim != 2:
        raise Beside("not a matrix")
    return norm.over((1,))(parts)


FORWARD = [
    Hypothesis("running_not_stored", "{key} is not stored in bn_param", _not_stored, r"running"),
    Hypothesis(
        "batch_statistics_at_test",
        "test mode uses the batch's statistics: it must use the running ones",
        norm.forward_of(batch_parts, _train_statistics_at_test, "test"),
        r"test",
    ),
    *[
        Hypothesis(
            "batch_statistics_at_test",
            f"test mode uses the batch's {which}: it must use the running one",
            norm.forward_of(batch_parts, _partly_batch(mean), "test"),
            r"mean|var",
        )
        for which, mean in (("mean", True), ("variance", False))
    ],
    Hypothesis(
        "identity_at_test",
        "x is returned in test mode: it must be normalised with the running statistics",
        norm.forward_of(batch_parts, lambda p: p.x, "test"),
        r"test",
    ),
    *[
        Hypothesis(
            "running_statistics_at_train",
            f"train mode normalises with {words}: it must use the batch's",
            _running_at_train(mean, var),
            r"running",
        )
        for mean, var, words in (
            (_NEW, _NEW, "the running statistics"),
            (_OLD, _OLD, "the running statistics of before"),
            (_NEW, _BATCH, "the running mean"),
            (_OLD, _BATCH, "the running mean of before"),
            (_BATCH, _NEW, "the running variance"),
            (_BATCH, _OLD, "the running variance of before"),
            (_NEW, _OLD, "the running statistics, the variance of before"),
            (_OLD, _NEW, "the running statistics, the mean of before"),
        )
    ],
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
    *norm.forward(batch_parts, STATISTICS),
    *STATES,
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
    *[
        Hypothesis(
            "channels_not_moved",
            "the image is cut into C rows without moving the channels to the front "
            "(transpose before reshape)",
            _rows_of_channels(out_too),
            r"reshape",
        )
        for out_too in (False, True)
    ],
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
BACKWARD = [
    *norm_backward.backward(batch_parts),
    *[
        Hypothesis(
            "channels_not_moved",
            "dout is cut into rows of C numbers without moving the channels to the end "
            "(transpose before reshape)",
            _rows_of_images(back),
            r"reshape",
        )
        for back in (True, False)
    ],
    *[
        Hypothesis(
            "wrong_count",
            f"{term} divides by {words}, not by the N H W numbers of a channel",
            _counted(count, *which),
            r"[HWCN]\s*\*|/",
        )
        for words, count in (
            ("N", lambda N, C, H, W: N),
            ("H W", lambda N, C, H, W: H * W),
            ("N C", lambda N, C, H, W: N * C),
            ("N H", lambda N, C, H, W: N * H),
            ("C H W", lambda N, C, H, W: C * H * W),
            ("N C H W", lambda N, C, H, W: N * C * H * W),
        )
        for term, which in (
            ("dx", (True, True)),
            ("the term of the mean", (True, False)),
            ("the term of the variance", (False, True)),
        )
    ],
]
