"""How a data set shows itself: a line at the prompt, sixteen images and the classes in notebooks."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

import numpy as np

_IMAGES = 16
_SIDE = 48  # pixels of a shown image, at least
_CLASSES = 12


def text(dataset: Any) -> str:
    """Return a data set in one line; never its arrays."""
    counts = ", ".join(f"{len(dataset.rows[f'y_{part}']):,} {part}" for part in parts_of(dataset))
    shape = " x ".join(map(str, dataset.input_shape))
    what = (
        f"{dataset.num_classes} classes" if dataset.num_classes else ", ".join(dataset.target_names)
    )
    return f"<Dataset {dataset.name!r}: {dataset.task} ({what}), {counts}, rows of {shape}>"


def page(dataset: Any) -> str:
    """Return a data set as HTML: its line, sixteen training images, and how many rows each class has."""
    return (
        f'<div class="handgrad"><p><b>{escape(text(dataset))}</b></p>{_images(dataset)}'
        f"{_classes(dataset)}</div>"
    )


def parts_of(dataset: Any) -> list[str]:
    """Return which of train, val and test are there."""
    return [part for part in ("train", "val", "test") if f"y_{part}" in dataset.rows]


def _images(dataset: Any) -> str:
    prepare = dataset.preprocessing
    if getattr(prepare, "kind", "") != "images" or not len(dataset.rows.get("y_train", ())):
        return ""
    count = min(_IMAGES, len(dataset.rows["y_train"]))
    rows = np.linspace(0, len(dataset.rows["y_train"]) - 1, count).round().astype(int)
    X, y = dataset.rows["X_train"][rows], dataset.rows["y_train"][rows]
    pixels = np.clip(np.rint(prepare.undo(X) * (255 / prepare.levels)), 0, 255).astype(np.uint8)
    made = []
    for image, label in zip(pixels, y, strict=True):
        name = dataset.class_names[label] if dataset.task == "classification" else ""
        made.append(
            f'<figure style="display:inline-block;margin:2px;text-align:center">'
            f'<img width="{max(_SIDE, image.shape[2])}" style="image-rendering:pixelated" '
            f'src="data:image/png;base64,{_png(image)}" alt="{escape(name)}">'
            f"<figcaption>{escape(name[:12])}</figcaption></figure>"
        )
    return f"<div>{''.join(made)}</div>"


def _png(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def _classes(dataset: Any) -> str:
    """Return a table of the classes and their rows; of other tasks nothing."""
    if dataset.task != "classification":
        return ""
    parts = parts_of(dataset)
    counts = {
        part: np.bincount(dataset.rows[f"y_{part}"], minlength=dataset.num_classes)
        for part in parts
    }
    head = "".join(f"<th>{part}</th>" for part in ("class", *parts))
    shown = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{counts[part][c]:,}</td>' for part in parts)}</tr>"
        for c, name in enumerate(dataset.class_names[:_CLASSES])
    )
    more = dataset.num_classes - _CLASSES
    rest = f"<p>and {more} more classes</p>" if more > 0 else ""
    return f"<table><tr>{head}</tr>{shown}</table>{rest}"
