# ruff: noqa: E501
"""Losses, update rules, dropout, recurrent layers, and the losses of assignment 1."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from oracle.comparing import Seen, compare, fold, gradients, guarded, raised

Judge = Callable[[Any, Any], dict[str, Any]]


def _tensor(x: Any) -> torch.Tensor:
    return torch.tensor(x, requires_grad=True)


def _call(
    seen: list[Seen], where: str, count: int, function: Any, *arguments: Any
) -> tuple[Any, ...] | None:
    """Call with copies; what it raises or a wrong number of results is noted, and None returned."""
    try:
        got = function(*copy.deepcopy(arguments))
    except (TimeoutError, KeyboardInterrupt):
        raise
    except BaseException as error:
        seen.append(raised(error, "out", where))
        return None
    if count == 1:
        return (got,)
    if not isinstance(got, tuple | list) or len(got) != count:
        seen.append(
            Seen("missing" if got is None else "wrong", "out", where, f"not {count} results")
        )
        return None
    return tuple(got)


def hinge(scores: torch.Tensor, y: Any) -> torch.Tensor:
    """The courses' SVM loss: PyTorch's, summed over the classes where PyTorch takes their mean."""
    return F.multi_margin_loss(scores, torch.tensor(y)) * scores.shape[1]


def cross_entropy(scores: torch.Tensor, y: Any) -> torch.Tensor:
    return F.cross_entropy(scores, torch.tensor(y))


def score_loss(loss: Callable[..., torch.Tensor]) -> Judge:
    def judge(function: Any, _: Any) -> dict[str, Any]:
        rng, seen = np.random.default_rng(2), list[Seen]()
        for n, c, scale, shift in ((5, 4, 1, 0), (1, 3, 1, 0), (6, 10, 8, 0), (3, 4, 1, 2000)):
            x, y = scale * rng.standard_normal((n, c)) + shift, rng.integers(0, c, n)
            t, where = _tensor(x), f"x {n} x {c}, shift {shift}"
            value = loss(t, y)
            value.backward()
            new: list[Seen] = []
            if got := _call(new, where, 2, function, x, y):
                new += [compare("loss", got[0], value, where), compare("dx", got[1], t.grad, where)]
                if new[0].status == "wrong" and loss is cross_entropy and guarded(t, y, got[0]):
                    new[0] = new[0]._replace(status="either")
            # a loss that is lost in extreme scores costs no points; nobody can say that it is right either
            seen += [
                s._replace(status="either") if shift and s.status == "wrong" else s for s in new
            ]
        return fold(seen, [function])

    return judge


def linear_loss(loss: Callable[..., torch.Tensor]) -> Judge:
    """loss(W, X, y, reg): the years differ in reg * sum(W^2) or half of it; gradient and value must agree."""

    def judge(function: Any, _: Any) -> dict[str, Any]:
        rng, seen = np.random.default_rng(3), list[Seen]()
        for n, d, c, reg in ((6, 5, 4, 0.0), (7, 4, 10, 0.3), (1, 3, 3, 1.7)):
            w, x, y = (
                rng.standard_normal((d, c)),
                rng.standard_normal((n, d)),
                rng.integers(0, c, n),
            )
            got, best, where = (
                _call(seen, f"reg {reg}", 2, function, w, x, y, reg),
                list[Seen](),
                f"N {n}, reg {reg}",
            )
            for factor in (1.0, 0.5) if got else ():
                t = _tensor(w)
                value = loss(torch.tensor(x) @ t, y) + factor * reg * (t**2).sum()
                value.backward()
                slope = (
                    got[1] if got[1] is None or np.any(got[1]) else None
                )  # zeros: the skeleton's
                first = None if slope is None and not np.any(got[0]) else got[0]
                tried = [compare("loss", first, value, where), compare("dW", slope, t.grad, where)]
                alone = (
                    first - factor * reg * (w**2).sum() if np.ndim(first) == 0 and first else None
                )
                guard = loss is cross_entropy and guarded(torch.tensor(x @ w), y, alone)
                if guard and tried[0].status == "wrong":
                    tried[0] = tried[0]._replace(status="either")
                if not best or sum(s.status == "right" for s in tried) > sum(
                    s.status == "right" for s in best
                ):
                    best = tried
            seen += best
        naive = function.__name__.endswith(
            "_naive"
        )  # its marked place may stay empty: the loop above holds the gradient
        return fold(seen, [] if naive else [function])

    return judge


def rule(name: str) -> Judge:
    def judge(function: Any, _: Any) -> dict[str, Any]:
        tries = []
        for start in (0, 1) if name == "adam" else (0,):
            for hat in (False, True) if name == "adam" else (False,):
                seen = _rule(name, function, start, hat)
                late = start and all(
                    s.status == "right" for s in seen
                )  # the file of 2017 has it so
                tries.append([s._replace(status="either") for s in seen] if late else seen)
        held = [sum(s.status in ("right", "either") for s in tried) for tried in tries]
        return fold(tries[held.index(max(held))], [function])

    return judge


def _rule(name: str, function: Any, start: int, hat: bool) -> list[Seen]:
    rng, seen = np.random.default_rng(4), list[Seen]()
    own = {
        "sgd": {"learning_rate": 0.3},
        "sgd_momentum": {"learning_rate": 0.3, "momentum": 0.7},
        "sgd_nesterov_momentum": {"learning_rate": 0.3, "momentum": 0.7},
        "rmsprop": {"learning_rate": 0.3, "decay_rate": 0.6, "epsilon": 1e-2},
        "adam": {"learning_rate": 0.3, "beta1": 0.6, "beta2": 0.8, "epsilon": 1e-2},
    }[name]
    full = dict(own)
    shape = (3, 4)
    for key in {
        "sgd_momentum": ["velocity"],
        "sgd_nesterov_momentum": ["velocity"],
        "rmsprop": ["cache"],
        "adam": ["m", "v"],
    }.get(name, []):
        full[key] = rng.random(shape)
    full |= {"t": 5} if name == "adam" else {}
    source = inspect.getsource(function) if inspect.isfunction(function) else ""
    if "'a'" in source or '"a"' in source:  # UCLA's names
        names = {"cache": "a", "v": "a", "m": "v"} if name == "adam" else {"cache": "a"}
        full = {names.get(k, k): x for k, x in full.items()}
    for config, label in ((None, "config None"), (own, "settings given"), (full, "state given")):
        mine, theirs, w, v = (
            copy.deepcopy(config),
            copy.deepcopy(config or {}),
            rng.standard_normal(shape),
            rng.standard_normal(shape),
        )
        if "a" in theirs:
            theirs = {
                {"a": "v" if name == "adam" else "cache", "v": "m"}.get(k, k): x
                for k, x in theirs.items()
            }
        ours = w.copy()
        for step in range(3):
            where, g = f"{label}, step {step + 1}", v * (1 + step) + 0.01
            ours = _step(name, ours, g, theirs, start, hat)
            got = _call(seen, where, 2, lambda a, b, c=mine: function(a, b, c), w, g)
            if got is None:
                break
            w, mine = got
            seen.append(compare("next_w", w, ours, where))
            if seen[-1].status != "right":
                break
    return seen


def _step(name: str, w: Any, g: Any, c: dict[str, Any], start: int, hat: bool) -> Any:
    """One step by the formulas of the courses; `hat`: Adam's epsilon beside the uncorrected root."""
    rate = c.get("learning_rate", 1e-3 if name == "adam" else 1e-2)
    if name == "sgd":
        return w - rate * g
    if name.startswith("sgd"):
        mu, old = c.get("momentum", 0.9), c.get("velocity", 0.0)
        v = c["velocity"] = mu * old - rate * g
        return w + v if name == "sgd_momentum" else w + v + mu * (v - old)
    eps = c.get("epsilon", 1e-8)
    if name == "rmsprop":
        d = c.get("decay_rate", 0.99)
        c["cache"] = d * c.get("cache", 0.0) + (1 - d) * g**2
        return w - rate * g / (np.sqrt(c["cache"]) + eps)
    one, two, t = c.get("beta1", 0.9), c.get("beta2", 0.999), c.get("t", start) + 1
    m, v = one * c.get("m", 0.0) + (1 - one) * g, two * c.get("v", 0.0) + (1 - two) * g**2
    c |= {"t": t, "m": m, "v": v}
    root = (
        np.sqrt(v) + eps if hat else (np.sqrt(v / (1 - two**t)) + eps) / np.sqrt(1 / (1 - two**t))
    )
    return w - rate * np.sqrt(1 - two**t) / (1 - one**t) * m / root


