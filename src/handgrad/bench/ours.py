"""The work of a benchmark, done by Handgrad.

A setting is {"engine": name, "layout": 'nchw' or 'channels_last', "precision": of training}; the layout is
that of the memory behind the (N, C, H, W) arguments of a single layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from handgrad import engines, layers
from handgrad.bench import work
from handgrad.bench.halves import LAYERS, half_call, half_results
from handgrad.bench.measure import WrongResult
from handgrad.bench.work import Arrays, Job
from handgrad.nn.compiled.half import AUTO, FLOAT32, InHalf, measured
from handgrad.optim import get_rule
from handgrad.training import Solver

Timed = Callable[[], Any]

PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "conv": (layers.conv_forward, layers.conv_backward),
    "pool": (layers.max_pool_forward, layers.max_pool_backward),
    "affine": (layers.affine_forward, layers.affine_backward),
}


class Ours:
    """What the worker process asks for."""

    def prepare(self, job: Job, setting: dict[str, str]) -> Timed:
        """Return the function whose calls are timed; its attribute steps says how many steps a call does."""
        engine = setting["engine"]
        call: Timed = getattr(self, f"_{job['kind']}")(job, setting)

        def run() -> Any:
            with engines.use(engine):
                return call()

        run.steps = job.get("steps", 1) if job["kind"] == "step" else 1  # type: ignore[attr-defined]
        return run

    def check(self, job: Job, setting: dict[str, str], dtype: str, dropout: bool) -> Arrays:
        """Return everything that the job computes, with fresh weights, in `dtype`."""
        with engines.use(setting["engine"]):
            if job["kind"] in LAYERS and setting.get("precision") == "bf16":
                return half_results(job)
            if job["kind"] in PAIRS:
                return _layer_results(job, dtype, setting)
            model = work.network(job, dtype, dropout)
            X, y = work.batch(job, dtype)
            if job["kind"] == "scores":
                _compile_scores(model, X.shape, setting)
                return {"scores": model.loss(X)}
            np.random.seed(work.SEED)  # of dropout
            loss, grads = _loss_of(model, setting)(X, y)
            results = {"loss": np.array(loss)}
            results |= {f"gradient {name}": grad for name, grad in grads.items()}
            return results | _updates(job, dtype, model.params)

    def _step(self, job: Job, setting: dict[str, str]) -> Timed:
        X, y = work.batch(job, job["dtype"])
        config = {"learning_rate": work.LEARNING_RATE}
        rows = np.arange(len(X))[None]
        setting = {**setting, "precision": _chosen(job, setting, X, y)}
        made = []
        for compiles in (False, True):
            model = work.network(job, job["dtype"])
            model.device = setting.get("device", "cpu")
            np.random.seed(work.SEED)  # of dropout
            X = X.reshape(len(X), *model._input_shapes[0])
            if compiles:
                steps = model.compile(X.shape, job["rule"], config, precision=setting["precision"])
                losses = steps.run(X, y, rows=rows) + steps.run(X, y, rows=rows)
            else:
                losses = list(islice(_single_steps(model, job, config, X, y, setting), 2))
            made.append((losses, {name: w.tobytes() for name, w in model.params.items()}))
            del model
        if made[0] != made[1]:
            raise WrongResult("a compiled step gives other bits than the step itself")
        rows = np.repeat(rows, job.get("steps", 1), axis=0)
        return lambda: steps.run(X, y, rows=rows)

    def _scores(self, job: Job, setting: dict[str, str]) -> Timed:
        model = work.network(job, job["dtype"])
        X, _ = work.batch(job, job["dtype"])
        _compile_scores(model, X.shape, setting)
        return lambda: model.loss(X)

    def _epoch(self, job: Job, setting: dict[str, str]) -> Timed:
        arrays = work.training_data(job)

        def epoch() -> list[float]:
            solver = Solver(
                work.network(job, job["dtype"]),
                arrays,
                update_rule=job["rule"],
                batch_size=job["batch"],
                num_epochs=1,
                verbose=False,
                rng=work.SEED,
                precision=setting.get("precision", "float32"),
            )
            solver.train()
            return solver.val_acc_history

        return epoch

    def _conv(self, job: Job, setting: dict[str, str]) -> Timed:
        if setting.get("precision") == "bf16":
            return half_call(job)
        return _layer_call(job, setting)

    _pool = _affine = _conv


def _compile_scores(model: Any, shape: tuple[int, ...], setting: dict[str, str]) -> None:
    """Freeze the network where it is the native engine's, as PyTorch may."""
    if setting["engine"] == "native":
        precision = setting.get("precision", FLOAT32)
        model.compile(shape, precision=precision, freeze=True)


