"""A network and a training for whatever data come, out of a stated table, each choice with its reason.

===============  =====================================================================================
inputs           network
===============  =====================================================================================
images to 12 px  `ConvNet`, 3x3 filters: 16, and 32 with a pool; 64 hidden
images to 23 px  16 and 32, a pool behind each; 64 hidden
images to 48 px  16, 32, 64, a pool behind each; 64 hidden
larger images    16, 32, 64, 128, a pool behind each; 64 hidden
sequences to 64  `Conv1d`, filters of 5 places: 32, 64, 64, a pool behind each but the first; 64 hidden
to 256           32, 64, 64, 64, a pool behind each but the first; 64 hidden
longer           32, 64, 64, 64, a pool of 4 behind each; 64 hidden
anything else    `FullyConnectedNet` with two hidden layers: 64 below 5,000 training rows, else 128
===============  =====================================================================================

All have batch normalisation and initial weights by Kaiming.  Adam trains them, with a learning rate of 2e-3
that falls along a cosine; there are so many epochs that 40,000 rows are seen, at least 5 and at most 40
(sequences: 80,000 rows and 40 epochs; rows of numbers: 200,000 rows and 100 epochs).  Colour images of at
least 24 pixels are mirrored and shifted at random, grey ones are shifted.  Arrays (C, H, W) of any numbers
are images here, arrays (C, L) sequences.  Of rows of numbers with fewer than 500 for validation the best
network is that of the lowest validation loss, of others that of the highest metric.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from handgrad.data import Dataset
from handgrad.errors import DataError
from handgrad.training.config import RunConfig

FILTERS = {12: (16, 32), 23: (16, 32), 48: (16, 32, 64)}
LARGER = (16, 32, 64, 128)
FEW = 500  # validation rows
LOSSES = {"classification": "softmax", "regression": "mse", "multilabel": "binary_cross_entropy"}


class Choice(NamedTuple):
    """A configuration, and why it is so: a sentence for each choice, by the key that it is about."""

    config: RunConfig
    reasons: dict[str, str]


def choose(
    dataset: Dataset, data: dict[str, Any] | None = None, wanted: Iterable[str] = ()
) -> Choice:
    """Return a configuration that does well on `dataset`, whose table [data] is `data`.

    wanted: names of settings that are to be changed.  A network whose "model.loss" or "model.label_smoothing"
    is among them is a list of layers, which has these; the ready ones have not.

    Raises DataError if there is nothing to train on.
    """
    rows = len(dataset.rows["y_train"])
    if not rows or not len(dataset.rows["y_val"]):
        raise DataError(f"{dataset.name}: there must be training and validation rows, got none")
    shape = dataset.input_shape
    is_image, is_sequence = len(shape) == 3, len(shape) == 2
    outputs = dataset.description.num_outputs
    if is_image:
        model, why = _images(shape)
    elif is_sequence:
        model, why = _sequences(shape, outputs)
    else:
        model, why = _rows(shape, rows)
    loss = LOSSES[dataset.task]
    asks = any(key.startswith(("model.loss", "model.label_smoothing")) for key in wanted)
    if asks or dataset.task != "classification":
        model = _with_loss(model, loss, outputs)
    if dataset.task != "classification":
        why += f", with the loss {loss} of a {dataset.task}"
    seen, most = (40_000, 40) if is_image else (80_000, 40) if is_sequence else (200_000, 100)
    epochs = min(max(round(seen / rows), 5), most)
    batch = 50 if is_image or is_sequence or rows >= 2000 else 32
    batch = min(batch, max(2, rows // 4))
    training: dict[str, Any] = {"epochs": epochs, "batch_size": batch}
    reasons = {
        "model": why,
        "training.epochs": f"training: {epochs} epochs, for {rows:,} training rows",
    }
    val = len(dataset.rows["y_val"])
    if dataset.task == "classification" and len(shape) == 1 and val < FEW:
        training["metric"] = "loss"
        reasons["training.metric"] = (
            f"best network: by the validation loss, since the accuracy of {val} rows is a coarse measure"
        )
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


def _with_loss(model: dict[str, Any], loss: str, outputs: int) -> dict[str, Any]:
    """Return the network as a list of layers, with a loss."""
    if model["name"] == "Sequential":
        return {**model, "loss": loss}
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
    return {"name": "Sequential", "layers": layers, "loss": loss, "reg": model["reg"]}


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


def _sequences(shape: tuple[int, ...], outputs: int) -> tuple[dict[str, Any], str]:
    length = shape[1]
    filters = (32, 64, 64) if length <= 64 else (32, 64, 64, 64)
    pools = [0] + [2] * (len(filters) - 1) if length <= 256 else [4] * len(filters)
    if length < 2 ** len(filters):  # short ones: nothing would be left behind the pools
        pools = [0] * len(filters)
    layers: list[dict[str, Any]] = []
    for number, pool in zip(filters, pools, strict=True):
        layers.append({"layer": "Conv1d", "num_filters": number, "filter_size": 5, "pad": 2})
        layers += [{"layer": "BatchNorm1d"}, {"layer": "ReLU"}]
        layers += [{"layer": "MaxPool1d", "size": pool}] if pool else []
    layers += [{"layer": "Flatten"}, {"layer": "Affine", "width": 64}, {"layer": "BatchNorm"}]
    layers += [{"layer": "ReLU"}, {"layer": "Affine", "width": outputs}]
    return {"name": "Sequential", "layers": layers, "loss": "softmax", "reg": 1e-3}, (
        f"network: Conv1d with {', '.join(map(str, filters))} filters of 5 places, for sequences of {length}"
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
    what = (
        f"{shape[0]} number{'s' if shape[0] > 1 else ''}" if len(shape) == 1 else f"arrays {shape}"
    )
    return model, (
        f"network: FullyConnectedNet with two hidden layers of {width}, for rows of {what} and {rows:,} "
        "training rows"
    )