def means_drop(function: Any) -> bool | None:
    """Whether p drops, by the function's own docstring; None where it does not say."""
    text = " ".join((inspect.getdoc(function) or "").split()).lower()
    return True if "we drop each" in text else False if "we keep each" in text else None


def dropout_forward(function: Any, _: Any) -> dict[str, Any]:
    """Statistics of the mask: how many are kept, by which factor, each unit by itself."""
    drops, results = means_drop(function), []
    for drop in (True, False) if drops is None else (drops,):
        seen: list[Seen] = []
        x = np.random.default_rng(5).random((300, 200)) + 1
        for p in (0.3, 0.6, 0.75):
            where, keep = f"p {p}, p {'drops' if drop else 'keeps'}", 1 - p if drop else p
            test = _call(seen, where, 2, function, x, {"mode": "test", "p": p})
            train = _call(seen, where, 2, function, x, {"mode": "train", "p": p, "seed": 7})
            if test is None or train is None:
                continue
            seen.append(compare("out", test[0], x, where + ", test"))
            if train[0] is None or np.shape(train[0]) != x.shape:
                seen.append(compare("out", train[0], x, where))
                continue
            ratio = np.asarray(train[0]) / x
            kept = ratio != 0
            good = abs(kept.mean() - keep) < 0.02 and np.allclose(ratio[kept], 1 / keep)
            alone = kept.mean(axis=0).std() < 0.1 and kept.mean(axis=1).std() < 0.1
            status = "right" if good and alone else "wrong"
            if (
                status == "wrong"
                and alone
                and drops is not None
                and abs(kept.mean() - 1 + keep) < 0.02
                and np.allclose(ratio[kept], 1 / (1 - keep))
            ):
                status = "either"  # right by the other meaning of p: which one a course means is not in the function alone
            seen.append(
                Seen(
                    status,
                    "out",
                    where,
                    f"keeps {kept.mean():.2f}, mean {ratio.mean():.2f}, alone {alone}",
                )
            )
            again = _call(seen, where, 2, function, x, {"mode": "train", "p": p, "seed": 7})
            seen += [compare("out", again[0], train[0], where + ", same seed")] if again else []
        results.append(seen)
    return fold(max(results, key=lambda t: sum(s.status == "right" for s in t)), [function])


