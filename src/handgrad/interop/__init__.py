"""In and out: networks to and from ONNX, PyTorch, Keras, one file of NumPy, one file of C.

`export` writes.  The foreign libraries are imported when they are used.
"""

from handgrad.interop.export import Exported, export
from handgrad.interop.extras import Pad, Permute, Scale, Standardize
from handgrad.interop.rebuild import GraphModel

__all__ = ["Exported", "GraphModel", "Pad", "Permute", "Scale", "Standardize", "export"]
