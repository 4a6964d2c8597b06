"""What can be done with a trained run: evaluate it, and classify images with it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.data import Dataset, Preprocessing, read_image
from handgrad.errors import CheckpointError
from handgrad.files import atomic_write
from handgrad.training.build import build_model, load_dataset, read_config
from handgrad.training.checkpoint import load_model_arrays
from handgrad.training.evaluate import evaluate, examples, predict_probabilities
from handgrad.training.tensorfile import content_of, read_tensors, write_tensors

EXAMPLES = 12  # pictures of each kind in an evaluation
PREPROCESSING = "handgrad preprocessing 1"


class TrainedRun:
    """The trained network of a run folder, ready to classify images.

    Attributes: config, class_names, preprocessing, model.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # a network that was trained on a GPU is evaluated anywhere
        self.config = read_config(folder).with_overrides({"device": "cpu"})
        self.preprocessing, self.class_names = load_preprocessing(
            folder / "preprocessing.safetensors"
        )
        if not (folder / "model.safetensors").is_file():
            raise CheckpointError(
                f"{folder} holds no model.safetensors, its training was not finished; "
                f"finish it with: handgrad train --resume {folder}"
            )
        self.model = build_model(self.config, self.preprocessing.image_shape, len(self.class_names))
        saved = load_model_arrays(folder / "model.safetensors")
        expected, got = (
            {name: array.shape for name, array in params.items()}
            for params in (self.model.params, saved.params)
        )
        wrong = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
        if wrong or self.model.num_classes != len(self.class_names):
            raise CheckpointError(
                f"{folder}: config.toml, preprocessing.safetensors and model.safetensors are not of "
                f"one run: a network for {len(self.class_names)} classes was expected; "
                f"{', '.join(wrong) or 'num_classes'} differ"
            )
        self.model.params = saved.params
        self.model.load_buffers(saved.buffers)

    def predict_file(self, path: Path) -> np.ndarray:
        """Return the probabilities (num_classes,) of the picture file `path`."""
        image = read_image(path, self.preprocessing.image_shape, self.preprocessing.levels)
        with engines.use(self.config.engine):
            return predict_probabilities(self.model, self.preprocessing(image[None]))[0]


def evaluate_run(
    folder: Path, split: str = "test", data_dir: str | None = None, engine: str | None = None
) -> dict[str, Any]:
    """Evaluate the trained run in `folder`; write and return its ``evaluation.json``."""
    run = TrainedRun(folder)
    config = run.config
    if data_dir is not None:
        config = config.with_overrides({"data.root": data_dir})
    dataset = load_dataset(config)
    with engines.use(engine or config.engine):
        return evaluate_split(folder, run.model, dataset, split)


def evaluate_split(folder: Path, model: Any, dataset: Dataset, split: str) -> dict[str, Any]:
    """Evaluate `model` on a split of `dataset`; write ``evaluation.json`` and return its content."""
    X, y = dataset.arrays[f"X_{split}"], dataset.arrays[f"y_{split}"]
    record = evaluate(model, X, y, dataset.class_names).to_dict()
    record["split"] = split
    record["examples"] = {
        kind: [_with_picture(example, X, dataset) for example in chosen]
        for kind, chosen in examples(model, X, y, EXAMPLES).items()
    }
    atomic_write(folder / "evaluation.json", json.dumps(record).encode())
    return record


def save_preprocessing(path: Path, dataset: Dataset) -> None:
    """Save how `dataset` turned pixels into numbers, and its class names."""
    prepare = dataset.preprocessing
    content = {
        "class_names": list(dataset.class_names),
        "image_shape": list(prepare.image_shape),
        "levels": prepare.levels,
        "dtype": prepare.dtype.name,
    }
    write_tensors(path, PREPROCESSING, {"mean": prepare.mean, "std": prepare.std}, content)


def load_preprocessing(path: Path) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return the preprocessing and the class names that `save_preprocessing` saved."""
    tensors, content = read_tensors(path, PREPROCESSING)
    with content_of(path):
        shape = tuple(content["image_shape"])
        dtype = np.dtype(content["dtype"])
        prepare = Preprocessing(shape, content["levels"], tensors["mean"], tensors["std"], dtype)
        return prepare, tuple(content["class_names"])


def _with_picture(example: Mapping[str, Any], X: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    from PIL import Image

    prepare = dataset.preprocessing
    pixels = prepare.undo(X[example["index"]][None])[0] * (255 / prepare.levels)
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "png")
    return {**example, "png": base64.b64encode(buffer.getvalue()).decode()}
