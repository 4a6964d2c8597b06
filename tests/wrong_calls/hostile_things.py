"""What strangers pass: things that are no arguments of anything, and arrays of every kind."""

import decimal
import fractions
import io
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from wrong_calls.things import IMAGES, Y

from handgrad import layers, nn


class Liar:
    """Says that it is an array, and fails when asked for it."""

    shape, dtype, ndim = (4, 6), np.dtype(float), 2

    def __array__(self, *args, **options):
        raise RuntimeError("no array here")

    def __len__(self):
        return 4


def closed_file():
    file = io.BytesIO(b"x")
    file.close()
    return file


def tensor(**options):
    import torch

    return torch.zeros(4, 6, **options)


HOSTILE = {  # name -> what makes the thing
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "10**30": lambda: 10**30,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "text": lambda: "text",
    "no text": lambda: "",
    "zero byte": lambda: "a\0b",
    "bytes": lambda: b"bytes",
    "long text": lambda: "x" * 5000,
    "surrogate": lambda: "\udc80",
    "complex": lambda: 1j,
    "fraction": lambda: fractions.Fraction(1, 3),
    "decimal": lambda: decimal.Decimal("nan"),
    "list": list,
    "ragged": lambda: [[1, 2], [3]],
    "mixed": lambda: [1, "a", None],
    "tuple": lambda: (),
    "pair": lambda: (1, 2),
    "nested": lambda: [[[1.0]]],
    "set": lambda: {1, 2},
    "dictionary": dict,
    "dictionary of text": lambda: {"a": 1},
    "dictionary of 1": lambda: {1: 2},
    "range": lambda: range(3),
    "generator": lambda: (i for i in range(3)),
    "slice": lambda: slice(3),
    "object": object,
    "class": lambda: int,
    "layer's class": lambda: nn.Affine,
    "module": lambda: layers,
    "namespace": lambda: SimpleNamespace(params={}, loss=lambda *a: None),
    "liar": Liar,
    "closed file": closed_file,
    "returns None": lambda: lambda *a, **k: None,
    "returns text": lambda: lambda *a, **k: "text",
    "returns a tuple": lambda: lambda *a, **k: (1, 2, 3),
    "folder": Path.cwd,
    "root": lambda: Path("/"),
    "no file": lambda: Path("/nowhere/at/all"),
    "path of bytes": lambda: b"/tmp",
    "no rows": lambda: np.zeros((0, 6)),
    "no dimensions": lambda: np.array(1.0),
    "one axis": lambda: np.ones(7),
    "five axes": lambda: np.ones((1, 2, 1, 2, 1)),
    "nans": lambda: np.full((4, 6), np.nan),
    "booleans": lambda: np.ones((4, 6), bool),
    "read-only": lambda: np.broadcast_to(1.5, (4, 6)),
    "texts": lambda: np.full((4, 6), "a"),
    "objects": lambda: np.full((4, 6), None),
    "half": lambda: np.ones((4, 6), np.float16),
    "complex numbers": lambda: np.ones((4, 6)) * 1j,
    "dates": lambda: np.zeros((4, 6), "M8[s]"),
    "records": lambda: np.zeros(4, [("a", float), ("b", int)]),
    "long doubles": lambda: np.ones((4, 6), "g"),
    "masked": lambda: np.ma.masked_equal(np.ones((4, 6)), 1),
    "matrix": lambda: np.ones((4, 6)).view(np.matrix),
    "one-hot": lambda: np.eye(3)[Y],
    "column of labels": lambda: Y[:, None],
    "float labels": lambda: Y / 1,
    "negative": lambda: np.full((4, 6), -5),
    "unsigned": lambda: np.full((4, 6), 2**63, np.uint64),
    "list of arrays": lambda: [np.ones(2), np.ones(3)],
    "last in channels": lambda: IMAGES.transpose(0, 2, 3, 1),
}
TENSORS = {
    "needs grad": lambda: tensor(requires_grad=True),
    "sparse": lambda: tensor().to_sparse(),
    "bfloat16": lambda: tensor().bfloat16(),
    "on no device": lambda: tensor(device="meta"),
    "list of tensors": lambda: [tensor(requires_grad=True)] * 2,
}
if find_spec("torch"):
    HOSTILE |= TENSORS
