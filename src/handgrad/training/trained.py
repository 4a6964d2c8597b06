"""What can be done with a trained run: evaluate it, and classify images with it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.data import Dataset, Description, read_image
from handgrad.errors import CheckpointError, OptionError, as_path, check_choice
from handgrad.files import atomic_write
from handgrad.training.build import build_model, load_dataset, read_config
from handgrad.training.checkpoint import load_model_arrays
from handgrad.training.ensemble import Viewed, log_mean
from handgrad.training.evaluate import (
    evaluate_scores,
    examples_of_scores,
    predict_probabilities,
    scores_of,
)
from handgrad.training.tensorfile import content_of, read_tensors, write_tensors

EXAMPLES = 12  # pictures of each kind in an evaluation
PREPROCESSING = "handgrad preprocessing 1"


class TrainedRun:
    """The trained network of a run folder, ready to classify images.

    Attributes: config, description (of the data), class_names, preprocessing, model.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Open the run `folder`; CheckpointError if it is none, or was not trained to its end."""
        folder = as_path("TrainedRun", "folder", folder)
        self.folder = folder
        # a network that was trained on a GPU is evaluated anywhere
        self.config = read_config(folder).with_overrides({"device": "cpu"})
        self.description = load_description(folder / "preprocessing.safetensors")
        self.preprocessing: Any = self.description.preprocessing
        self.class_names = self.description.class_names
        if not (folder / "model.safetensors").is_file():
            raise CheckpointError(
                f"{folder} holds no model.safetensors, its training was not finished; "
                f"finish it with: handgrad train --resume {folder}"
            )
        outputs = self.description.num_outputs
        self.model = build_model(self.config, self.description.input_shape, outputs)
        saved = load_model_arrays(folder / "model.safetensors")
        expected, got = (
            {name: array.shape for name, array in params.items()}
            for params in (self.model.params, saved.params)
        )
        wrong = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
        if wrong or self.model.num_classes != outputs:
            raise CheckpointError(
                f"{folder}: config.toml, preprocessing.safetensors and model.safetensors are not of "
                f"one run: a network for {outputs} classes was expected; "
                f"{', '.join(wrong) or 'num_classes'} differ"
            )
        self.model.params = saved.params
        self.model.load_buffers(saved.buffers)
        self.viewed = Viewed(self.model, self.config.tta or None)

    def predict(self, images: Any) -> np.ndarray:
        """Return the probabilities (N, num_classes) of images, given as pixels.

        Args:
            images: (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel, of the size that the network
                was trained on, in 0..levels of the run's `preprocessing`.

        Raises:
            ShapeError, DtypeError, DataError: the images are of another size or range.
        """
        X = self.preprocessing(images)
        with engines.use(self.config.engine):
            return predict_probabilities(self.viewed, X)

    def predict_file(self, path: str | PathLike[str]) -> np.ndarray:
        """Return the probabilities (num_classes,) of the picture file `path`."""
        image = read_image(path, self.preprocessing.image_shape, self.preprocessing.levels)
        return self.predict(image[None])[0]

    def look_at(self, tta: str | None) -> None:
        """Classify by the mean over these views (`handgrad.training.ensemble`); None: the run's own."""
        if tta is not None:
            self.viewed = Viewed(self.model, tta)

    def dataset(self, data_dir: str | None = None) -> Dataset:
        """Load the data set of the run, from `data_dir` if it has moved."""
        where = "path" if "path" in self.config.data else "root"
        moved = {} if data_dir is None else {f"data.{where}": data_dir}
        return load_dataset(self.config.with_overrides(moved), self.folder)


def open_runs(folders: Sequence[Path], tta: str | None = None) -> list[TrainedRun]:
    """Open the trained runs in `folders`, which must be of the same classes in the same order."""
    runs = [TrainedRun(folder) for folder in folders]
    for run in runs:
        run.look_at(tta)
        if run.class_names != runs[0].class_names:
            raise OptionError(
                f"{run.folder} and {runs[0].folder} cannot answer together: they tell other classes apart"
            )
    return runs


def predict_file(runs: Sequence[TrainedRun], path: Path) -> np.ndarray:
    """Return the mean of the runs' probabilities (num_classes,) of the picture file `path`."""
    return np.mean([run.predict_file(path) for run in runs], axis=0)


def evaluate_run(
    folder: Path, split: str = "test", data_dir: str | None = None, engine: str | None = None
) -> dict[str, Any]:
    """Evaluate the trained run in `folder`; write and return its ``evaluation.json``."""
    run = TrainedRun(folder)
    folder = run.folder
    dataset = run.dataset(data_dir)
    with engines.use(engine or run.config.engine):
        return evaluate_split(folder, run.viewed, dataset, split)


def evaluate_together(
    folders: Sequence[Path],
    split: str = "test",
    *,
    tta: str | None = None,
    data_dir: str | None = None,
    engine: str | None = None,
) -> dict[str, Any]:
    """Evaluate the mean of the probabilities of trained runs, and of views of the images.

    Every run prepares the images in its own way; the labels must be the same.  Nothing is written:
    the files of a run tell of that run alone.

    Returns:
        What `Evaluation.to_dict` returns, with split, runs and tta, and singly: the accuracy of each
        run with these views.

    Raises:
        OptionError: the runs have other classes or other rows in this split, or tta is unknown.
        CheckpointError: a folder holds no trained run.
    """
    runs = open_runs(folders, tta)
    labels: list[np.ndarray] = []
    probabilities, singly = [], []
    for run in runs:
        dataset = run.dataset(data_dir)
        X, y = _rows_of(dataset, split)
        if labels and not np.array_equal(labels[0], y):
            raise OptionError(
                f"{run.folder} and {runs[0].folder} have other rows in their {split} split; "
                "an ensemble needs the same data"
            )
        labels.append(y)
        with engines.use(engine or run.config.engine):
            probabilities.append(predict_probabilities(run.viewed, X))
        singly.append(float(np.mean(probabilities[-1].argmax(axis=1) == y)))
    record = evaluate_scores(log_mean(probabilities), labels[0], runs[0].class_names).to_dict()
    return record | {
        "split": split,
        "runs": [str(f) for f in folders],
        "tta": tta,
        "singly": singly,
    }


def evaluate_split(folder: Path, model: Viewed, dataset: Dataset, split: str) -> dict[str, Any]:
    """Evaluate `model` on a split of `dataset`; write ``evaluation.json`` and return its content."""
    X, y = _rows_of(dataset, split)
    scores = scores_of(model, X)
    record = evaluate_scores(scores, y, dataset.class_names).to_dict()
    record["split"] = split
    if model.tta is not None:
        record["tta"] = model.tta
    record["examples"] = {
        kind: [_with_picture(example, X, dataset) for example in chosen]
        for kind, chosen in examples_of_scores(scores, y, EXAMPLES).items()
    }
    atomic_write(folder / "evaluation.json", json.dumps(record).encode())
    return record


def _rows_of(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    check_choice("evaluate", "split", split, ("train", "val", "test"))
    return dataset.rows[f"X_{split}"], dataset.rows[f"y_{split}"]


def save_preprocessing(path: Path, dataset: Dataset) -> None:
    """Save how `dataset` turned its rows into numbers, and what its targets mean."""
    content, tensors = dataset.description.to_parts()
    write_tensors(path, PREPROCESSING, tensors, content)


def load_description(path: Path) -> Description:
    """Return the description of the data that `save_preprocessing` saved."""
    tensors, content = read_tensors(path, PREPROCESSING)
    with content_of(path):
        return Description.from_parts(content, tensors)


def _with_picture(example: Mapping[str, Any], X: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    prepare: Any = dataset.preprocessing
    if prepare.kind != "images":
        return dict(example)
    from PIL import Image

    pixels = prepare.undo(X[example["index"]][None])[0] * (255 / prepare.levels)
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "png")
    return {**example, "png": base64.b64encode(buffer.getvalue()).decode()}
