"""The residual networks of `handgrad.models`, by PyTorch, with the same weights."""

from __future__ import annotations

from typing import Any

from handgrad.bench.work import Arrays

Module = Any
Tensor = Any


def residual_network(torch: Any, params: Arrays) -> tuple[Module, dict[str, Tensor]]:
    """Build the network that has `params`, with fresh weights, and its parameters by our names."""
    nn = torch.nn
    named: dict[str, Tensor] = {}

    def conv_norm(prefix: str, stride: int) -> Module:
        F, C, size, _ = params[f"{prefix}.conv.W"].shape
        conv = nn.Conv2d(C, F, size, stride, (size - 1) // 2, bias=False)
        norm = nn.BatchNorm2d(F)
        named[f"{prefix}.conv.W"] = conv.weight
        named[f"{prefix}.bn.gamma"], named[f"{prefix}.bn.beta"] = norm.weight, norm.bias
        return nn.Sequential(conv, norm)

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, prefix: str, stride: int) -> None:
            super().__init__()
            self.first = conv_norm(f"{prefix}.first", stride)
            self.second = conv_norm(f"{prefix}.second", 1)
            projects = f"{prefix}.shortcut.conv.W" in params
            self.shortcut = conv_norm(f"{prefix}.shortcut", stride) if projects else None

        def forward(self, x: Tensor) -> Tensor:
            out = self.second(torch.relu(self.first(x)))
            return torch.relu(out + (x if self.shortcut is None else self.shortcut(x)))

    parts = [conv_norm("stem", 1), nn.ReLU()]
    width = len(params["stem.bn.gamma"])
    count = len({name.split(".")[1] for name in params if name.startswith("blocks.")})
    for i in range(count):
        filters = len(params[f"blocks.{i}.first.bn.gamma"])
        parts.append(Block(f"blocks.{i}", 1 if filters == width else 2))
        width = filters
    scores = nn.Linear(*params["scores.W"].shape)
    named["scores.W"], named["scores.b"] = scores.weight, scores.bias
    net = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), scores)
    return net, {name: named[name] for name in params}
