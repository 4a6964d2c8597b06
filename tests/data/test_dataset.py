"""The courses' dictionary, preprocessing, options, digits and shapes."""

import hashlib
from importlib import resources

import numpy as np
import pytest

from handgrad import data
from handgrad.data import Preprocessing
from handgrad.data.digits import read_digits
from handgrad.errors import OptionError, ShapeError

KEYS = ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]


def images_of(shape, levels=255, seed=0):
    return np.random.default_rng(seed).integers(0, levels + 1, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "options", "sizes", "shape"),
    [
        ("digits", {}, (1200, 297, 300), (1, 8, 8)),
        (
            "shapes",
            {"num_training": 30, "num_validation": 20, "num_test": 10},
            (30, 20, 10),
            (3, 32, 32),
        ),
    ],
)
def test_every_data_set_gives_the_courses_dictionary(name, options, sizes, shape):
    dataset = data.load(name, **options)
    assert list(dataset.arrays) == KEYS
    for split, size in zip(("train", "val", "test"), sizes, strict=True):
        X, y = dataset.arrays[f"X_{split}"], dataset.arrays[f"y_{split}"]
        assert X.shape == (size, *shape)
        assert X.dtype == np.float32
        assert X.flags.c_contiguous
        assert y.shape == (size,)
        assert y.dtype == np.int64
        assert set(y) <= set(range(10))
    assert dataset.image_shape == shape
    assert dataset.num_classes == len(dataset.class_names) == 10


def test_the_shipped_digits_are_the_published_ones():
    content = (resources.files("handgrad.data") / "digits.npz").read_bytes()
    expected = "6a6432310fd6e1be5ff3b45259efbbb2c8e76103c5f64f64b4d80f530315b5c6"
    assert hashlib.sha256(content).hexdigest() == expected
    images, labels = read_digits()
    assert images.shape == (1797, 1, 8, 8)
    assert (images.min(), images.max()) == (0, 16)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert images[0, 0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_the_split_of_the_digits_is_fixed_and_takes_each_image_once():
    dataset = data.load("digits", dtype="float64")
    arrays = dataset.arrays
    assert arrays["y_train"][:10].tolist() == [4, 5, 1, 4, 1, 3, 7, 1, 8, 1]
    assert arrays["y_test"][:10].tolist() == [2, 4, 7, 0, 1, 4, 4, 0, 9, 5]
    joined = np.concatenate([arrays["X_train"], arrays["X_val"], arrays["X_test"]])
    pixels = np.rint(dataset.preprocessing.undo(joined)).astype(np.uint8)
    images, _ = read_digits()
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, images))


def test_digits_are_standardized_over_the_training_images():
    X = data.load_digits(dtype=np.float64)["X_train"]
    assert abs(X.mean()) < 1e-12
    assert abs(X.std() - 1) < 1e-12


def test_mean_image_is_that_of_the_training_images_alone():
    images = images_of((50, 3, 4, 5))
    prepare = Preprocessing.fit("test", images, dtype="float64")
    expected = images.astype(np.float64) - np.mean(images.astype(np.float64), axis=0)
    assert np.array_equal(prepare(images), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardization_is_by_channel(dtype):
    images = images_of((450, 3, 4, 5))
    images[:, 1] //= 3
    prepare = Preprocessing.fit("test", images, standardize=True, dtype=dtype)
    wide = images.astype(np.float64)
    axes = (0, 2, 3)
    expected = (wide - wide.mean(axes, keepdims=True)) / wide.std(axes, keepdims=True)
    X = prepare(images)
    assert X.dtype == dtype
    np.testing.assert_allclose(X, expected, rtol=0, atol=1e-14 if dtype == "float64" else 1e-6)


def test_a_constant_channel_stays_finite():
    images = np.full((4, 1, 2, 2), 7, np.uint8)
    assert np.array_equal(
        Preprocessing.fit("test", images, standardize=True)(images), np.zeros((4, 1, 2, 2))
    )


def test_without_mean_and_deviation_pixels_stay():
    images = images_of((3, 3, 2, 2))
    assert np.array_equal(Preprocessing.fit("test", images, subtract_mean=False)(images), images)


def test_float32_is_the_rounded_float64():
    images = images_of((300, 3, 4, 4))
    wide = Preprocessing.fit("test", images, dtype="float64")(images)
    narrow = Preprocessing.fit("test", images, dtype="float32")(images)
    assert np.array_equal(narrow, wide.astype(np.float32))


def test_preprocess_takes_either_layout_and_undo_returns():
    images = images_of((5, 3, 6, 4))
    prepare = Preprocessing.fit("test", images, standardize=True, dtype="float64")
    X = prepare(images)
    last = prepare(images.transpose(0, 2, 3, 1))
    assert np.array_equal(X, last)
    assert last.flags.c_contiguous
    np.testing.assert_allclose(prepare.undo(X), images, atol=1e-12)
    digits = data.load("digits")
    grey = images_of((2, 8, 8), 16)
    assert np.array_equal(digits.preprocess(grey), digits.preprocess(grey[:, None]))


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 3, 32, 31), (2, 1, 32, 32), (0,)])
def test_preprocess_refuses_other_sizes(shape):
    prepare = Preprocessing.fit("test", images_of((2, 3, 32, 32)))
    with pytest.raises(ShapeError, match=r"expected|must have shape"):
        prepare(np.zeros(shape, np.uint8))


