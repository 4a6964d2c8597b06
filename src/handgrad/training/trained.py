"""What can be done with a trained run: evaluate it, and classify images with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.data import Dataset, Description, read_image
from handgrad.data.columns import feature_groups
from handgrad.data.tablefile import table_blocks
from handgrad.errors import CheckpointError, DataError, OptionError, as_path, check_choice
from handgrad.files import atomic_write, read_records
from handgrad.training import views
from handgrad.training.build import build_model, load_dataset, read_config
from handgrad.training.checkpoint import ModelFile, load_model_arrays, model_in
from handgrad.training.config import RunConfig
from handgrad.training.ensemble import Viewed, log_mean
from handgrad.training.evaluate import (
    evaluate_scores,
    examples_of_scores,
    predict_probabilities,
    scores_of,
)
from handgrad.training.judging import answers_of, evaluation_of, evaluation_of_scores, importances
from handgrad.training.pictures import score_of, with_pictures
from handgrad.training.quick import Quick
from handgrad.training.tensorfile import content_of, read_tensors, write_tensors

EXAMPLES = 12  # pictures of each kind in an evaluation
_LOOKED_AT = 2000  # rows for the importance of columns
PREPROCESSING = "handgrad preprocessing 1"


class TrainedRun:
    """A trained network, ready to be used: of a run folder, or of a model file alone.

    >>> run = handgrad.load("runs/20260101-120000-digits")  # doctest: +SKIP
    >>> run.predict("photo.png"), run.predict_proba("photo.png").max()  # doctest: +SKIP
    (array(['7'], dtype='<U1'), 0.98)

    Attributes: path, folder; config, description (of the data), task, class_names, preprocessing, model.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Open the run `folder`, or a file ``model.safetensors`` without its folder.

        Of a run that was stopped the best network so far is opened.

        Raises CheckpointError if it is no run, or was not trained as far as to its first checkpoint.
        """
        path = as_path("TrainedRun", "folder", folder)
        self.path = path
        if path.is_file() and path.suffix == ".safetensors":
            saved = load_model_arrays(path)
            self.folder = path.parent
            self.config, self.description = _described(path, saved)
        else:
            self.folder = path
            self.config = read_config(path)
            self.description = load_description(path / "preprocessing.safetensors")
            saved = model_in(path)
        # a network that was trained on a GPU is evaluated anywhere
        self.config = self.config.with_overrides({"device": "cpu"})
        self.preprocessing: Any = self.description.preprocessing
        self.class_names = self.description.class_names
        outputs = self.description.num_outputs
        self.model = build_model(self.config, self.description.input_shape, outputs)
        expected, got = (
            {name: array.shape for name, array in params.items()}
            for params in (self.model.params, saved.params)
        )
        wrong = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
        if wrong or self.model.num_classes != outputs:
            raise CheckpointError(
                f"{path}: config.toml, preprocessing.safetensors and model.safetensors are not of "
                f"one run: a network for {outputs} classes was expected; "
                f"{', '.join(wrong) or 'num_classes'} differ"
            )
        self.model.params = saved.params
        self.model.load_buffers(saved.buffers)
        self.viewed = Viewed(self.model, self.config.tta or None)
        self._names = np.array(self.class_names)
        self._quick = Quick(self.model, self.description, self.config.engine)

    @property
    def task(self) -> str:
        """ "classification", "regression" or "multilabel"."""
        return self.description.task

    def predict(self, inputs: Any) -> np.ndarray:
        """Return the prediction for each row.

        Args:
            inputs: rows of the kind that the network was trained on.
                Images: pixels, (N, C, H, W), (N, H, W, C) or (N, H, W), or paths of pictures.
                A table: a frame, a dictionary of columns, or the path of its file.
                Rows and sequences: arrays.

        Returns:
            Of a classification the names of the classes, (N,); of a regression numbers in the targets' own
            unit, (N,) or (N, T); of multilabel 0 and 1, (N, C).

        Raises:
            ShapeError, DtypeError, DataError: the inputs are of another size, kind or range.
        """
        outputs = self.outputs(inputs)
        if self.task == "classification":
            found: np.ndarray = self._names[outputs.argmax(axis=1)]
            return found
        if self.task == "multilabel":
            return (outputs >= 0.5).astype(np.int64)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """Return probabilities (N, C), in the order of `class_names`; of multilabel those of yes.

        Raises OptionError for a regression, and what `predict` raises.
        """
        if self.task == "regression":
            raise OptionError("predict_proba: a regression has no probabilities; call predict")
        return self.outputs(inputs)

    def outputs(self, inputs: Any) -> np.ndarray:
        """Return probabilities (N, C), or the numbers (N, T) of a regression in their own unit."""
        quick = self._quick
        if quick.model is not self.model:  # somebody has put another network in its place
            quick = self._quick = Quick(self.model, self.description, self.config.engine)
        is_plain = self.viewed.tta is None
        found = quick(inputs) if is_plain else None
        if found is not None:
            return found
        X = self.prepared(inputs)
        if len(X) == 0:
            return np.zeros((0, self.description.num_outputs))
        with engines.use(self.config.engine):
            if not is_plain:
                return predict_probabilities(self.viewed, X)
            scores = scores_of(self.model, X)
        found = quick.finished(scores)
        return answers_of(self.model, scores, self.description) if found is None else found

    def prepared(self, inputs: Any) -> np.ndarray:
        """Return X (N, ...), what the network sees of `inputs`; see `predict`."""
        is_table = self.preprocessing.kind == "table"
        if isinstance(inputs, str | PathLike):
            if is_table:
                return self._prepared_table(as_path("predict", "inputs", inputs))
            inputs = [inputs]
        is_paths = isinstance(inputs, list | tuple) and len(inputs) > 0
        if is_paths and all(isinstance(item, str | PathLike) for item in inputs):
            if self.preprocessing.kind != "images":
                takes = "one table, or the path of its file" if is_table else "arrays"
                raise OptionError(
                    f"predict: paths are for networks that look at pictures; this one takes {takes}: give it "
                    "the data themselves"
                )
            shape, levels = self.preprocessing.image_shape, self.preprocessing.levels
            inputs = np.stack([read_image(path, shape, levels) for path in inputs])
        return self.preprocessing(inputs)

    def _prepared_table(self, path: Path) -> np.ndarray:
        """Return what the network sees of the table at `path`; DataError for a line that is no row."""
        how = {key: self.config.data[key] for key in ("header",) if key in self.config.data}
        parts = []
        for block, wrong in table_blocks(path, **how):
            if wrong:
                raise DataError(f"{path}, {next(iter(wrong.values()))}")
            parts.append(self.preprocessing(block))
        if not parts:
            raise DataError(f"{path}: holds no rows")
        return np.concatenate(parts)

    def explain(self, inputs: Any, target: Any = None) -> np.ndarray:
        """Return the gradient of a score by the input, (N, ...): where a change of it would change the score.

        Args:
            inputs: as in `predict`.
            target: whose score: the name of a class or target column, or its number; None is the class
                that the network predicts, of a regression the first column.

        Raises:
            OptionError: there is no such class, or the network cannot tell (`Model.gradients` can).
        """
        if not hasattr(self.model, "gradients"):
            raise OptionError(
                f"explain: {type(self.model).__name__} has no gradients of its input; networks of "
                "handgrad.nn have them"
            )
        X = self.prepared(inputs)
        names = self.class_names or self.description.target_names
        if target is not None and not isinstance(target, int | np.integer):
            check_choice("explain", "target", target, names)
            target = names.index(target)
        if target is not None and not 0 <= target < len(names):
            raise OptionError(f"explain: target must be in [0, {len(names)}), got {target}")

        def score(scores: np.ndarray, y: None) -> tuple[float, np.ndarray]:
            chosen = np.full(len(scores), 0 if target is None else int(target))
            if target is None and self.task != "regression":
                chosen = scores.argmax(axis=1)
            return score_of(scores, chosen)

        with engines.use(self.config.engine):
            parts = [
                self.model.gradients(X[i : i + 100], score, "test").dx
                for i in range(0, len(X), 100)
            ]
        return np.concatenate(parts) if parts else np.zeros_like(X)

    def evaluate(self, split: str = "test") -> dict[str, Any]:
        """Measure the network on a part of the run's data; write and return its ``evaluation.json``."""
        with engines.use(self.config.engine):
            return evaluate_split(self.folder, self.viewed, self.dataset(), split)

    def __repr__(self) -> str:
        return views.trained_text(self)

    def _repr_html_(self) -> str:
        return views.trained_page(self)

    def summary(self) -> str:
        """Return a table of the network's layers."""
        text: str = self.model.summary()
        return text

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of the training, as ``history.jsonl`` holds them; [] for a file without its folder."""
        file = self.folder / "history.jsonl"
        if self.path.is_file() or not file.is_file():
            return []
        return read_records(file)

    def predict_file(self, path: str | PathLike[str]) -> np.ndarray:
        """Return the probabilities (num_classes,) of the picture file `path`."""
        image = read_image(path, self.preprocessing.image_shape, self.preprocessing.levels)
        return self.outputs(image[None])[0]

    def look_at(self, tta: str | None) -> None:
        """Classify by the mean over these views (`handgrad.training.ensemble`); None: the run's own."""
        if tta is not None:
            self.viewed = Viewed(self.model, tta)

    def dataset(self, data_dir: str | None = None) -> Dataset:
        """Load the data set of the run, from `data_dir` if it has moved."""
        where = "path" if "path" in self.config.data else "root"
        moved = {} if data_dir is None else {f"data.{where}": data_dir}
        return load_dataset(self.config.with_overrides(moved), self.folder)


