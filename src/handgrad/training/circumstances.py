"""What a run is continued under: its model, data, rule, settings, versions, threads, random streams."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import handgrad
from handgrad import engines, environment
from handgrad.data import Rows
from handgrad.training.arrays import Arrays

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_CHUNK = 1 << 24  # bytes hashed at a time
# attributes whose change makes the continuation another run, yet a possible one
_SETTINGS = ("lr_decay", "num_train_samples", "num_val_samples", "patience", "restore_best",
             "clip_norm", "ema")  # fmt: skip


def must_agree(solver: Solver) -> dict[str, Any]:
    """Return, by the name for messages, what a continuation cannot do without."""
    rule = solver.update_rule
    return {
        "update rule": getattr(rule, "__name__", type(rule).__name__),
        "batch size": solver.batch_size,
        "parameters": _shapes(solver.model.params),
        "network": _network(solver.model),
        "data": solver.fingerprints,
        "random stream": {name: _kind(stream) for name, stream in streams(solver).items()},
        **_cut_of(solver),
        **_precision_of(solver),
    }


def _cut_of(solver: Solver) -> dict[str, Any]:
    """Return how batches are cut, where they are: other shards add in another order."""
    if solver.shards is None:
        return {}
    return {"shards": solver.shards.count, "norm_sync": solver.shards.norm_sync}


def _precision_of(solver: Solver) -> dict[str, Any]:
    """Return the precision, where it is another than float32."""
    asked = solver.precise.asked
    return {} if asked == "float32" else {"precision": asked}


def should_agree(solver: Solver) -> dict[str, Any]:
    """Return, by the name for messages, what may change the continuation."""
    blas = environment.blas()
    model = solver.model
    settings: dict[str, Any] = {name: getattr(solver, name) for name in _SETTINGS}
    settings["reg"] = getattr(model, "reg", None)
    settings["dropout"] = getattr(model, "dropout_param", {}).get("p")
    for name, value in solver.optim_config.items():
        if isinstance(value, bool | int | float | str):
            settings[f"optim_config (kept as it was) {name}"] = value
        elif name == "parameters":
            settings[f"optim_config (kept as it was) {name}"] = repr(value)
    for name in ("schedule", "augment"):
        settings[name] = _description(getattr(solver, name))
    if solver.sampling != "replacement":  # the one way before there was a choice
        settings["sampling"] = solver.sampling
    if solver.skip_easy:
        skip = solver.skip_easy
        settings["skip_easy"] = skip if isinstance(skip, float) else repr(skip)
    if not solver.looking.counts_right_ones:
        settings["metric"] = solver.metric
    if solver.weights is not None:
        settings["weights"] = fingerprint(solver.weights)
    if solver.accumulate > 1:
        settings["accumulate"] = solver.accumulate
    if solver.frozen:
        settings["freeze"] = ", ".join(sorted(solver.frozen))
    if solver.precise.asked != "float32" and "native" in engines.available():
        settings["bf16 kernels"] = engines.get("native").control.bf16()
    if solver.schedule is not None:
        settings["num_epochs"] = solver.num_epochs
    return {
        **settings,
        "engine": engines.select(None, np.zeros(1))[0],
        "versions": {
            "handgrad": handgrad.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "processor": environment.cpu(),
        "BLAS kernel": blas.get("kernel"),
        "BLAS threads": blas.get("threads"),
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return "X was A, is B" for every leaf in which two nested dictionaries differ."""
    found = []
    for key in {**old, **new}:  # in order, each once
        was, now = old.get(key), new.get(key)
        name = f"{prefix}{key}"
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found += differences(was, now, f"{name} ")
        elif was != now:
            found.append(f"{name} was {was}, is {now}")
    return found


def fingerprint(array: np.ndarray | Rows) -> str:
    """Return shape, dtype and a SHA-256 of all of `array`, in the order of its axes."""
    if isinstance(array, Rows) and array.digest:
        return f"{array.shape} {array.dtype} {array.digest[:16]}"
    digest = hashlib.sha256()
    rows = max(1, _CHUNK * len(array) // max(array.nbytes, 1))
    for start in range(0, len(array), rows):
        chunk = np.ascontiguousarray(array[start : start + rows])
        if chunk.size:
            digest.update(chunk.view(np.uint8).data)
    return f"{array.shape} {array.dtype} {digest.hexdigest()[:16]}"


def _shapes(arrays: Arrays) -> dict[str, str]:
    return {name: f"{tuple(array.shape)} {array.dtype}" for name, array in arrays.items()}


def _network(model: Any) -> dict[str, str]:
    """Return the lines of the model's summary, if it has one: what its layers compute."""
    lines = model.summary().splitlines() if hasattr(model, "summary") else []
    return {f"line {number}": line.strip() for number, line in enumerate(lines, start=1)}


def _description(function: Any) -> str | None:
    """Return a text by which `function` can be told from others in another process."""
    if function is None:
        return None
    if hasattr(function, "__qualname__"):
        return str(function.__qualname__)
    text = repr(function)  # that of a dataclass shows its options
    return type(function).__qualname__ if " object at 0x" in text else text


def streams(solver: Solver) -> dict[str, Any]:
    """Return the random streams that a run may draw from; None for one that is not there."""
    return {
        "of NumPy": np.random.mtrand._rand,
        "of the Solver": solver.rng,
        "of the model": getattr(solver.model, "rng", None),
        "of dropout": getattr(solver.model, "dropout_param", {}).get("rng"),
        **{f"of {name}": rng for name, rng in _own_streams(solver.model).items()},
    }


def _own_streams(model: Any) -> dict[str, Any]:
    """Return the streams that layers of the model own, {} where it has none."""
    own: dict[str, Any] = model.streams() if hasattr(model, "streams") else {}
    return own


def _kind(stream: Any) -> str:
    if stream is None:
        return "none"
    return f"{type(stream).__name__} ({get_state(stream)['bit_generator']})"


def get_state(stream: Any) -> dict[str, Any]:
    """Return where a random stream stands."""
    if isinstance(stream, np.random.RandomState):
        state: dict[str, Any] = stream.get_state(legacy=False)
    else:
        state = stream.bit_generator.state
    return state


def set_state(stream: Any, state: dict[str, Any]) -> None:
    """Bring a random stream to where `state` says."""
    if isinstance(stream, np.random.RandomState):
        stream.set_state(state)
    else:
        stream.bit_generator.state = state
