"""Assignment 3's recurrent layers, and stand-ins for the image captioning around them.

The layers are the library's.  Its notebooks import the captioning network, its solver and the COCO data in
their first cell; the stand-ins let that cell run, and say what they are when they are called.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from handgrad import layers
from handgrad.courses.shims import Shim, pick
from handgrad.errors import HandgradError

_PAIRS = ("rnn_step", "rnn", "lstm_step", "lstm", "word_embedding", "temporal_affine")
LAYERS = (
    *(f"{pair}_{way}" for pair in _PAIRS for way in ("forward", "backward")),
    "temporal_softmax_loss",
)
CAPTIONING = {
    "captioning_solver": ("CaptioningSolver",),
    "rnn": ("CaptioningRNN",),
    "coco_utils": ("load_coco_data", "sample_coco_minibatch", "decode_captions"),
    "image_utils": ("image_from_url", "blur_image", "preprocess_image", "deprocess_image"),
}


class OutsideError(HandgradError):
    """What a notebook calls is outside of Handgrad."""


def _stand_in(name: str) -> Any:
    def outside(*_: object, **__: object) -> NoReturn:
        raise OutsideError(f"{name}: image captioning is outside of Handgrad")

    outside.__name__ = name
    return outside


def recurrent_modules(layers_in: str, package: str, network: str, utils: str) -> dict[str, Shim]:
    """Return the recurrent layers as the module `layers_in`, and the stand-ins.

    The stand-ins lie in `package` (the solver), `network` (the captioning network) and `utils` (the data).
    """
    found = {**pick(layers, *LAYERS), "np": np}
    parent = layers_in.rpartition(".")[0]
    modules = {parent: Shim(__file__), layers_in: Shim(__file__, found)}
    for module, names in CAPTIONING.items():
        place = {"captioning_solver": package, "rnn": network}.get(module, utils)
        stand_ins = {name: _stand_in(name) for name in names}
        modules[f"{place}.{module}"] = Shim(__file__, stand_ins)
    return modules
