"""Shapes: generated 32x32 colour images of ten classes, as many as asked for.

Each image shows one shape, anywhere, larger or smaller, turned by up to 30 degrees, in any colour, on
a mottled background with two stray lines, under pixel noise.  Image i of a seed is the same whatever
the number asked for, and on every machine: the draws are raw bits of PCG64, and the geometry is
elementary arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Final

import numpy as np

from handgrad.data.dataset import Dataset, build
from handgrad.data.splits import PARTS
from handgrad.errors import as_count, check_known, check_size

SIZE: Final = 32
CHUNK: Final = 500  # images drawn at a time
COARSE: Final = 5  # points of the background's mottling each way
PARAMETERS: Final = 32 + COARSE * COARSE
STRAY_LINES: Final = 2
MAX_TURN: Final = 30  # degrees each way

Field = np.ndarray  # (N, SIZE, SIZE): distances, negative inside the shape, in units of its radius


def _rotate(u: Field, v: Field, degrees: float) -> tuple[Field, Field]:
    angle = np.deg2rad(degrees)
    return u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)


def _box(u: Field, v: Field, width: float, height: float) -> Field:
    return np.maximum(np.abs(u) - width, np.abs(v) - height)


def _polygon(u: Field, v: Field, sides: int, radius: float) -> Field:
    """A regular polygon with the inscribed circle of `radius`, one side at the bottom (v > 0)."""
    turned = [_rotate(u, v, 360 * side / sides)[1] for side in range(sides)]
    return np.maximum.reduce(turned) - radius


def circle(u: Field, v: Field) -> Field:
    """A disc."""
    return np.sqrt(u * u + v * v) - 0.9


def ring(u: Field, v: Field) -> Field:
    """A disc with a round hole."""
    return np.abs(np.sqrt(u * u + v * v) - 0.74) - 0.22


def crescent(u: Field, v: Field) -> Field:
    """A disc without a shifted disc."""
    return np.maximum(np.sqrt(u * u + v * v) - 0.95, 0.72 - np.sqrt((u - 0.45) ** 2 + v * v))


def square(u: Field, v: Field) -> Field:
    """A square."""
    return _box(u, v, 0.76, 0.76)


def triangle(u: Field, v: Field) -> Field:
    """An equilateral triangle."""
    return _polygon(u, v, 3, 0.52)


def star(u: Field, v: Field) -> Field:
    """A five-pointed star: what lies within at least four of the pentagon's five sides."""
    sides = np.stack([_rotate(u, v, 72 * side)[1] for side in range(5)])
    return np.sort(sides, axis=0)[3] - 0.36


def cross(u: Field, v: Field) -> Field:
    """Two crossed bars."""
    return np.minimum(_box(u, v, 0.95, 0.27), _box(u, v, 0.27, 0.95))


def arrow(u: Field, v: Field) -> Field:
    """A triangle on a bar."""
    head = np.maximum(np.maximum(-u - 0.02, 0.72 * u + 0.69 * np.abs(v) - 0.62), -1.0)
    return np.minimum(head, _box(u + 0.45, v, 0.5, 0.2))


def heart(u: Field, v: Field) -> Field:
    """A square on its corner, with a half disc on each upper side."""
    across, down = np.abs(u), v - 0.08
    tip = (across + np.abs(down) - 0.74) * np.sqrt(0.5)
    lobes = np.sqrt((across - 0.37) ** 2 + (down + 0.37) ** 2) - 0.74 * np.sqrt(0.5)
    return np.minimum(lobes, tip)


def hourglass(u: Field, v: Field) -> Field:
    """Two triangles that meet at their tips."""
    return np.maximum(0.75 * np.abs(u) - 0.66 * np.abs(v) - 0.06, np.abs(v) - 0.88)


SHAPES: Final[tuple[Callable[[Field, Field], Field], ...]] = (
    circle, ring, crescent, square, triangle, star, cross, arrow, heart, hourglass,
)  # fmt: skip
CLASS_NAMES: Final = tuple(shape.__name__ for shape in SHAPES)


