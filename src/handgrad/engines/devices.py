"""Where arrays live: NumPy's in the main memory, PyTorch's on a device such as a CUDA GPU.

=============  ===================================================================================
device         arrays
=============  ===================================================================================
``cpu``        NumPy arrays, computed by any engine
``cuda``       PyTorch tensors on a GPU (``cuda:1``: on the GPU with number 1), by the vectorized engine
``torch:cpu``  PyTorch tensors on the processor, by the vectorized engine: the way of ``cuda``
               without a GPU
=============  ===================================================================================
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import numpy as np

from handgrad.errors import EngineError, shown

Array = Any


def check_device_name(where: str, device: Any) -> str:
    """Return `device` if it is the name of one, here or elsewhere, else raise EngineError."""
    if not isinstance(device, str) or not re.fullmatch(r"cpu|torch:cpu|cuda(:\d+)?", device):
        raise EngineError(
            f"{where}: device must be 'cpu', 'cuda', 'cuda:<number>' or 'torch:cpu'; "
            f"got {shown(device)}"
        )
    return device


def check_device(where: str, device: Any) -> str:
    """Return `device` if it can be computed on here; EngineError says what is missing."""
    if check_device_name(where, device) == "cpu":
        return "cpu"
    if importlib.util.find_spec("torch") is None:
        raise EngineError(
            f"{where}: device '{device}' computes on PyTorch's arrays, and PyTorch is not installed; "
            "run `pip install 'handgrad[torch]'`, or use the device 'cpu'"
        )
    if device.startswith("cuda"):
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = int(device.partition(":")[2] or 0)
        if number >= count:
            raise EngineError(
                f"{where}: there is no device '{device}' here, PyTorch {torch.__version__} sees "
                f"{count} CUDA devices; use the device 'cpu'"
            )
    return device


def to_device(array: np.ndarray, device: str) -> Array:
    """Return `array` where `device`, which `check_device` has let pass, wants it."""
    if device == "cpu":
        return array
    import torch

    return torch.as_tensor(np.ascontiguousarray(array), device=device.removeprefix("torch:"))


def to_numpy(array: Array) -> np.ndarray:
    """Return `array`, of whatever library and device, as a NumPy array."""
    if isinstance(array, np.ndarray):
        return array
    numpy: np.ndarray = array.detach().cpu().numpy()
    return numpy


def like(array: Array, other: Array) -> Array:
    """Return `array` in the library and on the device of `other`."""
    if isinstance(array, np.ndarray) == isinstance(other, np.ndarray):
        return array
    if isinstance(other, np.ndarray):
        return to_numpy(array)
    import torch

    return torch.as_tensor(array, device=other.device)
