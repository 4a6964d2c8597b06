"""Pictures from files, as the images of a data set."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from handgrad.data.brightness import Scale, as_eight_bits, scale_of
from handgrad.data.pointers import check_no_pointer
from handgrad.errors import DataError, OptionError, as_count, as_path, one_line

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS: Final = 100_000_000


def read_image(
    path: str | PathLike[str], image_shape: tuple[int, int, int], levels: int = 255
) -> np.ndarray:
    """Read a picture file as one image of the given shape.

    The middle of the picture, of the wanted proportions, is resized.  Colours become grey for one channel,
    grey becomes colour for three.  Transparent parts become white.  Pictures are turned as their EXIF data
    say.  Of several frames the first is read.  Brightness is kept: 0 is black and `levels` is white, for
    pictures of 1 to 32 bits and floats (`handgrad.data.brightness` says what is white in each).  The digits
    are bright on dark, so a photograph of ink on paper must be inverted first.

    Args:
        path: a PNG, JPEG, GIF, BMP, WebP, TIFF or PPM (PBM, PGM, PFM) file.
        image_shape: (C, H, W) with C 1 or 3.
        levels: the largest pixel value of the data set.

    Returns:
        The image (C, H, W), uint8 in 0..levels (uint16 where levels is above 255).

    Raises:
        DataError: the file is missing, no picture, corrupt or enormous, or holds numbers that are no
            brightness: negative ones, NaN, or larger ones than its kind should.
    """
    image_shape, levels = _checked(image_shape, levels)
    path = as_path("read_image", "path", path)
    if not path.is_file():
        raise DataError(f"{path}: no such picture file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decoded = _decoded(path, str(path))
    return _resized(decoded, str(path), image_shape, levels)


def read_picture(
    source: Path | BinaryIO, name: str, image_shape: tuple[int, int, int], levels: int = 255
) -> np.ndarray:
    """Read a picture from a path or an open file, `name` in messages; the rest is as in `read_image`.

    Warnings of Pillow are not caught here, so that several threads can read at a time.
    """
    return _resized(_decoded(source, name), name, image_shape, levels)


def _decoded(source: Path | BinaryIO, name: str) -> tuple[Picture, Scale]:
    """The picture, turned as it should stand, and how its file counts."""
    from PIL import ImageOps

    with opened(source, name) as file:
        return ImageOps.exif_transpose(file), scale_of(file)


def _resized(
    decoded: tuple[Picture, Scale], name: str, image_shape: tuple[int, int, int], levels: int
) -> np.ndarray:
    """The image (C, H, W) of a picture."""
    from PIL import Image, ImageOps

    channels, height, width = image_shape
    with _named(name):
        picture = as_eight_bits(name, *decoded, colour=channels == 3)
    pixels = np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC))
    pixels = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    dtype = np.uint8 if levels <= 255 else np.uint16
    return np.ascontiguousarray(np.rint(pixels * (levels / 255)).astype(dtype))


@contextmanager
def opened(source: Path | BinaryIO, name: str) -> Iterator[Picture]:
    """Open a picture; what goes wrong inside of the ``with`` block is a DataError that says `name`."""
    with _named(name), _of_pillow(source, name) as file:
        if file.width * file.height > MAX_PIXELS:
            raise DataError(
                f"{name}: the picture has {file.width}x{file.height} pixels, at most "
                f"{MAX_PIXELS:,} are read; make it smaller first"
            )
        yield file


def _of_pillow(source: Path | BinaryIO, name: str) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(source, formats=FORMATS)
    except UnidentifiedImageError:
        if isinstance(source, Path):
            check_no_pointer(source, name)
        raise


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn what goes wrong with a picture into a DataError that says `name`."""
    from PIL import UnidentifiedImageError

    try:
        yield
    except UnidentifiedImageError:
        kinds = ", ".join(FORMATS)
        raise DataError(
            f"{name}: not a picture of the kinds {kinds}, or of a rare variant"
        ) from None
    except (DataError, UserWarning):
        raise
    except Exception as error:  # the decoders of Pillow raise errors of many kinds
        raise DataError(f"{name}: the picture is corrupt: {one_line(error)}") from error


def _checked(image_shape: Any, levels: Any) -> tuple[tuple[int, int, int], int]:
    is_shape = isinstance(image_shape, tuple | list) and len(image_shape) == 3
    if not is_shape or image_shape[0] not in (1, 3):
        raise OptionError(
            f"read_image: image_shape must be (C, H, W) with C 1 or 3, got {image_shape!r}"
        )
    channels, height, width = (as_count("read_image", "image_shape", size) for size in image_shape)
    return (channels, height, width), as_count("read_image", "levels", levels, maximum=65535)
