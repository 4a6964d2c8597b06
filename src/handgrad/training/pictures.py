"""The pictures of an evaluation: what was looked at, and where the network looked."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np


def with_pictures(
    examples: Sequence[dict[str, Any]], X: Any, preprocessing: Any, model: Any
) -> list[dict[str, Any]]:
    """Return `examples` (`handgrad.training.examples`) with their images, as PNG in base64, under "png".

    Where the model has gradients of its input, "saliency" is the size of that of the predicted class's score.
    """
    if not examples:
        return []
    rows = np.concatenate([X[e["index"]][None] for e in examples])
    pixels = preprocessing.undo(rows) * (255 / preprocessing.levels)
    maps = saliency(model, rows, [e["predicted"] for e in examples])
    found = []
    for i, example in enumerate(examples):
        image = pixels[i].transpose(1, 2, 0).squeeze()
        found.append({**example, "png": _png(image)})
        if maps is not None:
            found[-1]["saliency"] = _png(maps[i])
    return found


def score_of(scores: np.ndarray, chosen: np.ndarray) -> tuple[float, np.ndarray]:
    """Return what `Model.gradients` takes of a row's `chosen` score: only its slopes are asked for."""
    slopes = np.zeros_like(scores)
    slopes[np.arange(len(scores)), chosen] = 1.0
    return 0.0, slopes


def saliency(model: Any, X: np.ndarray, classes: Sequence[int]) -> np.ndarray | None:
    """Return the largest size of the gradient of a class's score at each pixel, (N, H, W) in 0..255.

    classes: one for each of the images X (N, C, H, W).  None where the model cannot tell.

    Source: K. Simonyan, A. Vedaldi, A. Zisserman (2013), arXiv:1312.6034.
    """
    if not hasattr(model, "gradients") or X.ndim != 4:
        return None

    def score(scores: np.ndarray, y: None) -> tuple[float, np.ndarray]:
        return score_of(scores, np.array(classes))

    sizes: np.ndarray = np.abs(model.gradients(X, score, "test").dx).max(axis=1)
    largest = sizes.max(axis=(1, 2), keepdims=True)
    return 255 * sizes / np.where(largest > 0, largest, 1.0)


def _png(pixels: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    Image.fromarray(whole).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()
