"""A network and a training for whatever data come, out of a stated table, each choice with its reason.

===============  =====================================================================================
inputs           network
===============  =====================================================================================
images to 12 px  `ConvNet`, 3x3 filters: 16, and 32 with a pool; 64 hidden
images to 23 px  16 and 32, a pool behind each; 64 hidden
images to 48 px  16, 32, 64, a pool behind each; 64 hidden
larger images    16, 32, 64, 128, a pool behind each; 64 hidden
anything else    `FullyConnectedNet` with two hidden layers: 64 below 5,000 training rows, else 128
===============  =====================================================================================

All have batch normalisation and initial weights by Kaiming.  Adam trains them, with a learning rate of 2e-3
that falls along a cosine; there are so many epochs that 40,000 rows are seen, at least 5 and at most 40
(rows of numbers: 200,000 rows and 100 epochs).  Colour images of at least 24 pixels are mirrored and
shifted at random, grey ones are shifted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad.data import Dataset
from handgrad.errors import DataError
from handgrad.training.config import RunConfig

FILTERS = {12: (16, 32), 23: (16, 32), 48: (16, 32, 64)}
LARGER = (16, 32, 64, 128)


class Choice(NamedTuple):
    """A configuration, and why it is so: a sentence for each choice, by the key that it is about."""

    config: RunConfig
    reasons: dict[str, str]


def choose(dataset: Dataset, data: dict[str, Any] | None = None) -> Choice:
    """Return a configuration that does well on `dataset`, whose table [data] is `data`.

    Raises DataError if there is nothing to train on.
    """
    rows = len(dataset.rows["y_train"])
    if not rows or not len(dataset.rows["y_val"]):
        raise DataError(f"{dataset.name}: there must be training and validation rows, got none")
    shape = dataset.input_shape
    is_image = dataset.preprocessing.kind == "images"
    model, why = _images(shape) if is_image else _rows(shape, rows)
    if dataset.task != "classification":
        model, loss = _with_loss(model, dataset.task, dataset.description.num_outputs)
        why += f", with the loss {loss} of a {dataset.task}"
    seen, most = (40_000, 40) if is_image else (200_000, 100)
    epochs = min(max(round(seen / rows), 5), most)
    batch = 50 if is_image or rows >= 2000 else 32
    batch = min(batch, max(2, rows // 4))
    training: dict[str, Any] = {"epochs": epochs, "batch_size": batch}
    reasons = {
        "model": why,
        "training.epochs": f"training: {epochs} epochs, for {rows:,} training rows",
    }
    if is_image and min(shape[1:]) >= 24:
        pad = min(shape[1:]) // 8
        augment: dict[str, float] = {"crop": pad}
        if shape[0] == 3:
            augment = {"flip": 0.5, **augment}
        training["augment"] = augment
        what = "mirrored and shifted" if "flip" in augment else "shifted"
        reasons["training.augment"] = (
            f"augmentation: images are {what} by up to {pad} pixels at random, so that few go further"
        )
    tables = {
        "name": dataset.name or "data",
        "data": data if data is not None else {"name": dataset.name},
        "model": model,
        "optimizer": {"name": "adam", "learning_rate": 2e-3},
        "schedule": {"name": "cosine", "final": 0.05},
        "training": training,
    }
    return Choice(RunConfig.from_dict(tables), reasons)


def _with_loss(model: dict[str, Any], task: str, outputs: int) -> tuple[dict[str, Any], str]:
    """Return the network as a list of layers, with the loss of a task, and the loss's name."""
    loss = "mse" if task == "regression" else "binary_cross_entropy"
    layers: list[dict[str, Any]] = []
    for conv in model.get("conv_params", []):
        size = conv["filter_size"]
        layers += [
            {
                "layer": "Conv2d",
                "num_filters": conv["num_filters"],
                "filter_size": size,
                "pad": size // 2,
            },
            {"layer": "BatchNorm"},
            {"layer": "ReLU"},
        ]
        layers += [{"layer": "MaxPool", "size": 2}] if conv.get("pool", True) else []
    layers.append({"layer": "Flatten"})
    for width in model["hidden_dims"]:
        layers += [{"layer": "Affine", "width": width}, {"layer": "BatchNorm"}, {"layer": "ReLU"}]
    layers.append({"layer": "Affine", "width": outputs})
    return {"name": "Sequential", "layers": layers, "loss": loss, "reg": model["reg"]}, loss


def _images(shape: tuple[int, ...]) -> tuple[dict[str, Any], str]:
    side = min(shape[1:])
    filters = next((found for limit, found in FILTERS.items() if side <= limit), LARGER)
    convs: list[dict[str, Any]] = [{"num_filters": f, "filter_size": 3} for f in filters]
    pools = len(convs)
    if side <= 12:
        convs[0]["pool"] = False
        pools -= 1
    if side < 2**pools:  # thin images: nothing would be left behind the pools
        convs = [{**conv, "pool": False} for conv in convs]
    model = {
        "name": "ConvNet",
        "conv_params": convs,
        "hidden_dims": [64],
        "normalization": "batchnorm",
        "weight_scale": "kaiming",
        "reg": 1e-3,
    }
    size = f"{shape[2]}x{shape[1]}"
    return (
        model,
        f"network: ConvNet with {', '.join(map(str, filters))} filters, for images of {size}",
    )


def _rows(shape: tuple[int, ...], rows: int) -> tuple[dict[str, Any], str]:
    width = 64 if rows < 5000 else 128
    model = {
        "name": "FullyConnectedNet",
        "hidden_dims": [width, width],
        "normalization": "batchnorm",
        "weight_scale": "kaiming",
        "reg": 1e-3,
    }
    what = f"{shape[0]} numbers" if len(shape) == 1 else f"arrays of {shape}"
    return model, (
        f"network: FullyConnectedNet with two hidden layers of {width}, for rows of {what} and {rows:,} "
        "training rows"
    )
