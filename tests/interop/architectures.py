"""Which architectures of others load, with the same scores, and which do not and why, as a table.

    python -m interop.architectures [FOLDER]        (in tests/)

ONNX's own package brings the zoo's architectures, with weights of one number; random ones take their place.
FOLDER holds an unpacked wheel of torchvision (``pip download --no-deps torchvision``, then unzip).
"""

from __future__ import annotations

import re
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handgrad.errors import HandgradError, OperationError
from handgrad.interop import from_onnx, from_torch

TORCHVISION = (
    "alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d",
    "densenet121", "squeezenet1_0", "squeezenet1_1", "googlenet", "inception_v3", "mnasnet0_5",
    "mnasnet1_0", "regnet_x_400mf", "regnet_y_400mf", "mobilenet_v2", "mobilenet_v3_small",
    "shufflenet_v2_x0_5", "efficientnet_b0", "efficientnet_v2_s", "convnext_tiny", "vit_b_32",
    "swin_t",
)  # fmt: skip
SMALL = (
    "regnet_y_400mf",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
)
OPTIONS = {
    name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")
}


def zoo() -> Iterator[tuple[str, str]]:
    """The files of ONNX's package: name, and what comes of it."""
    import onnx

    for file in sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")):
        yield file.stem.removeprefix("light_"), _tried(lambda file=file: _zoo(onnx, file))


def _zoo(onnx, file: Path) -> str:
    import onnxruntime

    data = with_random_weights(onnx, onnx.load(file)).SerializeToString()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        net = from_onnx(data)
    x = np.random.default_rng(0).standard_normal((1, *net._input_shapes[0])).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options)
    (right,) = session.run(None, {session.get_inputs()[0].name: x})
    got = net.loss(x)
    if any("softmax" in str(warning.message) for warning in found):
        e = np.exp(got - got.max())
        got = e / e.sum()
    return _judged(got, right.reshape(got.shape))


def with_random_weights(onnx, model):
    """The model with random arrays in the place of those that it fills with one number."""
    rng = np.random.default_rng(0)
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    users = {name: (node, i) for node in model.graph.node for i, name in enumerate(node.input)}
    filled = [node for node in model.graph.node if node.op_type == "ConstantOfShape"]
    for node in filled:
        shape = tuple(int(n) for n in shapes[node.input[0]])
        user, place = users[node.output[0]]
        if user.op_type == "BatchNormalization":
            array = rng.uniform(0.5, 1.5, shape) if place in (1, 4) else rng.normal(0, 0.1, shape)
        else:
            fan = max(np.prod(shape[1:]), 1)
            array = rng.normal(0, np.sqrt(2 / fan) if place == 1 else 0.1, shape)
        tensor = onnx.numpy_helper.from_array(array.astype(np.float32), node.output[0])
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
    return model


def torchvision(folder: Path) -> Iterator[tuple[str, str]]:
    """The architectures of an unpacked torchvision, without its compiled part."""
    import torch

    for name in ("torchvision", "torchvision.extension"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision"].__path__ = [str(folder / "torchvision")]
    sys.modules["torchvision.extension"]._assert_has_ops = lambda: None
    sys.modules["torchvision.extension"]._has_ops = lambda: False
    from torchvision import models

    torch.manual_seed(0)
    for name in TORCHVISION:
        size = 299 if name == "inception_v3" else 64 if name in SMALL else 224
        module = getattr(models, name)(weights=None, **OPTIONS.get(name, {})).eval()
        x = torch.randn(1, 3, size, size)
        yield name, _tried(lambda module=module, x=x: _torchvision(module, x))


def _torchvision(module, x) -> str:
    net = from_torch(module, x)
    return _judged(net.loss(x.numpy()), module(x).detach().numpy())


def _tried(read) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except OperationError as error:
        return "does not load: " + _reasons(str(error))
    except HandgradError as error:
        return f"does not load: {error}"[:150]


def _reasons(text: str) -> str:
    """The kinds of what has no counterpart, each once."""
    kinds: dict[str, int] = {}
    for part in text.partition("no counterpart here for ")[2].split("; "):
        kind = re.sub(r"^.*\(([A-Za-z_.0-9]+)\)", r"\1", part)[:60]
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{kind} x {n}" if n > 1 else kind for kind, n in list(kinds.items())[:4])


def _judged(got, right) -> str:
    off = float(np.abs(got - right).max() / max(np.abs(right).max(), 1e-30))
    return f"loads; scores within {off:.1e}" if off < 1e-3 else f"loads, and is WRONG by {off:.1e}"


if __name__ == "__main__":
    rows = [("ONNX zoo", *row) for row in zoo()]
    if len(sys.argv) > 1:
        rows += [("torchvision", *row) for row in torchvision(Path(sys.argv[1]))]
    sys.stdout.write("| from | architecture | result |\n|---|---|---|\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row)} |\n")
    if any("WRONG" in row[2] for row in rows):
        raise SystemExit(1)