def load(path: str | PathLike[str]) -> TrainedRun:
    """Open a trained network: a run folder, also of a stopped run, or a file ``model.safetensors``.

    Raises CheckpointError if it is neither.

    >>> run = handgrad.load("runs/20260101-120000-digits")  # doctest: +SKIP
    >>> run.predict(images)  # doctest: +SKIP
    """
    return TrainedRun(path)


def _described(path: Path, file: ModelFile) -> tuple[RunConfig, Description]:
    """Return what the header of a model file says of its network."""
    missing = [key for key in ("config", "data") if key not in file.metadata]
    if missing:
        raise CheckpointError(
            f"{path} does not describe its network, as files of runs do: its header lacks {missing[0]!r}; "
            "open its run folder, or put its weights into a network with handgrad.load_weights"
        )
    with content_of(path):
        config = RunConfig.from_dict(file.metadata["config"])
        return config, Description.from_json(file.metadata["data"])


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
    description = dataset.description
    if description.task == "classification":
        scores = scores_of(model, X)
        record = evaluation_of_scores(model.model, scores, y, description)
    else:
        record = evaluation_of(model.model, X, y, description)
    record["split"] = split
    if model.tta is not None:
        record["tta"] = model.tta
    if description.task == "classification" and dataset.preprocessing.kind == "images":
        record["examples"] = {
            kind: with_pictures(chosen, X, dataset.preprocessing, model.model)
            for kind, chosen in examples_of_scores(scores, y, EXAMPLES).items()
        }
    columns = getattr(dataset.preprocessing, "columns", None)
    if columns is not None:
        groups = feature_groups(columns)
        record["importances"] = importances(
            model.model, np.asarray(X[:_LOOKED_AT]), y[:_LOOKED_AT], description, groups
        )
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
