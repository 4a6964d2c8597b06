"""Data sets in the courses' form, split, preprocessed and described.

>>> from handgrad import data
>>> digits = data.load("digits")
>>> digits.arrays["X_train"].shape
(1200, 1, 8, 8)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from handgrad.data.arrays import from_arrays
from handgrad.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    alternating_flip,
    color_jitter,
    cutout,
    random_crop,
    random_flip,
)
from handgrad.data.cache import cache_folder
from handgrad.data.cifar10 import (
    cifar10_dataset,
    download_cifar10,
    find_cifar10,
    load_cifar10,
    read_cifar10,
)
from handgrad.data.cifar10_verify import Verification, verify_cifar10
from handgrad.data.columns import TablePreprocessing
from handgrad.data.dataset import Dataset
from handgrad.data.description import TASKS, Description
from handgrad.data.digits import digits_dataset, load_digits
from handgrad.data.folder import from_folder
from handgrad.data.images import read_image
from handgrad.data.kinds import kind_of
from handgrad.data.preprocessing import Preprocessing
from handgrad.data.rows import Rows
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.data.shapes import load_shapes, make_shapes, shapes_dataset
from handgrad.data.shards import from_shards
from handgrad.data.table import Table
from handgrad.data.tables import from_table
from handgrad.errors import check_choice, check_known

DATASETS: Final[dict[str, Callable[..., Dataset]]] = {
    "digits": digits_dataset,
    "shapes": shapes_dataset,
    "cifar10": cifar10_dataset,
    "folder": from_folder,
    "arrays": from_arrays,
    "table": from_table,
    "shards": from_shards,
}


def load(name: str, **options: Any) -> Dataset:
    """Load a data set by name.

    Args:
        name: one of `DATASETS`.
        options: keyword arguments of its function; `options_of` lists them.

    Raises:
        OptionError: the name or an option is unknown.
        DataError: its files are missing or damaged.

    >>> load('digits').class_names[:3]
    ('0', '1', '2')
    """
    check_known(f"data set {name!r}", options, options_of(name))
    return DATASETS[name](**options)


def options_of(name: str) -> dict[str, Any]:
    """The options of a data set and their defaults; OptionError if the data set is unknown.

    >>> options_of('digits')  # doctest: +SKIP
    """
    check_choice("data", "name", name, DATASETS)
    parameters = inspect.signature(DATASETS[name]).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "TASKS",
    "ArrayPreprocessing",
    "Augmentation",
    "Dataset",
    "Description",
    "Preprocessing",
    "Rows",
    "Table",
    "TablePreprocessing",
    "Verification",
    "alternating_flip",
    "cache_folder",
    "cifar10_dataset",
    "color_jitter",
    "cutout",
    "digits_dataset",
    "download_cifar10",
    "find_cifar10",
    "from_arrays",
    "from_folder",
    "from_shards",
    "from_table",
    "kind_of",
    "load",
    "load_cifar10",
    "load_digits",
    "load_shapes",
    "make_shapes",
    "options_of",
    "random_crop",
    "random_flip",
    "read_cifar10",
    "read_image",
    "shapes_dataset",
    "verify_cifar10",
]
