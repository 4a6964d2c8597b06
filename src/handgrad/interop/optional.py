"""Libraries that are imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from handgrad.errors import OptionError

_EXTRA = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "torch": "torch",
    "keras": "keras",
    "h5py": "keras",
}


def library(name: str, what: str) -> Any:
    """Return the module `name`; OptionError that says how to get it, where it is missing.

    what: who needs it, for the message.
    """
    try:
        if name == "keras":
            _choose_backend()
        return importlib.import_module(name)
    except ImportError as error:
        extra = _EXTRA.get(name.partition(".")[0], name)
        raise OptionError(
            f"{what} needs the package {name.partition('.')[0]} ({error}); "
            f"get it with: pip install 'handgrad[{extra}]'"
        ) from None


def _choose_backend() -> None:
    """Let Keras compute with PyTorch where nothing was chosen and TensorFlow, its default, is missing."""
    import importlib.util
    import os
    import sys

    if "keras" in sys.modules or "KERAS_BACKEND" in os.environ:
        return
    if importlib.util.find_spec("tensorflow") is None:
        os.environ["KERAS_BACKEND"] = "torch"
