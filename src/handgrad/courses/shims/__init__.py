"""The modules of the courses, as tables of names: thin faces over the library.

Each course has a file with a function ``modules(profile)`` that returns its modules by full name;
the other files hold what the library does not have under that name or with that meaning.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import Any

from handgrad.courses.profiles import Profile
from handgrad.courses.shims.dropping import lenient


@dataclass(frozen=True)
class Shim:
    """One module: what it star-imports, then its own names; `file` is what `inspect` shows.

    `imports` are the modules that the original imports and so passes on to star-imports: name -> module.
    """

    file: str
    names: dict[str, Any] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    imports: dict[str, str] = field(default_factory=dict)


def pick(module: Any, *names: str) -> dict[str, Any]:
    """Return the attributes `names` of `module` by name; of functions, what `lenient` makes of them."""
    found = {name: getattr(module, name) for name in names}
    return {
        name: lenient(thing) if inspect.isfunction(thing) else thing
        for name, thing in found.items()
    }


def shims(profile: Profile) -> dict[str, Shim]:
    """Return all modules of `profile` by full name."""
    course = importlib.import_module(f"handgrad.courses.shims.{profile.course}")
    found: dict[str, Shim] = course.modules(profile)
    return found


_OUTSIDE = {
    "image captioning and recurrent layers of PyTorch": (
        "rnn_layers_pytorch",
        "rnn",
        "rnn_pytorch",
        "captioning_solver",
        "captioning_solver_pytorch",
        "captioning_solver_transformer",
        "coco_utils",
        "CaptioningRNN",
        "CaptioningSolver",
    ),
    "transformers": (
        "transformer_layers",
        "transformer",
        "classification_solver_vit",
        "CaptioningTransformer",
    ),
    "networks trained elsewhere and their pictures": (
        "squeezenet",
        "SqueezeNet",
        "PretrainedCNN",
        "pretrained_cnn",
        "net_visualization_pytorch",
        "net_visualization_tensorflow",
        "style_transfer_pytorch",
        "style_transfer_tensorflow",
        "image_utils",
    ),
    "generative and self-supervised models": (
        "gan_pytorch",
        "gan_tf",
        "vae",
        "simclr",
        "clip_dino",
        "ddpm_trainer",
        "emoji_dataset",
        "gaussian_diffusion",
        "unet",
    ),
    "other kinds of models": ("tree", "ensemble", "auto_differentiation", "metrics"),
    "convolutional networks as single functions": ("convnet", "classifier_trainer"),
}


def outside(module: str) -> str | None:
    """Return why `module` (or name) of a course is not there, if it is known and outside the library."""
    parts = module.split(".")[1:]
    if "rnn_layers" in parts:  # skynet keeps them in a package called rnn
        return None
    for what, names in _OUTSIDE.items():
        if any(part in names for part in parts):
            return f"{what} are outside of Handgrad"
    return None
