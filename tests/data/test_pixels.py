"""Pixels against the range that was fitted: in every place that takes pixels, in every dtype."""

import dataclasses
import warnings

import numpy as np
import pytest

from handgrad.data import Dataset, Preprocessing, digits_dataset
from handgrad.errors import DataError, DtypeError, HandgradError, OptionError, ShapeError

WHOLE = np.arange(3 * 2 * 2 * 2).reshape(3, 2, 2, 2) % 17


def fitted(levels=255, **options):
    return Preprocessing.fit("mine", WHOLE, levels=levels, **options)


def dataset(levels):
    prepare = fitted(levels)
    arrays = {"X_train": prepare(WHOLE), "y_train": np.array([0, 1, 0])}
    return Dataset("mine", arrays, ("a", "b"), prepare)


# what takes pixels, for a range 0..levels
PLACES = {
    "Preprocessing": fitted,
    "Dataset.preprocess": lambda levels: dataset(levels).preprocess,
    "fit": lambda levels: lambda images: Preprocessing.fit("mine", images, levels=levels),
    "standardized fit": lambda levels: (
        lambda images: Preprocessing.fit("mine", images, levels=levels, standardize=True)
    ),
}
UNIT = WHOLE / 16


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("levels", "images", "expected", "got"),
    [
        (16, WHOLE + 239, r"0\.\.16", r"239\.\.255"),
        (16, (WHOLE + 239).astype(np.uint8), r"0\.\.16", r"239\.\.255"),
        (16, WHOLE * 16.0, r"0\.\.16", r"0\.\.256"),
        (255, WHOLE - 1, r"0\.\.255", r"-1\.\.15"),
        (255, (WHOLE * 8 - 128).astype(np.int8), r"0\.\.255", r"-128\.\.0"),
        (255, WHOLE * 300, r"0\.\.255", r"0\.\.4800"),
        (255, UNIT, r"0\.\.255", r"0\.\.1"),
        (16, UNIT.astype(np.float32), r"0\.\.16", r"0\.\.1"),
        (16, (WHOLE > 8) * 1.0, r"0\.\.16", r"0\.\.1"),
        (255, WHOLE > 8, r"0\.\.255", "bool"),
    ],
)
def test_another_range_is_refused_by_a_message_that_names_both(
    place, levels, images, expected, got
):
    with pytest.raises((DataError, DtypeError), match=f"{expected}.*got .*{got}.*; "):
        PLACES[place](levels)(images)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(place, bad):
    images = WHOLE.astype(float)
    images[1, 1, 1, 1] = bad
    with pytest.raises(DataError, match="must be finite, got NaN or infinity"):
        PLACES[place](255)(images)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "images",
    [WHOLE * 1j, WHOLE.astype(str), WHOLE.astype(object), None, [[1, 2], [3]], "a.png",
     np.ma.masked_equal(WHOLE, 3), WHOLE.astype("M8[s]"), (row for row in WHOLE)],
)  # fmt: skip
def test_what_is_no_array_of_numbers(place, images):
    with pytest.raises(HandgradError, match="images"):
        PLACES[place](255)(images)


@pytest.mark.parametrize("place", PLACES)
def test_pixels_of_0_and_1_alone_are_warned_of(place):
    use = PLACES[place](255)
    with pytest.warns(UserWarning, match=r"0\.\.255.*0.*1.*nearly black"):
        use((WHOLE > 8).astype(np.uint8))


@pytest.mark.parametrize(
    ("levels", "images"),
    [
        (255, UNIT),
        (255, WHOLE > 8),
        (16, np.full((3, 2, 2, 2), 255)),
        (16, np.full((3, 2, 2, 2), 4000)),
        (255, np.full((3, 2, 2, 2), 65535)),
    ],
)
def test_the_advice_works(levels, images):
    """The expression behind "pass" is computed; then the images have the range, and are taken."""
    use = fitted(levels)
    with pytest.raises(DataError) as caught:
        use(images)
    advice = str(caught.value).rpartition("pass ")[2]
    taken = eval(advice, {"images": images})
    assert taken.max() == pytest.approx(levels * images.max() / {1: 1, 4000: 4095}.get(
        images.max(), images.max()))  # fmt: skip
    assert use(taken).shape == images.shape


