"""The only place where pickle is used: the files that the courses' own support code writes.

Handgrad's own files hold no pickles.  The courses' Solver pickles a checkpoint, `load_models` reads
such files, and two classifiers keep their parameters in a pickled dictionary.  Writing one is
harmless; reading one runs whatever program it holds, so nothing is read here unless the user said
so by ``handgrad.courses.use(..., trust_pickles=True)``.
"""

from __future__ import annotations

import io
import pickle
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from handgrad.courses import settings
from handgrad.errors import DataError
from handgrad.files import atomic_write


def write_pickle(path: str | PathLike[str], value: Any) -> None:
    """Write `value` to `path` as a pickle, in one step."""
    atomic_write(Path(path), pickle.dumps(value))


def load_pickle(f: BinaryIO, encoding: str = "latin1") -> Any:
    """Return what the open binary file `f` holds; DataError unless that was allowed."""
    _check_allowed(getattr(f, "name", "this file"))
    return pickle.load(f, encoding=encoding)


def load_models(models_dir: str | PathLike[str], encoding: str = "latin1") -> dict[str, Any]:
    """Return the models of the checkpoints in a folder by file name; other files are passed over."""
    _check_allowed(models_dir)
    models = {}
    for path in sorted(Path(models_dir).iterdir()):
        if not path.is_file():
            continue
        try:
            models[path.name] = pickle.loads(path.read_bytes(), encoding=encoding)["model"]
        except (pickle.UnpicklingError, EOFError):
            continue
    return models


def save_params(path: str | PathLike[str], params: dict[str, np.ndarray]) -> None:
    """Write `params` as ``np.save(path, params)`` does: a pickled dictionary in an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.array(params, dtype=object), allow_pickle=True)
    atomic_write(Path(path), buffer.getvalue())


def load_object(path: str | PathLike[str], key: str | None = None) -> Any:
    """Return the object in an .npy file, or under `key` of an .npz file."""
    _check_allowed(path)
    file = np.load(path, allow_pickle=True)
    return (file if key is None else file[key]).item()


def _check_allowed(path: Any) -> None:
    if not settings.current.trust_pickles:
        raise DataError(
            f"{path}: a pickle, which can run any program when it is read, is not read unless you "
            "say so; if you trust the file, call handgrad.courses.use(NAME, trust_pickles=True)"
        )
