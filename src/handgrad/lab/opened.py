"""A run opened at some of its weights: its network, and the rows that are shown of its data."""

from __future__ import annotations

import base64
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.data import Dataset
from handgrad.errors import CheckpointError, OptionError
from handgrad.lab.live import FRAMES, WEIGHTS, live_folder
from handgrad.training.build import build_model, load_dataset, read_config
from handgrad.training.checkpoint import (
    ModelFile,
    checkpoint_files,
    load_checkpoint,
    load_model_arrays,
    model_in,
)
from handgrad.training.trained import load_description

SHOWN = 64  # rows of the fixed set
LOOKED_AT = 200  # rows that statistics are of
NEIGHBOURS = 2000  # training rows that neighbours are looked for in


class Opened:
    """The network and the data of a run folder; the weights are chosen by each question.

    Attributes: config, description (of the data), model.
    """

    def __init__(self, folder: Path) -> None:
        """Open the run `folder`; its data set is loaded when it is asked for."""
        self.folder = folder
        # a network that is trained on a GPU is looked at anywhere
        self.config = read_config(folder).with_overrides({"device": "cpu"})
        self.description = load_description(folder / "preprocessing.safetensors")
        shape, outputs = self.description.input_shape, self.description.num_outputs
        state = np.random.get_state()
        self.model = build_model(self.config, shape, outputs)
        np.random.set_state(state)
        self._chosen: Any = None
        self._drawn: np.ndarray | None = None
        self._dataset: Dataset | None = None

    @property
    def dataset(self) -> Dataset:
        """The data set of the run."""
        if self._dataset is None:
            self._dataset = load_dataset(self.config, self.folder)
        return self._dataset

    def rows(self, part: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows X and y of "train", "val" or "test": the first, of validation mixed ones.

        A folder of pictures has its classes one after the other; so those of validation are drawn, always
        the same, and fewer are the first of more.
        """
        rows = self.dataset.rows
        if part == "val":
            if self._drawn is None:
                there = len(rows["y_val"])
                self._drawn = np.random.default_rng(0).permutation(there)[:LOOKED_AT]
            drawn = self._drawn[:number]
            return np.asarray(rows["X_val"][drawn]), np.asarray(rows["y_val"][drawn])
        return np.asarray(rows[f"X_{part}"][:number]), np.asarray(rows[f"y_{part}"][:number])

    def choose(self, weights: str) -> int | None:
        """Give the network these weights; return their step, None where it is not known.

        weights: "best", "live", "checkpoint-STEP" or "frame-STEP".
        """
        path = self._path(weights)
        stamp = weights, path.stat().st_mtime_ns if path else None
        if self._chosen and self._chosen[0] == stamp:
            return self._chosen[1]
        file, step = self._read(weights, path)
        expected = {name: w.shape for name, w in self.model.params.items()}
        if {name: w.shape for name, w in file.params.items()} != expected:
            raise CheckpointError(f"{self.folder}: these weights are not of its network")
        self.model.params = {name: file.params[name] for name in expected}
        self.model.load_buffers(file.buffers)
        self._chosen = stamp, step
        return step

    def _path(self, weights: str) -> Path | None:
        kind, _, step = weights.partition("-")
        if weights == "live":
            path = live_folder(self.folder) / WEIGHTS
            if not path.is_file():
                raise CheckpointError("the weights of this moment are not there yet")
            return path
        if weights == "best":
            path = self.folder / "model.safetensors"
            return path if path.is_file() else self.folder / "checkpoints"
        if kind in ("checkpoint", "frame") and step.isascii() and step.isdigit() and len(step) < 13:
            folder = self.folder / "checkpoints"
            if kind == "frame":
                folder = live_folder(self.folder) / FRAMES
            path = folder / f"{kind}-{int(step):08d}.safetensors"
            if path.is_file():
                return path
        raise OptionError("lab: there are no such weights")

    def _read(self, weights: str, path: Path | None) -> tuple[ModelFile, int | None]:
        if weights == "best" or path is None:
            return model_in(self.folder), None
        if weights.startswith("checkpoint-"):
            checkpoint = load_checkpoint(path)
            file = ModelFile(checkpoint.params, dict(checkpoint.state["buffers"]), {})
            return file, checkpoint.iteration
        file = load_model_arrays(path)
        return file, int(file.metadata.get("iteration", 0))

    def target(self, y: Any) -> str:
        """Return what the target of a row is called."""
        names = self.description.class_names
        if self.description.task == "classification":
            return names[int(y)]
        if self.description.task == "multilabel":
            return ", ".join(n for n, there in zip(names, np.ravel(y), strict=True) if there) or "-"
        return ", ".join(f"{value:.4g}" for value in np.ravel(y))


def weights_of(folder: Path) -> list[str]:
    """Return the names of the weights that `Opened.choose` can take, the earliest first."""
    found = [(int(f.stem[6:]), f.stem) for f in (live_folder(folder) / FRAMES).glob("frame-*.safetensors")
             if f.stem[6:].isdigit()]  # fmt: skip
    steps = {step for step, _ in found}
    for file in checkpoint_files(folder / "checkpoints"):
        step = file.stem.rpartition("-")[2]
        if step.isdigit() and int(step) not in steps:
            found.append((int(step), file.stem))
    return [f"{stem.partition('-')[0]}-{step}" for step, stem in sorted(found)]


class Runs:
    """The runs that were opened last."""

    def __init__(self, kept: int = 3) -> None:
        """Keep so many."""
        self.kept = kept
        self._opened: OrderedDict[tuple[str, int], Opened] = OrderedDict()

    def open(self, folder: str) -> Opened:
        """Return the run in `folder`, opened; anew where its configuration changed."""
        key = folder, (Path(folder) / "preprocessing.safetensors").stat().st_mtime_ns
        opened = self._opened.get(key)
        if opened is None:
            opened = self._opened[key] = Opened(Path(folder))
        self._opened.move_to_end(key)
        while len(self._opened) > self.kept:
            self._opened.popitem(last=False)
        return opened


def packed(array: np.ndarray, most: int = 64) -> dict[str, Any]:
    """Return `array` in 256 steps from its least to its largest value, ready for JSON.

    Images larger than `most` pixels are thinned.  Returns shape, low, high and data, base64 of a byte each.
    """
    array = np.asarray(array, np.float64)
    for axis in range(max(array.ndim - 2, 0), array.ndim):
        if array.shape[axis] > most:
            array = array.take(np.linspace(0, array.shape[axis] - 1, most).astype(int), axis=axis)
    finite = np.where(np.isfinite(array), array, 0.0)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    steps = np.rint((finite - low) * (255 / (high - low) if high > low else 0.0)).astype(np.uint8)
    return {
        "shape": list(array.shape),
        "low": low,
        "high": high,
        "data": base64.b64encode(steps.tobytes()).decode(),
    }


def histogram(values: np.ndarray, bins: int = 40) -> dict[str, Any]:
    """Return the histogram of `values`: low, high, counts; mean, std and norm."""
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return {"low": 0.0, "high": 0.0, "counts": [], "mean": 0.0, "std": 0.0, "norm": 0.0}
    counts, edges = np.histogram(values, bins)
    return {
        "low": float(edges[0]),
        "high": float(edges[-1]),
        "counts": counts.tolist(),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "norm": float(np.linalg.norm(values)),
    }


def picture(preprocessing: Any, row: np.ndarray) -> dict[str, Any] | None:
    """Return the picture (C, H, W) that the network's input `row` was, None where it is no image."""
    if getattr(preprocessing, "kind", "") != "images":
        return None
    pixels = preprocessing.undo(row[None])[0] * (255 / preprocessing.levels)
    found = packed(pixels, 96)
    # black is 0 and white 255 in every picture
    whole = np.clip(np.rint(np.asarray(pixels, np.float64)), 0, 255).astype(np.uint8)
    if list(whole.shape) == found["shape"]:
        found |= {"low": 0.0, "high": 255.0, "data": base64.b64encode(whole.tobytes()).decode()}
    return found