def test_fingerprint_tells_data_apart():
    first, again = (
        data.load("shapes", num_training=10, num_validation=2, num_test=2) for _ in range(2)
    )
    other = data.load("shapes", num_training=10, num_validation=2, num_test=2, seed=1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    first.arrays["y_test"][0] += 1
    assert first.fingerprint() != again.fingerprint()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnist", {}, "must be one of 'digits', 'shapes', 'cifar10'"),
        ("digits", {"size": 3}, "known are dtype, standardize, subtract_mean"),
        ("shapes", {"num_train": 3}, "num_training"),
        ("shapes", {"num_training": 0}, "num_training must be at least 1"),
        ("shapes", {"num_test": -1}, "num_test must be at least 0"),
        ("shapes", {"seed": 1.5}, "seed must be an integer"),
        ("digits", {"dtype": "int8"}, "float32, float64"),
        ("digits", {"dtype": "nonsense"}, "float32, float64"),
        ("cifar10", {"num_training": 49_001}, "at most 50000"),
        ("cifar10", {"num_test": 10_001}, "at most 10000"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(OptionError, match=message):
        data.load(name, **options)


def test_options_of_lists_names_and_defaults():
    assert data.options_of("cifar10")["num_training"] == 49_000
    assert set(data.options_of("digits")) == {"subtract_mean", "standardize", "dtype"}


def test_shapes_do_not_depend_on_how_many_are_asked_for():
    many, labels = data.make_shapes(520, seed=3)
    few, few_labels = data.make_shapes(505, seed=3)
    assert np.array_equal(many[:505], few)
    assert np.array_equal(labels[:505], few_labels)
    assert np.bincount(labels).tolist() == [52] * 10


def test_shapes_are_the_same_on_every_machine():
    images, _ = data.make_shapes(20, seed=231)
    expected = "69bf0c05c24024f0a7ccae5da1ff6703971d726270eabc2891d0e1f83225f501"
    assert hashlib.sha256(images.tobytes()).hexdigest() == expected


def test_shapes_differ_by_seed_and_part():
    pictures = [
        data.make_shapes(10, seed, part)[0] for seed, part in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    for i, first in enumerate(pictures):
        for second in pictures[:i]:
            assert (first != second).mean() > 0.9
    dataset = data.load(
        "shapes",
        num_training=10,
        num_validation=10,
        num_test=10,
        subtract_mean=False,
        standardize=False,
    )
    assert np.array_equal(dataset.arrays["X_val"], data.make_shapes(10, 0, 1)[0])


def test_shapes_are_centred_and_scaled_unless_told_otherwise():
    X = data.load("shapes", num_training=50, num_validation=1, num_test=1).arrays["X_train"]
    np.testing.assert_allclose(X.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(X.std(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_each_shape_can_be_told_from_its_silhouette():
    from handgrad.data.shapes import SHAPES

    v, u = np.mgrid[-1.2:1.2:61j, -1.2:1.2:61j][:, None]
    silhouettes = [shape(u, v)[0] < 0 for shape in SHAPES]
    for i, first in enumerate(silhouettes):
        assert 0.12 < first.mean() < 0.6
        assert not np.concatenate([first[[0, -1]], first[:, [0, -1]].T]).any()  # it ends within
        for second in silhouettes[:i]:
            overlap = (first & second).sum() / (first | second).sum()
            assert overlap < 0.85
