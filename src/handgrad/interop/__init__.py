"""In and out: networks to and from ONNX, PyTorch, Keras, one file of NumPy, one file of C.

`export` writes; `from_onnx`, `from_torch` and `from_keras` read; `compare` finds where two networks part.
The foreign libraries are imported when they are used.
"""

from handgrad.interop.columns import encoded
from handgrad.interop.compare import compare
from handgrad.interop.comparison import Comparison
from handgrad.interop.export import Exported, export
from handgrad.interop.extras import Pad, Permute, Reshape, Scale, Standardize
from handgrad.interop.keras_in import from_keras
from handgrad.interop.onnx_in import from_onnx
from handgrad.interop.rebuild import GraphModel
from handgrad.interop.state_dict import load_state_dict
from handgrad.interop.torch_in import from_torch

__all__ = [
    "Comparison",
    "Exported",
    "GraphModel",
    "Pad",
    "Permute",
    "Reshape",
    "Scale",
    "Standardize",
    "compare",
    "encoded",
    "export",
    "from_keras",
    "from_onnx",
    "from_torch",
    "load_state_dict",
]
