"""Augmentations: their meaning, their randomness, and that they leave the input alone."""

import numpy as np
import pytest

from handgrad.data import (
    Augmentation,
    alternating_flip,
    color_jitter,
    cutout,
    random_crop,
    random_flip,
)
from handgrad.errors import OptionError, ShapeError


def images(num=200, shape=(3, 8, 6), dtype=np.float32):
    return (np.random.default_rng(0).random((num, *shape)) * 200 + 1).astype(dtype)


STEPS = [
    random_flip,
    random_crop,
    cutout,
    color_jitter,
    Augmentation({"flip": 0.5, "crop": 2, "cutout": 3, "color_jitter": 0.2}),
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_keeps_shape_and_dtype_and_input(step, dtype):
    X = images(dtype=dtype)
    X.flags.writeable = False
    before = X.copy()
    out = step(X, 1)
    assert out.shape == X.shape
    assert out.dtype == dtype
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, X)
    assert np.array_equal(X, before)
    assert not np.array_equal(out, X)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_same_generator_same_images_and_the_stream_moves_on(step, make):
    X = images()
    first, second = make(5), make(5)
    once = step(X, first)
    assert np.array_equal(once, step(X, second))
    assert not np.array_equal(once, step(X, first))


@pytest.mark.parametrize("step", STEPS)
def test_none_is_numpys_global_stream(step):
    X = images()
    state = np.random.get_state()
    try:
        np.random.seed(3)
        once = step(X, None)
    finally:
        np.random.set_state(state)
    assert np.array_equal(once, step(X, np.random.RandomState(3)))


def test_flip_mirrors_left_to_right_about_half():
    X = images(1000)
    out = random_flip(X, 0)
    kept = (out == X).all(axis=(1, 2, 3))
    mirrored = (out == X[:, :, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 430 < mirrored.sum() < 570
    assert np.array_equal(random_flip(X, 0, p=0), X)
    assert np.array_equal(random_flip(X, 0, p=1), X[:, :, :, ::-1])


def test_crop_shifts_each_image_within_the_padding():
    X = images(2000, (2, 5, 4))
    pad = 2
    out = random_crop(X, 0, pad=pad)
    padded = np.pad(X, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    seen = np.zeros((5, 5), int)
    for before, after in zip(padded, out, strict=True):
        matches = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(before[:, i : i + 5, j : j + 4], after)
        ]
        assert len(matches) == 1
        seen[matches[0]] += 1
    assert seen.min() > 45  # 80 expected of each
    assert np.array_equal(random_crop(X, 0, pad=0), X)


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_cutout_hides_one_square_around_any_pixel(size):
    X = images(3000, (3, 8, 6))
    out = cutout(X, 0, size=size)
    hidden = (out == 0).all(axis=1)
    assert np.array_equal(hidden, (out == 0).any(axis=1))
    assert np.array_equal(
        out[~np.repeat(hidden[:, None], 3, 1)], X[~np.repeat(hidden[:, None], 3, 1)]
    )
    rows, columns = hidden.any(axis=2), hidden.any(axis=1)
    assert np.array_equal(hidden, rows[:, :, None] & columns[:, None, :])
    assert rows.sum(axis=1).max() == min(size, 8)
    assert columns.sum(axis=1).max() == min(size, 6)
    assert hidden.any(axis=(1, 2)).all()
    assert hidden.any(axis=0).all()


def test_color_jitter_draws_a_contrast_for_each_image_and_a_brightness_for_each_channel():
    X = images(4000, (3, 4, 4), np.float64) / 100
    out = color_jitter(X, 0, strength=0.2)
    x, jittered = X.reshape(4000, 3, 16), out.reshape(4000, 3, 16)
    gain = np.ptp(jittered, axis=2) / np.ptp(x, axis=2)
    np.testing.assert_allclose(gain, gain[:, :1].repeat(3, 1), rtol=1e-9)
    shift = (jittered - gain[:, :, None] * x)[:, :, 0]
    np.testing.assert_allclose(jittered, gain[:, :, None] * x + shift[:, :, None], atol=1e-9)
    drawn = np.column_stack([gain[:, 0] - 1, shift])
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), 0.04 * np.eye(4), atol=0.005)
    np.testing.assert_array_equal(color_jitter(X, 0, strength=0), X)


