"""Every mode of Pillow, with the brightness that it should have: saved, read, and compared."""

import io
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from handgrad.data import read_image
from handgrad.data.brightness import Scale, as_eight_bits
from handgrad.errors import DataError

RAMP = np.tile(np.linspace(0, 255, 16).round().astype(np.uint8), (16, 1))  # black to white
GREY = Image.fromarray(RAMP)
COLOURS = np.zeros((16, 16, 3), np.uint8)
COLOURS[..., 0], COLOURS[..., 1], COLOURS[8:, :, 2] = RAMP, RAMP.T, 200
COLOUR = Image.fromarray(COLOURS)


def grey(path):
    return read_image(path, (1, 16, 16))[0].astype(int)


def colour(path):
    return read_image(path, (3, 16, 16)).transpose(1, 2, 0).astype(int)


def with_alpha(picture, mode):
    """The picture, clear in its left half."""
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:, :8] = 0
    picture = picture.convert(mode)
    picture.putalpha(Image.fromarray(alpha))
    return picture


def on_white(pixels):
    pixels = pixels.astype(int)
    pixels[:, :8] = 255
    return pixels


def deep(dtype, white):
    return Image.fromarray(np.rint(RAMP / 255 * white).astype(dtype))


def tiff(values, bits, sample_format=1, photometric=1, order="<"):
    """The bytes of a TIFF of one channel, as other programs write it."""
    values = np.asarray(values)
    if bits == 12:
        pairs = values.astype(np.uint16).reshape(-1, 2)
        data = np.stack(
            [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1
        )
        data = data.astype(np.uint8).tobytes()
    else:
        data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width = values.shape
    short, long = 3, 4
    entries = [(256, short, width), (257, short, height), (258, short, bits), (259, short, 1),
               (262, short, photometric), (273, long, 8), (277, short, 1), (278, short, height),
               (279, long, len(data)), (339, short, sample_format)]  # fmt: skip
    out = io.BytesIO()
    number = lambda value, size: int(value).to_bytes(size, "little" if order == "<" else "big")  # noqa: E731
    out.write((b"II" if order == "<" else b"MM") + number(42, 2) + number(8 + len(data), 4) + data)
    out.write(number(len(entries), 2))
    for tag, kind, value in entries:
        field = number(value, 2) + b"\0\0" if kind == short else number(value, 4)
        out.write(number(tag, 2) + number(kind, 2) + number(1, 4) + field)
    out.write(number(0, 4))
    return out.getvalue()


# fmt: off
GREYS = {  # file name -> picture, or the bytes of the file: all of the ramp
    "l.png": GREY, "l.tiff": GREY, "l.bmp": GREY, "l.pgm": GREY, "l.webp": GREY, "l.gif": GREY,
    "rgb.png": GREY.convert("RGB"), "p.png": GREY.convert("P"), "rgbx.tiff": GREY.convert("RGBX"),
    "la.png": GREY.convert("LA"), "rgba.png": GREY.convert("RGBA"), "la.tiff": GREY.convert("LA"),
    "pa.tiff": GREY.convert("P").convert("PA"),
    "i16.png": deep(np.uint16, 65535), "i16.tiff": deep(np.uint16, 65535), "i16b.tiff": deep(">u2", 65535),
    "16.pgm": b"P5 16 16 65535\n" + np.rint(RAMP * 257.0).astype(">u2").tobytes(),
    "12.pgm": b"P5 16 16 4095\n" + np.rint(RAMP / 255 * 4095).astype(">u2").tobytes(),
    "9.pgm": b"P5 16 16 300\n" + np.rint(RAMP / 255 * 300).astype(">u2").tobytes(),
    "plain.pgm": b"P2 16 16 65535\n" + " ".join(str(v * 257) for v in RAMP.astype(int).ravel()).encode(),
    "16.ppm": b"P6 16 16 65535\n" + np.repeat(RAMP * np.uint16(257), 3).astype(">u2").tobytes(),
    "i32-8.tiff": deep(np.int32, 255), "i32-16.tiff": deep(np.int32, 65535),
    "f-1.tiff": Image.fromarray((RAMP / 255).astype(np.float32)),
    "f-255.tiff": deep(np.float32, 255), "f-16.tiff": deep(np.float32, 65535),
    "f-over.tiff": Image.fromarray((RAMP / 255 * 1.0004).astype(np.float32)),
    "f.pfm": Image.fromarray((RAMP / 255).astype(np.float32)),
    "12.tiff": tiff(np.rint(RAMP / 255 * 4095), 12),
    "signed16.tiff": tiff(np.rint(RAMP / 255 * 32767).astype(np.int16), 16, 2),
    "signed16b.tiff": tiff(np.rint(RAMP / 255 * 32767).astype(np.int16), 16, 2, order=">"),
    "white-is-0-16.tiff": tiff(65535 - RAMP * np.uint16(257), 16, photometric=0),
    "white-is-0-8.tiff": tiff(255 - RAMP, 8, photometric=0),
    "white-is-0-f.tiff": tiff((1 - RAMP / 255).astype(np.float32), 32, 3, photometric=0),
    "signed8.tiff": tiff(np.rint(RAMP / 255 * 127).astype(np.int8), 8, 2),
}
# fmt: on


def save(tmp_path, name, content):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        options = {"lossless": True} if path.suffix == ".webp" else {}
        content.save(path, **options)
    return path


@pytest.mark.parametrize("name", GREYS)
def test_a_grey_ramp_is_the_same_ramp_in_every_mode(tmp_path, name):
    path = save(tmp_path, name, GREYS[name])
    # quantised to 127 brightnesses where a byte has a sign
    assert np.abs(grey(path) - RAMP).max() <= 1
    assert np.abs(colour(path) - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize(
    ("name", "mode", "error"),
    [("rgb.png", "RGB", 0), ("rgb.tiff", "RGB", 0), ("rgbx.tiff", "RGBX", 0), ("rgba.tiff", "RGBA", 0),
     ("ycbcr.tiff", "YCbCr", 3), ("cmyk.tiff", "CMYK", 1), ("p.gif", "RGB", 0)],
)  # fmt: skip
def test_colours_are_the_same_in_every_mode(tmp_path, name, mode, error):
    path = save(tmp_path, name, COLOUR.convert(mode))
    assert np.abs(colour(path) - COLOURS).max() <= error


def test_lab_and_16_bit_colours(tmp_path):
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    soft = Image.fromarray(COLOURS // 4 + 100)  # inside of what both hold
    path = save(tmp_path, "lab.tiff", ImageCms.applyTransform(soft, to_lab))
    assert np.abs(colour(path) - np.asarray(soft)).max() <= 4
    luma = np.asarray(soft.convert("L")).astype(int)
    assert np.abs(grey(path) - luma).max() <= 4
    wide = np.repeat(COLOURS.astype(">u2") * 257, 1)
    path.with_name("wide.ppm").write_bytes(b"P6 16 16 65535\n" + wide.astype(">u2").tobytes())
    assert np.array_equal(colour(path.with_name("wide.ppm")), COLOURS)
    path.with_name("wide.png").write_bytes(png_of_16_bits(wide.reshape(16, 16, 3), 2))
    assert np.array_equal(colour(path.with_name("wide.png")), COLOURS)


def png_of_16_bits(pixels, kind):
    """A PNG of 16 bits a sample; kind: 0 grey, 2 colours, 4 grey with alpha, 6 colours with alpha."""
    import zlib

    def chunk(name, data):
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    head = (16).to_bytes(4, "big") * 2 + bytes([16, kind, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))  # fmt: skip


def test_what_is_clear_is_white_in_every_mode(tmp_path):
    expected = on_white(RAMP)
    for name, picture in {
        "la.png": with_alpha(GREY, "L"),
        "rgba.png": with_alpha(GREY, "RGB"),
        "rgba.webp": with_alpha(GREY, "RGB"),
        "la.tiff": with_alpha(GREY, "L"),
    }.items():
        assert np.abs(grey(save(tmp_path, name, picture)) - expected).max() <= 1, name  # fmt: skip
    for mode in ("La", "RGBa"):
        picture = with_alpha(GREY, {"La": "L", "RGBa": "RGB"}[mode]).convert(mode)
        found = np.asarray(as_eight_bits("x", picture, Scale(), colour=False))
        assert np.abs(found.astype(int) - expected).max() <= 1, mode
    both = np.stack(
        [RAMP * np.uint16(257), np.where(np.arange(16) < 8, 0, 65535) + 0 * RAMP], axis=-1
    )
    (tmp_path / "16.png").write_bytes(png_of_16_bits(both, 4))
    assert np.abs(grey(tmp_path / "16.png") - expected).max() <= 1
    hsv = np.asarray(as_eight_bits("x", COLOUR.convert("HSV"), Scale(), colour=True)).astype(int)
    assert np.abs(hsv - COLOURS).max() <= 8  # Pillow's HSV has 256 hues


@pytest.mark.parametrize("clear", [0, bytes([0, *[255] * 255])])
def test_palettes_with_a_clear_colour(tmp_path, clear):
    palette = GREY.convert("P")
    black = np.asarray(palette) == np.asarray(palette)[0, 0]
    clear = int(np.asarray(palette)[0, 0]) if clear == 0 else clear
    palette.save(tmp_path / "p.png", transparency=clear)
    expected = np.where(black, 255, RAMP.astype(int)) if isinstance(clear, int) else None
    if expected is None:
        expected = np.where(np.asarray(palette) == 0, 255, RAMP.astype(int))
    assert np.array_equal(grey(tmp_path / "p.png"), expected)


def test_a_clear_grey_of_8_and_16_bits(tmp_path):
    for name, picture in {"8.png": GREY, "16.png": deep(np.uint16, 65535)}.items():
        picture.save(tmp_path / name, transparency=0)
        assert np.abs(grey(tmp_path / name) - np.where(RAMP == 0, 255, RAMP.astype(int))).max() <= 1


def test_one_bit(tmp_path):
    bits = GREY.convert("1", dither=Image.Dither.NONE)
    for name in ("1.png", "1.tiff", "1.bmp", "1.pbm"):
        assert np.array_equal(grey(save(tmp_path, name, bits)), np.where(RAMP > 127, 255, 0)), name


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "F", "1", "P", "LA", "CMYK"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_turn_of_every_mode(tmp_path, mode, turn):
    content = deep(np.uint16, 65535) if mode == "I;16" else GREY.convert(mode)
    marked = content.copy()
    marked.paste(content.crop((12, 0, 16, 4)), (0, 0))  # white into one corner
    path = tmp_path / "a.tiff"
    exif = Image.Exif()
    exif[0x0112] = turn
    marked.save(path, exif=exif)
    plain = tmp_path / "b.tiff"
    marked.save(plain)
    upright = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
               5: lambda a: a.T, 6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].T,
               8: np.rot90}[turn]  # fmt: skip
    assert np.array_equal(grey(path), upright(grey(plain)))


def test_of_several_frames_the_first(tmp_path):
    other = Image.fromarray(255 - RAMP)
    for name in ("a.gif", "a.tiff", "a.webp", "a.png"):
        options = {"lossless": True} if name.endswith("webp") else {}
        GREY.save(tmp_path / name, save_all=True, append_images=[other], **options)
        assert np.array_equal(grey(tmp_path / name), RAMP), name
    deep(np.int32, 65535).save(
        tmp_path / "i.tiff", save_all=True, append_images=[deep(np.int32, 255)]
    )
    assert np.abs(grey(tmp_path / "i.tiff") - RAMP).max() <= 1


def pixels(*values, dtype):
    return Image.fromarray(np.array([values] * 4, dtype))


@pytest.mark.parametrize(
    ("picture", "pattern"),
    [
        (pixels(-1, 2, dtype=np.int32), r"has pixels of -1\.\.2, where 0\.\.1, 0\.\.255 or"),
        (pixels(0, 70_000, dtype=np.int32), r"has pixels of 0\.\.70000, where"),
        (pixels(-0.5, 0.5, dtype=np.float32), r"has pixels of -0\.5\.\.0\.5, where"),
        (pixels(0, 1.5, dtype=np.float32), r"has pixels of 0\.\.1\.5, where"),
        (pixels(0, 1e6, dtype=np.float32), r"has pixels of 0\.\.1e\+06, where"),
        (pixels(0, np.nan, dtype=np.float32), "has pixels that are NaN or infinite"),
        (pixels(0, np.inf, dtype=np.float32), "has pixels that are NaN or infinite"),
        (tiff(np.full((4, 4), -3, np.int16), 16, 2), r"has pixels of -3\.\.-3, where 0\.\.32767"),
        (tiff(np.full((4, 4), -3, np.int8), 8, 2), r"has pixels of -3\.\.-3, where 0\.\.127"),
    ],
)
def test_numbers_that_are_no_brightness(tmp_path, picture, pattern):
    path = save(tmp_path, "a.tiff", picture)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))} {pattern}"):
        read_image(path, (1, 4, 4))


