"""The network `speednet`, by PyTorch, with the same weights and whitening filters."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from handgrad.bench.work import Arrays
from handgrad.models.speed import SCALE

Module = Any
Tensor = Any


def speed_network(torch: Any, model: Any) -> tuple[Module, dict[str, Tensor]]:
    """Build the network of `model`, with fresh weights, and its parameters by our names."""
    nn = torch.nn
    params: Arrays = model.params
    filters = model.buffers()["whitening1.W"]
    whitening = nn.Conv2d(filters.shape[1], len(filters), 3, padding=1, bias=False)
    whitening.weight.requires_grad_(False)
    whitening.weight.copy_(torch.from_numpy(filters.astype(np.float32)))
    named: dict[str, Tensor] = {}
    parts = [whitening, nn.ReLU()]
    layers = [name for name, _ in model._parts()]
    followers = [after for name, after in pairwise(layers) if name.startswith("conv")]
    for i, follower in enumerate(followers, 1):
        F, C, size, _ = params[f"conv{i}.W"].shape
        conv = nn.Conv2d(C, F, size, padding=size // 2, bias=False)
        norm = nn.BatchNorm2d(F)
        named[f"conv{i}.W"] = conv.weight
        named[f"batchnorm{i}.gamma"], named[f"batchnorm{i}.beta"] = norm.weight, norm.bias
        pool = [nn.MaxPool2d(2)] if follower.startswith("max_pool") else []
        parts += [conv, *pool, norm, nn.GELU()]
    scores = nn.Linear(*params["affine1.W"].shape, bias=False)
    named["affine1.W"] = scores.weight

    class Scaled(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Tensor) -> Tensor:
            return x * SCALE

    net = nn.Sequential(*parts, nn.AdaptiveMaxPool2d(1), nn.Flatten(), Scaled(), scores)
    return net, {name: named[name] for name in params}
