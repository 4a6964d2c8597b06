"""What the numbers of a picture file mean: every mode of Pillow as 8-bit grey or colour.

===============================  ============================================  ====================
Pillow's mode                    where it comes from                           white
===============================  ============================================  ====================
1, L, P, RGB, YCbCr, LAB, HSV    pictures of up to 8 bits; PNG of 3 x 16 bits  as Pillow converts it
CMYK, RGBX                       printing; TIFF                                as Pillow converts it
LA, PA, RGBA, La, RGBa           with transparency, which is laid on white     as Pillow converts it
I;16, I;16B, I;16L, I;16N        PNG and TIFF of 16 bits; TIFF of 12           2^bits - 1
I                                PGM of more than 8 bits (Pillow scales them)  65,535
I                                TIFF of 16 bits with a sign                   32,767
I                                TIFF of 32 bits                               1, 255 or 65,535
F                                TIFF and PFM of floats                        1, 255 or 65,535
===============================  ============================================  ====================

A file of 32 bits does not say which number is white.  Then it is the smallest of the customary ones that
is not below the largest number of the picture; a picture without one is refused, as is one with negative
numbers, NaN or infinity.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from handgrad.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_CUSTOMARY: Final = (1, 255, 65535)
_SLACK: Final = 1e-3  # floats that were resized or compressed may be that much above 1
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_SIGNED = 2


class Scale(NamedTuple):
    """How a file counts: the number that is white (None where it does not say), and two oddities.

    white_is_zero: a deep TIFF counts from white to black; signed: bytes from -128 to 127.
    """

    white: int | None = None
    white_is_zero: bool = False
    signed: bool = False


def scale_of(file: Picture) -> Scale:
    """Return how the opened picture `file` counts."""
    mode = file.mode
    is_deep = mode.startswith("I") or mode == "F"
    tags = getattr(file, "tag_v2", None)
    if tags is None:
        return Scale(65535 if mode.startswith("I") else None)
    bits = tags.get(_BITS, (1,))[0]
    signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    white = None
    if is_deep and mode != "F" and bits <= 16:
        white = 2 ** (bits - signed) - 1
    return Scale(white, is_deep and tags.get(_PHOTOMETRIC) == 0, signed and mode == "L")


def as_eight_bits(name: str, picture: Picture, scale: Scale, colour: bool) -> Picture:
    """Return `picture` in the mode L, or RGB if `colour`, on white where it was transparent.

    Raises DataError, which begins with `name`, if its numbers are no brightness; warns of a picture of 16
    bits that is nearly black.
    """
    from PIL import Image

    if isinstance(picture.info.get("transparency"), str):  # a text of that name in a PNG
        del picture.info["transparency"]
    if picture.mode.startswith("I") or picture.mode == "F" or scale.signed:
        picture = Image.fromarray(_scaled(name, picture, scale))
    elif picture.mode == "LAB":
        picture = picture.convert("RGB")
    elif picture.has_transparency_data:
        if picture.mode in ("La", "RGBa"):
            picture = picture.convert({"La": "LA", "RGBa": "RGBA"}[picture.mode])
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB" if colour else "L")


def _scaled(name: str, picture: Picture, scale: Scale) -> np.ndarray:
    """The pixels of a picture of one channel of integers or floats, 0 black and 255 white."""
    pixels = np.asarray(picture)
    if scale.signed and pixels.dtype == np.uint8:
        pixels, scale = pixels.view(np.int8), scale._replace(white=127)
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            f"{name} has pixels that are NaN or infinite; replace them, and save it with 8 bits"
        )
    low, high = values.min(), values.max()
    white = scale.white
    if white is None and low >= 0:
        white = next((w for w in _CUSTOMARY if high <= w * (1 + _SLACK)), None)
        if white == 255 and high < 2 and pixels.dtype.kind == "f":
            white = None  # neither of 0..1 nor surely of 0..255
    if low < 0 or white is None or high > white * (1 + _SLACK):
        held = "0..1, 0..255 or 0..65535" if scale.white is None else f"0..{scale.white}"
        raise DataError(
            f"{name} has pixels of {low:g}..{high:g}, where {held} was expected, black to white; bring them "
            "to 0..255 and save it with 8 bits"
        )
    if 0 < high <= white / 16 and white > 255:
        warnings.warn(
            f"{name}: the picture counts to {white}, but its largest number is {high:g}, so it is nearly "
            f"black; if its white is less than {white}, bring it to 0..255 and save it with 8 bits",
            stacklevel=4,
        )
    if scale.white_is_zero:
        values = white - values
    scaled = np.rint(np.clip(values * (255 / white), 0, 255)).astype(np.uint8)
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        scaled[pixels == clear] = 255
    return scaled