def dropout_backward(function: Any, module: Any) -> dict[str, Any]:
    """dx = dout * mask, the mask read off what forward did; in test mode dx = dout."""
    seen: list[Seen] = []
    forward = getattr(module, "dropout_forward", None)
    rng = np.random.default_rng(6)
    for mode, p in (("train", 0.3), ("train", 0.8), ("test", 0.4)):
        x, dout = rng.random((20, 30)) + 1, rng.standard_normal((20, 30))
        first: list[Seen] = []
        got = _call(first, mode, 2, forward, x, {"mode": mode, "p": p, "seed": 3})
        if got is None or got[0] is None:
            return {"verdict": "cannot run", "keys": [], "why": "its forward"}
        mask = np.asarray(got[0]) / x if mode == "train" else 1.0
        seen += gradients(function, dout, got[1], {"x": dout * mask}, f"{mode}, p {p}", False)
    return fold(seen, [function])


# Recurrent layers: functions of tensors; what comes before the cache, and the arrays in order.


def _rnn_step(x: Any, h: Any, wx: Any, wh: Any, b: Any) -> tuple[torch.Tensor, ...]:
    return (torch.tanh(x @ wx + h @ wh + b),)


def _rnn(x: Any, h: Any, wx: Any, wh: Any, b: Any) -> tuple[torch.Tensor, ...]:
    states = []
    for t in range(x.shape[1]):
        states.append(h := _rnn_step(x[:, t], h, wx, wh, b)[0])
    return (torch.stack(states, 1),)


def _lstm_step(x: Any, h: Any, c: Any, wx: Any, wh: Any, b: Any) -> tuple[torch.Tensor, ...]:
    i, f, o, g = (x @ wx + h @ wh + b).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _lstm(x: Any, h: Any, wx: Any, wh: Any, b: Any) -> tuple[torch.Tensor, ...]:
    c, states = torch.zeros_like(h), []
    for t in range(x.shape[1]):
        h, c = _lstm_step(x[:, t], h, c, wx, wh, b)
        states.append(h)
    return (torch.stack(states, 1),)


def _temporal(x: Any, w: Any, b: Any) -> tuple[torch.Tensor, ...]:
    return (x @ w + b,)


RECURRENT: dict[str, tuple[Callable[..., Any], list[str], list[tuple[tuple[int, ...], ...]]]] = {
    "rnn_step": (_rnn_step, ["x", "prev_h", "Wx", "Wh", "b"], [((3, 4), (3, 5), (4, 5), (5, 5), (5,)), ((1, 2), (1, 3), (2, 3), (3, 3), (3,))]),
    "rnn": (_rnn, ["x", "h0", "Wx", "Wh", "b"], [((2, 4, 3), (2, 5), (3, 5), (5, 5), (5,)), ((1, 1, 2), (1, 3), (2, 3), (3, 3), (3,))]),
    "lstm_step": (_lstm_step, ["x", "prev_h", "prev_c", "Wx", "Wh", "b"], [((3, 4), (3, 5), (3, 5), (4, 20), (5, 20), (20,))]),
    "lstm": (_lstm, ["x", "h0", "Wx", "Wh", "b"], [((2, 4, 3), (2, 5), (3, 20), (5, 20), (20,)), ((1, 1, 2), (1, 3), (2, 12), (3, 12), (12,))]),
    "temporal_affine": (_temporal, ["x", "w", "b"], [((2, 3, 4), (4, 5), (5,)), ((1, 2, 3), (3, 1), (1,))]),
}  # fmt: skip


