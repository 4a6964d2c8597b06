"""The single layers that rows of the benchmark measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from handgrad.bench.work import Job


def course_layers(N: int) -> Iterator[tuple[str, Job]]:
    """Yield the course's convolution and pooling of N images, both passes in both precisions."""
    conv = {"kind": "conv", "x": (N, 3, 31, 31), "w": (25, 3, 3, 3), "stride": 2, "pad": 1}
    pool = {"kind": "pool", "x": (N, 3, 32, 32), "size": 2}
    for job in (conv, pool):
        for dtype in ("float64", "float32"):
            for part in ("forward", "backward"):
                yield f"{job['kind']} {part}, {dtype}", {**job, "dtype": dtype, "part": part}


# N, C, H, W; F, size; stride, pad
CONVOLUTIONS = (
    (128, 3, 32, 32, 64, 3, 1, 1), (128, 64, 16, 16, 128, 3, 1, 1),
    (128, 128, 8, 8, 256, 3, 1, 1), (128, 256, 4, 4, 512, 3, 1, 1),
    (32, 512, 7, 7, 512, 3, 1, 1), (32, 64, 32, 32, 64, 3, 1, 1), (32, 64, 17, 19, 64, 3, 1, 1),
    (32, 48, 15, 15, 40, 3, 1, 0), (50, 3, 32, 32, 32, 7, 1, 3), (64, 1, 28, 28, 32, 5, 1, 2),
    (64, 32, 14, 14, 64, 5, 1, 2), (32, 256, 14, 14, 64, 1, 1, 0), (32, 64, 28, 28, 256, 1, 1, 0),
    (32, 128, 28, 28, 128, 3, 2, 1), (16, 3, 64, 64, 64, 7, 2, 3), (32, 256, 14, 14, 512, 1, 2, 0),
    (64, 3, 33, 31, 24, 5, 2, 1), (1, 3, 224, 224, 64, 3, 1, 1), (1, 64, 56, 56, 64, 3, 1, 1),
    (1, 512, 14, 14, 512, 3, 1, 1),
)  # fmt: skip


def convolutions(images: Callable[[int], int]) -> Iterator[tuple[str, Job]]:
    """Yield both passes of each, of as many images as `images` makes of a number."""
    for N, C, H, W, F, size, stride, pad in CONVOLUTIONS:
        x, w = (images(N), C, H, W), (F, C, size, size)
        name = f"{size}x{size} {C}-{F} at {H}x{W}, batch {x[0]}"
        name += f", stride {stride}" if stride > 1 else ""
        job = {"kind": "conv", "dtype": "float32", "x": x, "w": w, "stride": stride, "pad": pad}
        for part in ("forward", "backward"):
            yield f"{name}, {part}", {**job, "part": part}


# rows; numbers of a row, and of its result
AFFINE = (
    (128, 2048, 512), (128, 512, 256), (128, 256, 10), (50, 8192, 500), (100, 3072, 100),
    (100, 100, 100), (256, 2048, 512), (32, 64, 100), (1, 2048, 512), (1024, 1024, 1024),
)  # fmt: skip


def affine_layers(images: Callable[[int], int]) -> Iterator[tuple[str, Job]]:
    """Yield both passes of each, of as many rows as `images` makes of a number."""
    for N, D, M in AFFINE:
        job = {"kind": "affine", "dtype": "float32", "x": (images(N), D), "w": (D, M)}
        for part in ("forward", "backward"):
            yield f"{D}-{M}, batch {images(N)}, {part}", {**job, "part": part}
