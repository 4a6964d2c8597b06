"""The courses' ``data_utils``: CIFAR-10 in float64, TinyImageNet, and the few images of ImageNet.

CIFAR-10 is looked for in the folder that `handgrad.courses.use` was told, then where the caller
says, then where the courses keep it, then in HANDGRAD_DATA and the folder for caches.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.courses import settings
from handgrad.courses.pickles import load_models as load_models_encoded
from handgrad.courses.pickles import load_object
from handgrad.courses.pickles import load_pickle as load_pickle_encoded
from handgrad.data import cache_folder, cifar10_dataset, find_cifar10, read_cifar10, read_image
from handgrad.data.cifar10 import IMAGE_SHAPE, TEST, TRAINING
from handgrad.data.pickled import read_batch
from handgrad.errors import DataError

DATA_FOLDERS = (
    "cs231n/datasets",
    "datasets",
    ".",
    "skynet/datasets",
    "../skynet/datasets",
)
"""Where the courses keep CIFAR-10, from the working directory."""

TINY = (3, 64, 64)


def find_data(root: str | PathLike[str] | None = None) -> Path:
    """Return the folder or archive of CIFAR-10; DataError says how to get it if it is nowhere."""
    for place in (settings.current.data_dir, root, *DATA_FOLDERS):
        if place is None:
            continue
        try:
            return find_cifar10(place).path
        except DataError:
            continue
    return find_cifar10().path


def load_pickle(f: Any) -> Any:
    """Return what a pickle file holds, if that was allowed; see `handgrad.courses.pickles`."""
    return load_pickle_encoded(f)


def load_CIFAR_batch(filename: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (10000, 32, 32, 3) float64 and labels int64 of a batch file.

    The pickle is parsed without being run.
    """
    path = Path(filename)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    rows, labels = read_batch(content, str(path))
    return _channels_last(rows.reshape(-1, *IMAGE_SHAPE)), np.asarray(labels, np.int64)


