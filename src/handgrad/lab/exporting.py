"""A network of the page as code: functions, a Model class, a Sequential list, and as a configuration."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad.layers.pair import backward_name
from handgrad.nn.custom import CustomLayer
from handgrad.nn.layer import PairLayer
from handgrad.training.config import RunConfig

_LOSSES = {"classification": "softmax", "regression": "mse", "multilabel": "binary_cross_entropy"}


def configuration(
    data: dict[str, Any], layers: list[dict[str, Any]], settings: dict[str, Any], task: str
) -> RunConfig:
    """Return the configuration of a network of the page; OptionError for settings out of range."""
    model: dict[str, Any] = {"name": "Sequential", "layers": layers}
    if _LOSSES[task] != "softmax":
        model["loss"] = _LOSSES[task]
    if settings.get("reg"):
        model["reg"] = settings["reg"]
    tables: dict[str, Any] = {
        "name": settings.get("name") or "lab",
        "seed": settings.get("seed", 0),
        "data": data,
        "model": model,
        "optimizer": {
            "name": settings.get("rule", "adam"),
            "learning_rate": settings.get("learning_rate", 1e-3),
        },
        "training": {
            "epochs": settings.get("epochs", 10),
            "batch_size": settings.get("batch_size", 50),
        },
    }
    if settings.get("schedule") == "cosine":
        tables["schedule"] = {"name": "cosine", "final": 0.05}
    return RunConfig.from_dict(tables)


def exported(
    data: dict[str, Any],
    layers: list[dict[str, Any]],
    settings: dict[str, Any],
    shape: tuple[int, ...],
    outputs: int,
    task: str,
) -> dict[str, str]:
    """Return the code of a network at the three levels, and its configuration, each as a text."""
    loss = _LOSSES[task]
    model = nn.sequential(layers, shape, loss=loss, rng=0)
    calls = model._record([(2, *shape)], "train")[0].calls
    made = [_call_of(call.layer) for call in calls]
    imports = _imports(calls)
    names = [call.label for call in calls]
    options = "" if loss == "softmax" else f', loss="{loss}"'
    head = "from handgrad import nn\n" + imports
    sequential = (
        f"{head}\nmodel = nn.Sequential(\n    [\n"
        + "".join(f"        {text},\n" for text in made)
        + f"    ],\n    input_shape={shape!r}{options},\n)\n"
    )
    attributes = "".join(f"        self.{n} = {t}\n" for n, t in zip(names, made, strict=True))
    steps = "".join(f"        x = self.{n}(x)\n" for n in names)
    network = (
        f"{head}\n\nclass Network(nn.Model):\n    def __init__(self):\n"
        f"        super().__init__(input_shape={shape!r}{options})\n{attributes}\n"
        f"    def forward(self, x):\n{steps}        return x\n\n\nmodel = Network()\n"
    )
    return {
        "functions": _functions(model, calls, shape, task),
        "model": network,
        "sequential": sequential,
        "configuration": configuration(data, layers, settings, task).to_toml(),
    }


def _call_of(layer: Any) -> str:
    if isinstance(layer, CustomLayer):
        return repr(layer)
    return f"nn.{layer!r}"


def _imports(calls: list[Any]) -> str:
    pairs = sorted({(c.layer.pair.__module__, c.layer.pair.__name__) for c in calls
                    if isinstance(c.layer, CustomLayer)})  # fmt: skip
    return "".join(f"from {module} import {name}\n" for module, name in pairs)


def _functions(model: Any, calls: list[Any], shape: tuple[int, ...], task: str) -> str:
    """Return the network as calls of its pairs, with the parameters in a dictionary."""
    x = np.zeros((2, *shape), np.float32)
    forward, backward, params, dictionaries = [], [], [], []
    for place, call in enumerate(calls):
        layer, cache = call.layer, f"cache{place + 1}"
        if not isinstance(layer, PairLayer):
            return f"# {layer!r} is not made of a pair of handgrad.layers: see the other levels\n"
        pair = layer.pair(x)
        arrays, learned = [], []
        own = [model.params[name] for name in layer.parameters]
        given = iter(layer.parameters)
        for array, is_own in layer.arrays(x, own):
            learned.append(is_own)
            size = len(array)
            arrays.append(f'params["{next(given)}"]' if is_own else f"np.zeros({size}, x.dtype)")
        options = []
        for option in layer.options(x, "train"):
            if isinstance(option, dict):
                name = f"{call.label}_param"
                plain = {k: v for k, v in option.items() if not isinstance(v, np.ndarray)}
                plain |= {"momentum": 0.9} if "momentum" in plain else {}
                plain |= {"mode": "train"} if plain.get("mode") in ("train", "test") else {}
                dictionaries.append(f"{name} = {plain!r}\n")
                options.append(name)
            else:
                options.append(repr(option))
        forward.append(
            f"    x, {cache} = layers.{pair}_forward({', '.join(['x', *arrays, *options])})\n"
        )
        slots = [f'grads["{name}"]' for name in layer.parameters]
        slots = [slots.pop(0) if is_own else "_" for is_own in learned]
        backward.append(
            f"    {', '.join(['dx', *slots])} = layers.{backward_name(pair)}(dx, {cache})\n"
        )
        x = np.zeros((2, *call.shape[1:]), np.float32)
    for name, w in model.params.items():
        params.append(f'    "{name}": {_start(name, w)},\n')
    loss = {"classification": "softmax_loss", "regression": "mse_loss",
            "multilabel": "binary_cross_entropy_loss"}[task]  # fmt: skip
    return (
        "import numpy as np\n\nfrom handgrad import layers\n\nrng = np.random.default_rng(0)\n\n\n"
        "def kaiming(*shape, fan_in):\n"
        "    return (np.sqrt(2 / fan_in) * rng.standard_normal(shape)).astype(np.float32)\n\n\n"
        "params = {\n" + "".join(params) + "}\n" + "".join(dictionaries) + "\n\n"
        "def gradients(x, y):\n    grads = {}\n"
        + "".join(forward)
        + f"    loss, dx = layers.{loss}(x, y)\n"
        + "".join(reversed(backward))
        + "    return loss, grads\n"
    )


def _start(name: str, w: np.ndarray) -> str:
    size = ", ".join(map(str, w.shape))
    if w.ndim > 1:
        fan_in = w.shape[0] if w.ndim == 2 else int(np.prod(w.shape[1:]))
        return f"kaiming({size}, fan_in={fan_in})"
    if (w == 0).all():
        return f"np.zeros({size}, np.float32)"
    return f"np.full({size}, {float(w[0])!r}, np.float32)"
