"""Stand-ins for the two photographs that the courses' folders hold: kitten.jpg and puppy.jpg.

They are drawn, not photographed: a head with ears, eyes and a nose under fur-like noise, so that the
grayscale and edge filters of the notebooks have something to show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"kitten": (640, 420), "puppy": (400, 400)}  # width, height; the puppy is square
_COLOURS = {"kitten": ((92, 110, 84), (196, 140, 84)), "puppy": ((120, 140, 170), (214, 196, 160))}


def draw(name: str) -> Any:
    """Return the stand-in for `name`, "kitten" or "puppy", as a Pillow image; always the same one."""
    from PIL import Image, ImageDraw, ImageFilter

    width, height = SIZES[name]
    background, fur = _COLOURS[name]
    image = Image.new("RGB", (width, height), background)
    pen = ImageDraw.Draw(image)
    x, y, r = width // 2, int(height * 0.55), int(height * 0.36)
    dark = tuple(channel // 2 for channel in fur)
    for side in (-1, 1):
        if name == "kitten":
            tips = [(0.35, -0.85), (0.95, -1.25), (0.95, -0.3)]
            pen.polygon([(x + side * a * r, y + b * r) for a, b in tips], fill=dark)
        else:
            pen.ellipse(_box(x + side * r, y - r // 6, r // 3, int(r * 0.7)), fill=dark)
    pen.ellipse(_box(x, y, r, int(r * 0.95)), fill=fur)
    for side in (-1, 1):
        pen.ellipse(_box(x + side * int(r * 0.4), y - r // 5, r // 6, r // 7), fill=(30, 40, 30))
        pen.ellipse(_box(x + side * int(r * 0.4), y - r // 4, r // 22, r // 22), fill=(240,) * 3)
    pen.polygon(
        [(x - r // 9, y + r // 5), (x + r // 9, y + r // 5), (x, y + r // 3)], fill=(80, 50, 50)
    )
    image = image.filter(ImageFilter.GaussianBlur(2))
    rng = np.random.default_rng(231)
    noise = sum(
        (np.asarray(
            Image.fromarray(rng.normal(size=(height // k, width // k)).astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        ) * weight for k, weight in ((1, 6.0), (4, 9.0), (32, 14.0))),
        start=np.zeros((height, width), np.float32),
    )  # fmt: skip
    pixels = np.asarray(image, dtype=np.float32) + noise[:, :, None]
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def write(name: str, path: Path) -> None:
    """Write the stand-in for `name` to `path` as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(name).save(path, format="JPEG", quality=90)


def _box(x: int, y: int, a: int, b: int) -> tuple[int, int, int, int]:
    return (x - a, y - b, x + a, y + b)
