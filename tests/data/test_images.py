"""Pictures from files."""

import numpy as np
import pytest
from PIL import Image

from handgrad.data import read_image
from handgrad.errors import DataError, OptionError


def picture(shape=(32, 32, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_picture_of_the_right_size_is_read_exactly(tmp_path):
    pixels = picture()
    for name in ("a.png", "a.bmp", "a.ppm", "a.tiff"):
        Image.fromarray(pixels).save(tmp_path / name)
        found = read_image(tmp_path / name, (3, 32, 32))
        assert found.dtype == np.uint8
        assert np.array_equal(found, pixels.transpose(2, 0, 1))


def test_grey_becomes_colour_and_colour_grey(tmp_path):
    grey = picture((8, 8))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png", (3, 8, 8)), np.stack([grey] * 3))
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[:, :, 1] = 200  # green weighs 0.587
    Image.fromarray(colour).save(tmp_path / "colour.png")
    assert np.unique(read_image(tmp_path / "colour.png", (1, 8, 8))).tolist() == [117]


def test_levels_scale_black_to_white(tmp_path):
    ramp = np.array([[0, 7, 8, 127, 128, 248, 254, 255]] * 8, np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    found = read_image(tmp_path / "ramp.png", (1, 8, 8), levels=16)
    assert found[0, 0].tolist() == [0, 0, 1, 8, 8, 16, 16, 16]


def test_the_middle_is_resized(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = (250, 100, 10)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = read_image(tmp_path / "wide.png", (3, 10, 10))
    assert found.shape == (3, 10, 10)
    assert found[:, 5, 5].tolist() == [250, 100, 10]
    assert np.abs(found.astype(int) - np.reshape([250, 100, 10], (3, 1, 1))).max() < 20


def test_transparency_is_white_and_16_bits_keep_their_brightness(tmp_path):
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:2] = (10, 20, 30, 255)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    found = read_image(tmp_path / "clear.png", (3, 4, 4))
    assert found[:, 0, 0].tolist() == [10, 20, 30]
    assert found[:, 3, 3].tolist() == [255, 255, 255]
    deep = np.full((4, 4), 0x8040, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.unique(read_image(tmp_path / "deep.png", (1, 4, 4))).tolist() == [0x80]


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    pixels = picture((6, 6, 3))
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # the top is at the right: turn by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(
        read_image(tmp_path / "turned.png", (3, 6, 6)), np.rot90(pixels, -1).transpose(2, 0, 1)
    )


def hostile(tmp_path, kind):
    path = tmp_path / f"{kind}.png"
    Image.fromarray(picture()).save(path)
    whole = path.read_bytes()
    content = {
        "empty": b"",
        "text": b"this is no picture",
        "truncated": whole[: len(whole) // 2],
        "flipped": whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n",
        "enormous": b"P6 12000 12000 255\n" + bytes(1000),
        "beyond Pillow": b"P6 200000 200000 255\n" + bytes(1000),
    }[kind]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "kind", ["empty", "text", "truncated", "flipped", "postscript", "enormous", "beyond Pillow"]
)
def test_what_is_no_picture_is_a_data_error(tmp_path, kind):
    path = hostile(tmp_path, kind)
    with pytest.raises(DataError, match=path.name):
        read_image(path, (3, 32, 32))


def test_other_formats_and_too_many_pixels_are_not_decoded(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.pcx")
    with pytest.raises(DataError, match="not a picture of the kinds PNG"):
        read_image(tmp_path / "a.pcx", (3, 32, 32))
    with pytest.raises(DataError, match="12000x12000 pixels, at most 100,000,000"):
        read_image(hostile(tmp_path, "enormous"), (3, 32, 32))


def test_missing_files_folders_and_shapes(tmp_path):
    with pytest.raises(DataError, match="no such picture"):
        read_image(tmp_path / "missing.png", (3, 32, 32))
    with pytest.raises(DataError, match="no such picture"):
        read_image(tmp_path, (3, 32, 32))
    with pytest.raises(OptionError, match="C 1 or 3, got"):
        read_image(tmp_path, (2, 32, 32))