def test_color_jitter_of_bytes_is_rounded_and_stays_in_their_range():
    X = np.full((300, 1, 2, 2), 250, np.uint8)
    out = color_jitter(X, 0, strength=0.1)
    exact = np.rint(color_jitter(X.astype(np.float64), 0, strength=0.1))
    np.testing.assert_allclose(out, np.minimum(exact, 255), atol=1)
    assert out.max() == 255
    assert out.min() > 100


def test_order_is_that_of_the_dictionary_and_names_alone_take_defaults():
    X = images(50, (3, 16, 16))
    rng = np.random.default_rng(2)
    expected = random_flip(cutout(X, rng, 4), rng, 0.5)
    assert np.array_equal(Augmentation({"cutout": 4, "flip": 0.5})(X, 2), expected)
    rng = np.random.default_rng(2)
    expected = random_crop(random_flip(X, rng), rng)
    assert np.array_equal(Augmentation(["flip", "crop"])(X, 2), expected)
    assert Augmentation(["flip", "crop"]).steps == {"flip": None, "crop": None}
    assert np.array_equal(Augmentation({})(X, 2), X)


def test_an_empty_batch_stays_empty():
    X = np.zeros((0, 3, 8, 8), np.float32)
    for step in STEPS:
        assert step(X, 0).shape == X.shape


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"blur": 1}, "blur"),
        (["flip", "zoom"], "known are alternating_flip, color_jitter, crop"),
        ("flip", "expected a dictionary or a list"),
        ({"flip": 1.5}, r"p must be in \[0, 1\]"),
        ({"crop": -1}, "pad must be at least 0"),
        ({"cutout": 0}, "size must be at least 1"),
        ({"cutout": "big"}, "size must be an integer"),
        ({"color_jitter": -0.1}, "color_jitter: strength must be"),
    ],
)
def test_wrong_steps_are_refused_at_once(steps, message):
    with pytest.raises(OptionError, match=message):
        Augmentation(steps)


@pytest.mark.parametrize("step", [random_flip, random_crop, cutout, color_jitter])
def test_other_than_four_dimensions_are_refused(step):
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\)"):
        step(np.zeros((3, 8, 8)), 0)


def test_a_wrong_generator_is_refused():
    with pytest.raises(OptionError, match="rng"):
        random_flip(images(), "seed")


def test_alternating_flip_shows_each_image_once_each_way():
    X = images(1000)
    even, odd = (alternating_flip(X, epoch=epoch) for epoch in (4, 7))
    mirrored = (even == X[:, :, :, ::-1]).all(axis=(1, 2, 3))
    assert 430 < mirrored.sum() < 570
    np.testing.assert_array_equal(odd, np.where(mirrored[:, None, None, None], X, X[:, :, :, ::-1]))
    np.testing.assert_array_equal(even, alternating_flip(X, first=1, epoch=1))


def test_alternating_flip_goes_by_the_place_in_the_training_set():
    X = images(300)
    rows = np.random.default_rng(0).permutation(300)
    augment = Augmentation(["alternating_flip"])
    assert augment.takes_rows
    assert not Augmentation(["flip"]).takes_rows
    out = augment(X[rows], 0, rows=rows, epoch=1)
    np.testing.assert_array_equal(out, alternating_flip(X, epoch=1)[rows])


def test_reflected_crop_continues_the_image_by_its_mirror_image():
    X = images(50, (1, 4, 5))
    out = Augmentation({"reflected_crop": 3})(X, 0)
    padded = np.pad(X, ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    places = [
        {
            (i, j)
            for i in range(7)
            for j in range(7)
            if np.array_equal(before[:, i : i + 4, j : j + 5], after)
        }
        for before, after in zip(padded, out, strict=True)
    ]
    assert all(places)
    assert len(set.union(*places)) > 20


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda X: alternating_flip(X, first=2),
            "alternating_flip: first must be at most 1, got 2",
        ),
        (lambda X: alternating_flip(X, rows=[1]), r"one place for each of 9 images, got \(1,\)"),
        (lambda X: random_crop(X, 0, 6, mode="reflect"), "pad must be at most 5, got 6"),
        (lambda X: random_crop(X, 0, mode="wrap"), "mode must be one of 'constant', 'reflect'"),
    ],
)
def test_wrong_options_are_refused(call, says):
    with pytest.raises((OptionError, ShapeError), match=says):
        call(images(9))
