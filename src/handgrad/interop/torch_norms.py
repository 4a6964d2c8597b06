"""PyTorch's normalisations in the neutral form; see `handgrad.interop.torch_ops`."""

from __future__ import annotations

from typing import Any

from handgrad.interop.reader import NoCounterpart
from handgrad.interop.torch_values import value_of, weight_of

Made = Any
_Reader = Any


def _scales(weight: Any, bias: Any) -> tuple[dict[str, Any], dict[str, str]]:
    arrays, params = {}, {}
    for role, w in (("gamma", weight), ("beta", bias)):
        if w is not None:
            w = weight_of(w, "a scale")
            arrays[role], params[role] = w.array, w.name
    return arrays, params


def batchnorm(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    *rest: Any,
) -> Made:
    """Batch normalisation, with the running statistics."""
    training, momentum, eps = rest[:3] if len(rest) >= 3 else (False, *rest)
    if training or mean is None:
        raise NoCounterpart("statistics of the batch in test mode")
    arrays, params = _scales(weight, bias)
    m, v = weight_of(mean, "a mean"), weight_of(var, "a variance")
    arrays |= {"mean": m.array, "var": v.array}
    options = {"eps": float(eps), "momentum": round(1 - float(momentum), 12)}
    name = m.name.rpartition(".")[0] or place
    x = value_of(x)
    return r.growing.add("batchnorm", [x], options, arrays, params=params, name=name)._replace(
        view=x.view
    )


def layernorm(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Made:
    """Layer normalisation of rows."""
    x = value_of(x)
    if len(x.shape) != 1 or list(shape) != list(x.shape):
        raise NoCounterpart(f"of rows {x.shape} over {list(shape)}")
    arrays, params = _scales(weight, bias)
    return r.growing.add(
        "layernorm", [x], {"eps": float(eps)}, arrays, params=params, name=_norm_name(place, params)
    )


def _norm_name(place: str, params: dict[str, str]) -> str:
    return next(iter(params.values()), place + ".").rpartition(".")[0] or place


def groupnorm(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Made:
    """Group normalisation."""
    arrays, params = _scales(weight, bias)
    options = {"eps": float(eps), "groups": int(groups)}
    return r.growing.add(
        "groupnorm", [value_of(x)], options, arrays, params=params, name=_norm_name(place, params)
    )


def instancenorm(
    r: _Reader, node: Any, place: str, x: Any, weight: Any, bias: Any, mean: Any, var: Any, use_input: bool,
    momentum: float, eps: float, *_: Any,
) -> Made:  # fmt: skip
    """Instance normalisation."""
    if not use_input:
        raise NoCounterpart("with running statistics")
    arrays, params = _scales(weight, bias)
    return r.growing.add("instancenorm", [value_of(x)], {"eps": float(eps)}, arrays, params=params,
                         name=_norm_name(place, params))  # fmt: skip