def load_CIFAR10(
    ROOT: str | PathLike[str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return Xtr (50000, 32, 32, 3) float64, Ytr int64, Xte and Yte."""
    place = find_data(ROOT)
    X_train, y_train = read_cifar10(place, TRAINING)
    X_test, y_test = read_cifar10(place, (TEST,))
    return _channels_last(X_train), y_train, _channels_last(X_test), y_test


def get_CIFAR10_data(
    num_training: int = 49000,
    num_validation: int = 1000,
    num_test: int = 1000,
    subtract_mean: bool = True,
) -> dict[str, np.ndarray]:
    """Return X_train, y_train, X_val, y_val, X_test, y_test: NCHW float64, and int64 labels.

    The mean training image is subtracted from all X; `handgrad.data.load_cifar10` is the same in
    half of the memory.
    """
    sizes = num_training, num_validation, num_test
    return dict(cifar10_dataset(find_data(), *sizes, subtract_mean, dtype=np.float64).arrays)


def get_CIFAR10_data_2016(
    num_training: int = 49000, num_validation: int = 1000, num_test: int = 1000
) -> dict[str, np.ndarray]:
    """`get_CIFAR10_data` of 2016, which always subtracts the mean image."""
    return get_CIFAR10_data(num_training, num_validation, num_test)


def load_tiny_imagenet(
    path: str | PathLike[str], dtype: Any = np.float32, subtract_mean: bool = True
) -> dict[str, Any]:
    """Return TinyImageNet: class_names, X_train, y_train, X_val, ... and mean_image.

    X are (N, 3, 64, 64); y_test is None where the labels are not published.
    """
    root = Path(path)
    wnids = [line.strip() for line in _lines(root / "wnids.txt")]
    label = {wnid: i for i, wnid in enumerate(wnids)}
    words = dict(line.split("\t", 1) for line in _lines(root / "words.txt"))
    train_files, train_labels = [], []
    for i, wnid in enumerate(wnids):
        if (i + 1) % 20 == 0:
            print(f"loading training data for synset {i + 1} / {len(wnids)}")  # noqa: T201
        folder = root / "train" / wnid
        files = [line.split("\t")[0] for line in _lines(folder / f"{wnid}_boxes.txt")]
        train_files += [folder / "images" / file for file in files]
        train_labels += [label[wnid]] * len(files)
    val = [line.split("\t")[:2] for line in _lines(root / "val" / "val_annotations.txt")]
    test = sorted((root / "test" / "images").iterdir())
    X_train = _images(train_files, dtype)
    X_val = _images([root / "val" / "images" / file for file, _ in val], dtype)
    X_test = _images(test, dtype)
    y_test, annotations = None, root / "test" / "test_annotations.txt"
    if annotations.is_file():
        wnid_of = dict(line.split("\t")[:2] for line in _lines(annotations))
        y_test = np.array([label[wnid_of[file.name].strip()] for file in test])
    mean_image = X_train.mean(axis=0)
    if subtract_mean:
        for X in (X_train, X_val, X_test):
            X -= mean_image
    return {
        "class_names": [[w.strip() for w in words[wnid].split(",")] for wnid in wnids],
        "X_train": X_train,
        "y_train": np.array(train_labels, np.int64),
        "X_val": X_val,
        "y_val": np.array([label[wnid.strip()] for _, wnid in val]),
        "X_test": X_test,
        "y_test": y_test,
        "mean_image": mean_image,
    }


def load_tiny_imagenet_2016(path: str | PathLike[str], dtype: Any = np.float32) -> tuple[Any, ...]:
    """`load_tiny_imagenet` of 2016: a tuple, with the mean image left in."""
    data = load_tiny_imagenet(path, dtype, subtract_mean=False)
    names = ("class_names", "X_train", "y_train", "X_val", "y_val", "X_test", "y_test")
    return tuple(data[name] for name in names)


def load_models(models_dir: str | PathLike[str]) -> dict[str, Any]:
    """Return the models of a folder of checkpoints, if reading pickles was allowed."""
    return load_models_encoded(models_dir)


def load_imagenet_val(num: int | None = None) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return X (num, 224, 224, 3), y and class_names of the 25 images in imagenet_val_25.npz."""
    name = "imagenet_val_25.npz"
    folders = [Path("cs231n/datasets"), cache_folder()]
    if settings.current.data_dir is not None:
        folders.insert(0, settings.current.data_dir)
    file = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if file is None:
        for line in (
            f"file {folders[0] / name} not found",
            "Run the following:",
            "cd cs231n/datasets",
            "bash get_imagenet_val.sh",
        ):
            print(line)  # noqa: T201
        raise AssertionError(f"Need to download {name}")
    class_names = load_object(file, "label_map")
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["X"][:num], arrays["y"][:num], class_names


def imread(path: Any, *_: object, **__: object) -> np.ndarray:
    """Return the picture in a file as an array (H, W, 3) of uint8, as SciPy and imageio did."""
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


# skynet


def load_CIFAR_batch_encoded(
    filename: str | PathLike[str], encoding: str = "latin1"
) -> tuple[np.ndarray, np.ndarray]:
    """`load_CIFAR_batch`; the encoding, of keys that are always plain ASCII, changes nothing."""
    return load_CIFAR_batch(filename)


def generate_decision_boundary_data(
    X: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return xx, yy and their points (P, 2): a grid of step 0.01 around X, or over [-5, 5)^2."""
    if X is not None and X.shape[-1] == 2:
        low, high = X[:, :2].min(axis=0) - 1, X[:, :2].max(axis=0) + 1
        xx, yy = np.meshgrid(*(np.arange(a, b, 0.01) for a, b in zip(low, high, strict=True)))
    else:
        xx, yy = np.mgrid[-5:5:0.01, -5:5:0.01]
    print(xx.shape)  # noqa: T201
    return xx, yy, np.c_[xx.ravel(), yy.ravel()]


def _channels_last(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1).astype(np.float64, order="C")


def _images(files: list[Path], dtype: Any) -> np.ndarray:
    X = np.zeros((len(files), *TINY), dtype)
    for i, file in enumerate(files):
        X[i] = read_image(file, TINY)
    return X


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