def test_the_advice_of_fit_works():
    for images in (UNIT, UNIT * 200.5):
        with pytest.raises(DtypeError) as caught:
            Preprocessing.fit("mine", images)
        advice = str(caught.value).partition("convert them with ")[2]
        whole = eval(advice, {"images": images, "np": np})
        assert Preprocessing.fit("mine", whole).mean.max() > 1


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "u8", ">i4", "f4", "f8"])
def test_whole_numbers_of_every_dtype_are_fitted_alike(dtype):
    for options in ({}, {"standardize": True}):
        expected = fitted(16, **options)
        found = Preprocessing.fit("mine", WHOLE.astype(dtype), levels=16, **options)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.std, expected.std)
    np.testing.assert_allclose(fitted(16).mean, WHOLE.mean(axis=0))


def test_what_is_in_the_range_is_taken_without_a_word():
    prepare = fitted(16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for images in (WHOLE, WHOLE.astype(float), WHOLE * 0, WHOLE * 0.0, WHOLE * 0.9, WHOLE[:0]):
            np.testing.assert_allclose(prepare(images), images - prepare.mean, atol=1e-6)
        # what was computed may be a rounding error outside
        np.testing.assert_allclose(prepare(prepare.undo(prepare(WHOLE))), prepare(WHOLE), atol=1e-5)


def test_a_photograph_of_255_levels_is_refused_by_the_digits():
    prepare = digits_dataset().preprocessing
    with pytest.raises(DataError, match=r"in 0\.\.16, .* got int64 in 0\.\.255; .*16 / 255"):
        prepare(np.arange(64).reshape(1, 8, 8) * 4 + 3 * (np.arange(64) > 0).reshape(1, 8, 8))


def test_fit_refuses_levels_and_shapes():
    for levels in (0, -1, 1.5, "255", None, 10**9):
        with pytest.raises(OptionError, match="levels"):
            Preprocessing.fit("mine", WHOLE, levels=levels)
    for images in (WHOLE[0], WHOLE[:0], WHOLE[..., None], 3):
        with pytest.raises(ShapeError, match=r"images must be \(N, C, H, W\)"):
            Preprocessing.fit("mine", images)


@pytest.mark.parametrize(
    "change",
    [
        {"image_shape": (2, 2)},
        {"image_shape": "abc"},
        {"levels": 0},
        {"mean": np.ones((3, 1, 1))},
        {"mean": np.full((2, 2, 2), np.nan)},
        {"mean": "no"},
        {"std": np.zeros((1, 1, 1))},
        {"std": -np.ones((1, 1, 1))},
        {"dtype": int},
    ],
)
def test_a_preprocessing_of_wrong_parts_is_refused(change):
    with pytest.raises(HandgradError, match=f"Preprocessing: .*{next(iter(change))}"):
        dataclasses.replace(fitted(), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": None},
        {"arrays": {"X_train": np.ones((3, 2, 2, 2))}},
        {"arrays": {"X_tain": np.ones((3, 2, 2, 2)), "y_tain": np.zeros(3, int)}},
        {"arrays": {"X_train": WHOLE, "y_train": np.zeros(3, int)}},
        {"arrays": {"X_train": np.ones((3, 4)), "y_train": np.zeros(3, int)}},
        {"arrays": {"X_train": np.ones((3, 2, 2, 2)), "y_train": np.zeros(2, int)}},
        {"arrays": {"X_train": np.ones((3, 2, 2, 2)), "y_train": np.full(3, 2)}},
        {"arrays": {"X_train": np.ones((3, 2, 2, 2)), "y_train": np.zeros(3)}},
        {"class_names": "ab"},
        {"class_names": (1, 2)},
        {"preprocessing": None},
    ],
)
def test_a_data_set_of_wrong_parts_is_refused(change):
    with pytest.raises(HandgradError, match="data set 'mine': "):
        dataclasses.replace(dataset(255), **change)
