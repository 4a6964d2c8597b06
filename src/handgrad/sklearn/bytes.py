"""An estimator as bytes: its parameters, and what it learned as a safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.sklearn.network import network_of
from handgrad.training.averaging import load_buffers

if TYPE_CHECKING:
    from handgrad.sklearn.estimator import Estimator

_ARRAYS = ("_mean", "_scale", "_y_mean", "_y_scale")
_PLAIN = ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "_is_flat")


def to_bytes(estimator: Estimator) -> bytes:
    """Return what an estimator learned as the bytes of a safetensors file."""
    from safetensors.numpy import save

    model = estimator.model_
    tensors: dict[str, Array] = {f"params/{name}": w for name, w in model.params.items()}
    tensors |= {f"buffers/{name}": w for name, w in model.buffers().items()}
    plain: dict[str, dict[str, Any]] = {}
    for name, state in estimator._states.items():
        plain[name] = {}
        for key, value in state.items():
            if isinstance(value, np.ndarray):
                tensors[f"state/{name}/{key}"] = value
            else:
                plain[name][key] = value
    tensors |= {
        f"scale/{name}": vars(estimator)[name] for name in _ARRAYS if name in vars(estimator)
    }
    about = {
        "made": estimator._made,
        "reg": model.reg,
        "states": plain,
        "plain": {name: vars(estimator)[name] for name in _PLAIN if name in vars(estimator)},
    }
    ready = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return save(ready, {"handgrad": json.dumps(about)})


def restored(
    cls: type[Estimator], params: dict[str, Any], others: dict[str, Any], learned: bytes | None
) -> Estimator:
    """Make an estimator of what `Estimator.__reduce__` took it apart to."""
    estimator = cls(**params)
    estimator.__dict__.update(others)
    if learned is None:
        return estimator
    from safetensors.numpy import load

    tensors = load(learned)
    length = int.from_bytes(learned[:8], "little")
    about = json.loads(json.loads(learned[8 : 8 + length])["__metadata__"]["handgrad"])
    parts: dict[str, dict[str, np.ndarray]] = {"params": {}, "buffers": {}, "scale": {}}
    states: dict[str, dict[str, Any]] = about["states"]
    for name, array in tensors.items():
        part, _, rest = name.partition("/")
        if part == "state":
            parameter, _, key = rest.rpartition("/")
            states[parameter][key] = array
        else:
            parts[part][rest] = array
    # the weights are put in afterwards, so that their own stream stays where it is
    model = network_of(about["made"], estimator._random, 0)
    model.reg = about["reg"]
    model.params = parts["params"]
    load_buffers(model, parts["buffers"])
    estimator.__dict__.update(
        {
            "model_": model,
            "_made": about["made"],
            "_states": states,
            **about["plain"],
            **parts["scale"],
        }
    )
    return estimator