def recurrent(layer: str, direction: str) -> Judge:
    truth, names, sizes = RECURRENT[layer]

    def judge(function: Any, module: Any) -> dict[str, Any]:
        rng, seen = np.random.default_rng(8), list[Seen]()
        forward = getattr(module, f"{layer}_forward", None)
        for shapes in sizes:
            arrays = [rng.standard_normal(shape) for shape in shapes]
            tensors, where = [_tensor(a) for a in arrays], f"x {shapes[0]}"
            outs = truth(*tensors)
            first: list[Seen] = []
            got = _call(first, where, len(outs) + 1, forward, *arrays)
            first += (
                [compare(f"out{i}", got[i], o, where) for i, o in enumerate(outs)] if got else []
            )
            if direction == "forward":
                seen += first
                continue
            if got is None or any(s.status != "right" for s in first):
                seen.append(Seen("cannot run", "", where, "its forward"))
                continue
            douts = [rng.standard_normal(o.shape) for o in outs]
            slopes = torch.autograd.grad(outs, tensors, [torch.tensor(d) for d in douts])
            wrapped = (
                (lambda d, cache: function(*d, cache))
                if len(outs) > 1
                else (lambda d, cache: function(d[0], cache))
            )
            seen += gradients(
                wrapped,
                np.array(douts),
                got[-1],
                dict(zip(names, slopes, strict=True)),
                where,
                False,
            )
        return fold(seen, [function])

    return judge


def word_embedding(direction: str) -> Judge:
    def judge(function: Any, module: Any) -> dict[str, Any]:
        rng, seen = np.random.default_rng(9), list[Seen]()
        x, w = np.array([[0, 3, 1], [2, 3, 3]]), rng.standard_normal((5, 4))
        got = _call(seen, "indices repeated", 2, module.word_embedding_forward, x, w)
        if got:
            seen.append(compare("out", got[0], w[x], "indices repeated"))
        if direction == "backward":
            if got is None or seen[-1].status != "right":
                return {"verdict": "cannot run", "keys": [], "why": "its forward"}
            dout, t = rng.standard_normal((2, 3, 4)), _tensor(w)
            F.embedding(torch.tensor(x), t).backward(torch.tensor(dout))
            seen = gradients(function, dout, got[1], {"W": t.grad}, "indices repeated", False)
        return fold(seen, [function])

    return judge


def temporal_softmax(function: Any, _: Any) -> dict[str, Any]:
    rng, seen = np.random.default_rng(10), list[Seen]()
    for n, t, v in ((2, 3, 5), (1, 4, 3)):
        x, y, mask = (
            rng.standard_normal((n, t, v)),
            rng.integers(0, v, (n, t)),
            rng.random((n, t)) > 0.4,
        )
        z = _tensor(x)
        each = F.cross_entropy(z.reshape(-1, v), torch.tensor(y.ravel()), reduction="none")
        value = (each * torch.tensor(mask.ravel())).sum() / n
        value.backward()
        if got := _call(seen, f"x {x.shape}", 2, function, x, y, mask):
            seen += [
                compare("loss", got[0], value, "masked"),
                compare("dx", got[1], z.grad, "masked"),
            ]
    return fold(seen, [function])


RULES = ("sgd", "sgd_momentum", "sgd_nesterov_momentum", "rmsprop", "adam")
FUNCTIONS: dict[str, Judge] = {
    "softmax_loss": score_loss(cross_entropy), "svm_loss": score_loss(hinge), "temporal_softmax_loss": temporal_softmax,
    "dropout_forward": dropout_forward, "dropout_backward": dropout_backward,
    "word_embedding_forward": word_embedding("forward"), "word_embedding_backward": word_embedding("backward"),
    **{name: rule(name) for name in RULES},
    **{f"svm_loss_{form}": linear_loss(hinge) for form in ("naive", "vectorized")},
    **{f"softmax_loss_{form}": linear_loss(cross_entropy) for form in ("naive", "vectorized")},
    **{f"{layer}_{way}": recurrent(layer, way) for layer in RECURRENT for way in ("forward", "backward")},
}  # fmt: skip
