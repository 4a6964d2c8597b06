"""Which architectures of others load, with the same scores, and which do not and why, as a table.

    python -m interop.architectures [FOLDER]        (in tests/)

ONNX's own package brings the zoo's architectures, with weights of one number; random ones take their place.
FOLDER holds an unpacked wheel of torchvision (``pip download --no-deps torchvision``, then unzip).
"""

from __future__ import annotations

import importlib.util
import re
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handgrad.errors import HandgradError, OperationError
from handgrad.interop import from_keras, from_onnx, from_torch

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
KERAS = (
    "VGG16", "ResNet50", "ResNet50V2", "DenseNet121", "InceptionV3", "InceptionResNetV2", "Xception",
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0",
    "ConvNeXtTiny",
)  # fmt: skip
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

    rng = np.random.default_rng(0)
    model = without_softmax(with_random_weights(onnx, onnx.load(file)))
    from_onnx(model.SerializeToString())  # whether it loads at all
    data = with_statistics(onnx, onnxruntime, model, rng).SerializeToString()
    net = from_onnx(data)
    rows = [rng.standard_normal((1, *net._input_shapes[0])).astype(np.float32) for _ in range(2)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options)
    name = session.get_inputs()[0].name
    right = [session.run(None, {name: x})[0].reshape(1, -1) for x in rows]
    return _judged(np.concatenate([net.loss(x) for x in rows]), np.concatenate(right))


def with_statistics(onnx, onnxruntime, model, rng):
    """The model with the statistics of a random image in its batch normalisations.

    With others the scores of deep networks hardly depend on the image, so that equal scores show nothing.
    """
    weights = {t.name: t for t in model.graph.initializer}
    values = {name: onnx.numpy_helper.to_array(t) for name, t in weights.items()}
    for value in model.graph.input:
        if value.name not in weights:
            shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
            values[value.name] = rng.standard_normal(shape).astype(np.float32)
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            x = values[node.input[0]].swapaxes(0, 1).reshape(len(values[node.input[1]]), -1)
            for name, array in zip(
                node.input[3:], (x.mean(1), x.var(1) + 1e-2 * x.var()), strict=True
            ):
                values[name] = array.astype(np.float32)
                weights[name].CopyFrom(onnx.numpy_helper.from_array(values[name], name))
        names = [name for name in dict.fromkeys(node.input) if name]
        kinds = {name: onnx.helper.np_dtype_to_tensor_dtype(values[name].dtype) for name in names}
        one = onnx.helper.make_graph(
            [node],
            "one",
            [onnx.helper.make_tensor_value_info(n, kinds[n], values[n].shape) for n in names],
            [onnx.ValueInfoProto(name=node.output[0])],
        )
        made = onnx.helper.make_model(
            one, opset_imports=model.opset_import, ir_version=model.ir_version
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(made.SerializeToString(), options)
        fed = {name: values[name] for name in names}
        values[node.output[0]] = session.run([node.output[0]], fed)[0]
    return model


def without_softmax(model):
    """The model that ends with its scores: large ones make probabilities of 0 and 1, which show nothing."""
    last = next((n for n in model.graph.node if n.output[0] == model.graph.output[0].name), None)
    if last is not None and last.op_type == "Softmax":
        model.graph.node.remove(last)
        model.graph.output[0].name = last.input[0]
    return model


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
        x = torch.randn(2, 3, size, size)
        yield name, _tried(lambda module=module, x=x: _torchvision(module, x))


def _torchvision(module, x) -> str:
    import torch

    from_torch(module, x)  # whether it loads at all
    norms = [m for m in module.modules() if type(m).__name__ == "BatchNorm2d"]
    for norm in norms:
        norm.momentum = None  # the mean of all statistics so far
    with torch.no_grad():
        module.train()(x)
    module.eval()
    net = from_torch(module, x)
    return _judged(net.loss(x.numpy()), module(x).detach().numpy())


def keras_applications() -> Iterator[tuple[str, str]]:
    """Those of `keras.applications` for small images, with statistics and biases at random."""
    from handgrad.interop.optional import library

    applications = library("keras", "the table").applications
    for name in KERAS:
        size = 75 if name in ("InceptionV3", "InceptionResNetV2", "Xception") else 64
        options = {"weights": None, "input_shape": (size, size, 3), "classifier_activation": None}
        model = getattr(applications, name)(**options)
        yield name, _tried(lambda model=model, size=size: _keras(model, size))


def _keras(model, size: int) -> str:
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    net = from_keras(model)
    x = rng.standard_normal((2, 3, size, size)).astype(np.float32)
    right = model(np.moveaxis(x, 1, -1), training=False).detach().numpy()
    return _judged(net.loss(x), right)


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
    """The largest difference as a share of the largest score, far below that between two images."""
    difference = float(np.abs(got - right).max())
    off = difference / max(float(np.abs(right).max()), 1e-30)
    if off < 1e-4 and difference < 0.02 * float(np.abs(right[0] - right[1]).max()):
        return f"loads; scores within {off:.1e}"
    return f"loads, and is WRONG by {off:.1e}"


if __name__ == "__main__":
    tables = [("ONNX zoo", zoo())]
    if len(sys.argv) > 1:
        tables.append(("torchvision", torchvision(Path(sys.argv[1]))))
    if importlib.util.find_spec("keras"):
        tables.append(("Keras", keras_applications()))
    sys.stdout.write("| from | architecture | result |\n|---|---|---|\n")
    wrong = 0
    for source, table in tables:
        for name, result in table:
            sys.stdout.write(f"| {source} | {name} | {result} |\n")
            sys.stdout.flush()
            wrong += "WRONG" in result
    raise SystemExit(min(wrong, 1))