def _single_steps(
    model: Any,
    job: Job,
    config: dict[str, Any],
    X: np.ndarray,
    y: np.ndarray,
    setting: dict[str, str],
) -> Iterator[float]:
    """Take steps, and yield their losses."""
    rule, loss_of = get_rule(job["rule"]), _loss_of(model, setting)
    configs = {name: dict(config) for name in model.params}
    while True:
        loss, grads = loss_of(X, y)
        for name, w in model.params.items():
            model.params[name], configs[name] = rule(w, grads[name], configs[name])
        yield loss


def _chosen(job: Job, setting: dict[str, str], X: np.ndarray, y: np.ndarray) -> str:
    """Return the precision of a setting; of "auto" the faster one."""
    asked = setting.get("precision", FLOAT32)
    if asked != AUTO:
        return asked
    return measured(work.network(job, job["dtype"]), X, y)[0]


def _loss_of(model: Any, setting: dict[str, str]) -> Callable[..., Any]:
    """Return what computes the loss and the gradients of `model` in the precision of a setting."""
    loss: Callable[..., Any] = model.loss
    return InHalf(model, "bench").loss if setting.get("precision") == "bf16" else loss


def _layer_call(job: Job, setting: dict[str, str]) -> Timed:
    forward, backward = PAIRS[job["kind"]]
    arrays, dout, param = _arguments(job, job["dtype"], setting)
    if job["part"] == "forward":
        return lambda: forward(*arrays, *param)
    _, cache = forward(*arrays, *param, engine=setting["engine"])
    return lambda: backward(dout, cache)


def _layer_results(job: Job, dtype: str, setting: dict[str, str]) -> Arrays:
    forward, backward = PAIRS[job["kind"]]
    arrays, dout, param = _arguments(job, dtype, setting)
    out, cache = forward(*arrays, *param)
    grads = backward(dout, cache)
    grads = grads if isinstance(grads, tuple) else (grads,)
    return {"out": out} | dict(zip(("dx", "dw", "db"), grads, strict=False))


def _arguments(
    job: Job, dtype: str, setting: dict[str, str]
) -> tuple[list[np.ndarray], np.ndarray, list[dict[str, int]]]:
    """Return the arrays of forward, the upstream gradient, and the parameter dictionary, if any."""
    arrays = work.layer_arrays(job, dtype)
    if setting.get("layout") == "channels_last" and job["kind"] != "affine":
        for name in ("x", "dout"):
            last = np.ascontiguousarray(arrays[name].transpose(0, 2, 3, 1))
            arrays[name] = last.transpose(0, 3, 1, 2)
    dout = arrays.pop("dout")
    if job["kind"] == "affine":
        return [*arrays.values()], dout, []
    if job["kind"] == "conv":
        return [*arrays.values()], dout, [{"stride": job["stride"], "pad": job["pad"]}]
    size = job["size"]
    return [*arrays.values()], dout, [{"pool_height": size, "pool_width": size, "stride": size}]


def _updates(job: Job, dtype: str, params: Arrays) -> Arrays:
    """Return how far two steps of the rule, with made-up gradients, move each parameter."""
    rule, reg, moved = get_rule(job["rule"]), job["options"].get("reg", 0.0), {}
    for name, dw in work.gradients(job, dtype).items():
        w, config = params[name].copy(), {"learning_rate": 1e-2}
        for _ in range(2):
            w, config = rule(w, dw + reg * w if w.ndim > 1 else dw, config)
        moved[f"update {name}"] = w - params[name]
    return moved
