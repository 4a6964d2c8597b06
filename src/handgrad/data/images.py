"""Pictures from files, as the images of a data set."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import TYPE_CHECKING, Final

import numpy as np

from handgrad.errors import DataError, OptionError, as_count, as_path

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS: Final = 100_000_000


def read_image(
    path: str | PathLike[str], image_shape: tuple[int, int, int], levels: int = 255
) -> np.ndarray:
    """Read a picture file as one image of the given shape.

    The middle of the picture, of the wanted proportions, is resized; colours become grey for one
    channel, grey becomes colour for three; transparent parts become white; pictures are turned as
    their EXIF data say.  Brightness is kept: 0 is black and `levels` is white.  The digits are bright
    on dark, so a photograph of ink on paper must be inverted first.

    Args:
        path: a PNG, JPEG, GIF (first frame), BMP, WebP, TIFF or PPM file.
        image_shape: (C, H, W) with C 1 or 3.
        levels: the largest pixel value of the data set.

    Returns:
        The image (C, H, W), uint8 in 0..levels.

    Raises:
        DataError: the file is missing, no picture, corrupt or enormous.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    is_shape = isinstance(image_shape, tuple | list) and len(image_shape) == 3
    if not is_shape or image_shape[0] not in (1, 3):
        raise OptionError(
            f"read_image: image_shape must be (C, H, W) with C 1 or 3, got {image_shape!r}"
        )
    channels, height, width = (as_count("read_image", "image_shape", size) for size in image_shape)
    path = as_path("read_image", "path", path)
    if not path.is_file():
        raise DataError(f"{path}: no such picture file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as file:
                if file.width * file.height > MAX_PIXELS:
                    raise DataError(
                        f"{path}: the picture has {file.width}x{file.height} pixels, at most "
                        f"{MAX_PIXELS:,} are read; make it smaller first"
                    )
                picture = ImageOps.exif_transpose(file)
                picture = _flatten(picture).convert("L" if channels == 1 else "RGB")
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a picture of the kinds {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: the picture is corrupt: {error}") from error
    pixels = np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC))
    pixels = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return np.ascontiguousarray(np.rint(pixels * (levels / 255)).astype(np.uint8))


def _flatten(picture: Picture) -> Picture:
    """The picture with 8 bits a pixel, on white where it was transparent."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture)
    return picture