def test_a_picture_nearly_black_is_read_with_a_warning(tmp_path):
    path = save(tmp_path, "a.tiff", deep(np.uint16, 4095))
    with pytest.warns(UserWarning, match="a.tiff: the picture counts to 65535, but .* is 4095"):
        assert grey(path).max() == 16
    black = save(tmp_path, "b.tiff", deep(np.uint16, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grey(black).max() == 0


def test_levels_of_every_size(tmp_path):
    path = save(tmp_path, "a.png", GREY)
    for levels, dtype in ((1, np.uint8), (16, np.uint8), (255, np.uint8), (4095, np.uint16)):
        found = read_image(path, (1, 16, 16), levels)
        assert found.dtype == dtype
        assert np.array_equal(found[0], np.rint(RAMP * (levels / 255)))


def damaged_sources():
    files = []
    for suffix in ("png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm"):
        buffer = io.BytesIO()
        COLOUR.save(buffer, suffix)
        files.append((suffix, buffer.getvalue()))
    return [*files, ("tiff", tiff(RAMP, 8)), ("tiff", tiff(np.rint(RAMP / 255 * 4095), 12))]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(damaged_sources()), st.data())
def test_damaged_files_are_data_errors_or_pictures(tmp_path_factory, source, data):
    suffix, content = source
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert read_image(path, (3, 8, 8)).shape == (3, 8, 8)
        except DataError:
            with pytest.raises(DataError, match=path.name):
                read_image(path, (3, 8, 8))


def test_texts_in_a_png_do_not_matter(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("transparency", "0")
    GREY.save(tmp_path / "a.png", pnginfo=info)
    assert np.array_equal(grey(tmp_path / "a.png"), RAMP)