def make_shapes(num: int, seed: int = 0, part: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw labelled images.

    Args:
        num: how many; image i shows the shape ``i % 10``.
        seed: which stream of images.
        part: which of the stream's independent parts: 0, 1, 2, …

    Returns:
        images (num, 3, 32, 32) uint8 and labels (num,) int64.
    """
    num = as_count("shapes", "num", num, minimum=0)
    key = [as_count("shapes", name, value, 0) for name, value in (("seed", seed), ("part", part))]
    draws, noise = (np.random.PCG64([*key, stream]) for stream in range(2))
    check_size("shapes", "the images", num, 3, SIZE, SIZE)
    images = np.empty((num, 3, SIZE, SIZE), np.uint8)
    labels = np.arange(num) % len(SHAPES)
    for start in range(0, num, CHUNK):
        rows = slice(start, min(start + CHUNK, num))
        images[rows] = _draw(labels[rows], draws, noise)
    return images, labels


def _draw(labels: np.ndarray, draws: np.random.PCG64, noise: np.random.PCG64) -> np.ndarray:
    """One chunk of images (N, 3, 32, 32) uint8."""
    num = len(labels)
    p = _uniform(draws, (num, PARAMETERS))[:, :, None, None]
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    radius = 8 + 6 * p[:, 0]
    centre_x, centre_y = (radius + (SIZE - 2 * radius) * p[:, k] for k in (1, 2))
    stretch = 0.92 + 0.16 * p[:, 3]
    turn = np.deg2rad(MAX_TURN) * (2 * p[:, 4] - 1)
    u, v = (x - centre_x) / radius, (y - centre_y) / radius
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    u, v = u * stretch, v / stretch
    distance = np.empty_like(u)
    for label, shape in enumerate(SHAPES):
        rows = slice((label - labels[0]) % len(SHAPES), None, len(SHAPES))
        distance[rows] = shape(u[rows], v[rows])
    inside = np.clip(0.5 - distance * radius, 0, 1)[:, None]

    light, dark = 0.2 + 0.6 * p[:, 5:8], 0.2 + 0.6 * p[:, 8:11]
    mottle = _mottle(p[:, 32:, 0, 0].reshape(num, COARSE, COARSE))[:, None]
    background = light + 0.65 * (dark - light) * mottle
    for line in range(STRAY_LINES):
        background = _stray_line(background, x, y, p[:, 11 + 6 * line : 17 + 6 * line])
    colour = _distinct(p[:, 23:26], background.mean(axis=(2, 3), keepdims=True))
    shade = 1 + 0.3 * (p[:, 26:27] - 0.5) * (u + v)[:, None]
    image = background + (colour * shade - background) * inside
    strength = 4 + 16 * p[:, 27:28]
    image = 255 * image + strength * _triangular(noise, (num, 3, SIZE, SIZE))
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def _uniform(bits: np.random.PCG64, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 in [0, 1) from the upper 53 of 64 raw bits each."""
    return (bits.random_raw(int(np.prod(shape))) >> np.uint64(11)).reshape(shape) * 2.0**-53


def _triangular(bits: np.random.PCG64, shape: tuple[int, ...]) -> np.ndarray:
    """Noise in (-1, 1), the difference of two uniform bytes; `shape` holds a multiple of 4 numbers."""
    raw = bits.random_raw(int(np.prod(shape)) // 4).astype("<u8").view(np.uint8).astype(np.int16)
    return ((raw[::2] - raw[1::2]) / 256).reshape(shape)


def _mottle(coarse: np.ndarray) -> np.ndarray:
    """Coarse random points (N, k, k), interpolated to (N, 32, 32)."""
    position = np.linspace(0, COARSE - 1, SIZE)
    weights = np.clip(1 - np.abs(position[:, None] - np.arange(COARSE)), 0, 1)
    weights = weights * weights * (3 - 2 * weights)
    return np.einsum("hi,wj,nij->nhw", weights, weights, coarse, optimize=True)


def _stray_line(image: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The images with a straight line each: direction, offset, width and colour from `p` (N, 6)."""
    angle, offset = np.pi * p[:, 0], SIZE * (p[:, 1] - 0.5)
    across = (x - SIZE / 2) * np.cos(angle) + (y - SIZE / 2) * np.sin(angle) - offset
    inside = np.clip(0.5 + (0.4 + p[:, 2]) - np.abs(across), 0, 1)[:, None]
    return image + (p[:, 3:6] - image) * inside


def _distinct(colour: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The colours (N, 3, 1, 1), moved away from the background's where they are too near."""
    difference = colour - background
    near = np.abs(difference).sum(axis=1, keepdims=True) < 0.75
    opposite = np.where(background > 0.5, background - 0.5, background + 0.5)
    return np.where(near, opposite, colour)


def shapes_dataset(
    *,
    num_training: int = 10_000,
    num_validation: int = 1000,
    num_test: int = 1000,
    seed: int = 0,
    subtract_mean: bool = True,
    standardize: bool = True,
    dtype: Any = np.float32,
) -> Dataset:
    """Return generated shapes, in the form of CIFAR-10: (N, 3, 32, 32), pixels 0..255.

    Args:
        num_training, num_validation, num_test: how many images of each part; a part's images do not
            depend on the sizes of the others.
        seed: which images.
        subtract_mean: subtract the mean training image (if not `standardize`).
        standardize: subtract each channel's mean and divide by its standard deviation.
        dtype: float32 or float64.
    """
    sizes = {
        "train": as_count("shapes", "num_training", num_training),
        "val": as_count("shapes", "num_validation", num_validation, minimum=0),
        "test": as_count("shapes", "num_test", num_test, minimum=0),
    }
    splits = {split: make_shapes(sizes[split], seed, k) for k, split in enumerate(PARTS)}
    return build(
        "shapes",
        splits,
        CLASS_NAMES,
        subtract_mean=subtract_mean,
        standardize=standardize,
        dtype=dtype,
    )


def load_shapes(**options: Any) -> dict[str, np.ndarray]:
    """Return the courses' dictionary of generated shapes; options as in `shapes_dataset`.

    >>> sorted(load_shapes(num_training=20, num_validation=10, num_test=10))
    ['X_test', 'X_train', 'X_val', 'y_test', 'y_train', 'y_val']
    """
    check_known("load_shapes", options, signature(shapes_dataset).parameters)
    return dict(shapes_dataset(**options).arrays)
