"""Arrays of one's own: files of every kind, their layout, their targets; damaged ones."""

import gzip
import struct
from contextlib import suppress

import numpy as np
import pytest
from safetensors.numpy import save_file

from handgrad.data import from_arrays, kind_of, load
from handgrad.data.arrayfiles import inputs_in, read_idx
from handgrad.errors import DataError, HandgradError, OptionError, ShapeError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (60, 6, 6), np.uint8)
DIGITS = np.arange(60) % 3


def idx_bytes(array, kind=8):
    head = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype({8: ">u1", 13: ">f4"}[kind]).tobytes()


def rows_of(dataset):
    return {part: len(dataset.arrays[f"y_{part}"]) for part in ("train", "val", "test")}


def test_files_of_all_kinds_give_the_same_data_set(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=DIGITS)
    save_file({"X": PIXELS, "y": DIGITS}, tmp_path / "b.safetensors")
    pair, idx = tmp_path / "pair", tmp_path / "idx"
    pair.mkdir()
    idx.mkdir()
    np.save(pair / "X.npy", PIXELS)
    np.save(pair / "y.npy", DIGITS)
    (idx / "images-idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    (idx / "labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(DIGITS)))
    memory = from_arrays(PIXELS, DIGITS)
    assert memory.input_shape == (1, 6, 6)
    assert memory.preprocessing.kind == "images"
    for path in (tmp_path / "a.npz", tmp_path / "b.safetensors", pair, pair / "X.npy", idx):
        made = load("arrays", path=str(path))
        assert made.fingerprint() == memory.fingerprint(), path
        assert made.settings["path"] == str(path)


def test_bytes_of_idx_files_are_labels_however_many(tmp_path):
    labels = np.array([*range(30)] * 2, np.uint8) * 3  # 30 different ones, with gaps
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    dataset = from_arrays(tmp_path)
    assert dataset.task == "classification"
    assert dataset.class_names == tuple(str(3 * k) for k in range(30))
    assert any("bytes in IDX files are labels (--task" in note for note in dataset.notes)
    assert from_arrays(tmp_path, task="regression").task == "regression"
    np.savez(tmp_path / "a.npz", X=PIXELS, y=labels)
    (tmp_path / "a").mkdir()
    (tmp_path / "a.npz").rename(tmp_path / "a" / "a.npz")
    assert from_arrays(tmp_path / "a").task == "regression"


def test_packed_and_unpacked_files_side_by_side(tmp_path):
    for name, array in (("images-idx3", PIXELS), ("labels-idx1", DIGITS)):
        content = idx_bytes(array)
        (tmp_path / f"train-{name}-ubyte").write_bytes(content)
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(content))
    (tmp_path / "class-idx.json").write_text("{}")  # not of MNIST's form
    assert len(from_arrays(tmp_path).split.digest) > 0
    (tmp_path / "train.images.idx3").write_bytes(idx_bytes(PIXELS))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte and train\.images\.idx3 hold an"):
        from_arrays(tmp_path)


def test_a_folder_says_where_its_arrays_are(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    for place in (tmp_path, tmp_path / "MNIST"):
        with pytest.raises(DataError, match=r"; there is in .*raw$"):
            kind_of(place)


def test_parts_in_the_file_are_kept(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=PIXELS[:40], y_train=DIGITS[:40], x_test=PIXELS[40:],
             y_test=DIGITS[40:])  # fmt: skip
    dataset = from_arrays(tmp_path / "a.npz")
    assert rows_of(dataset) == {"train": 34, "val": 6, "test": 20}
    assert np.array_equal(dataset.arrays["X_test"], dataset.preprocess(PIXELS[40:]))


@pytest.mark.parametrize(
    ("X", "shape", "kind"),
    [
        (PIXELS, (1, 6, 6), "images"),
        (PIXELS / 255, (1, 6, 6), "arrays"),
        (np.stack([PIXELS] * 3, -1), (3, 6, 6), "images"),
        (np.stack([PIXELS] * 3, 1), (3, 6, 6), "images"),
        (RANDOM.normal(3, 5, (60, 4)), (4,), "arrays"),
        (RANDOM.normal(3, 5, 60), (1,), "arrays"),
        (RANDOM.normal(3, 5, (60, 2, 30)), (2, 30), "arrays"),
        (PIXELS.astype(np.uint16) * 256, (1, 6, 6), "images"),
    ],
)
def test_layouts_are_told_apart_and_all_are_centred_and_scaled(X, shape, kind):
    if X.dtype == np.uint16:
        X = X[:, None]
    dataset = from_arrays(X, DIGITS)
    train = dataset.arrays["X_train"]
    assert dataset.input_shape == shape
    assert dataset.preprocessing.kind == kind
    assert train.dtype == np.float32
    axes = (0, *range(2, train.ndim))
    np.testing.assert_allclose(train.mean(axis=axes), 0, atol=1e-5)
    spread = train.std(axis=axes)
    if len(shape) == 1:  # columns of one unit have one scale
        spread = np.sqrt(np.mean(spread**2))
    np.testing.assert_allclose(spread, 1, rtol=1e-4)
    plain = from_arrays(X, DIGITS, standardize=False, subtract_mean=False)
    assert plain.arrays["X_train"].max() == np.float32(X[plain.split.parts["train"]].max())


@pytest.mark.parametrize(
    ("y", "task", "names"),
    [
        (np.array(["b", "a", "c"] * 20), "classification", ("a", "b", "c")),
        (np.arange(60) % 3 * 10 + 5, "classification", ("5", "15", "25")),
        (np.arange(60) % 2 == 0, "classification", ("False", "True")),
        (np.eye(3)[DIGITS], "classification", ("y1", "y2", "y3")),
        (RANDOM.random((60, 3)) > 0.5, "multilabel", ("y1", "y2", "y3")),
        (RANDOM.normal(size=60), "regression", ()),
        (RANDOM.normal(size=(60, 2)), "regression", ()),
        (np.arange(60), "regression", ()),
    ],
)
def test_the_task_is_guessed_from_the_target_and_said(y, task, names):
    dataset = from_arrays(PIXELS, y)
    assert dataset.task == task
    assert dataset.class_names == names
    assert any(note.startswith(f"task: {task}") for note in dataset.notes)
    rows = dataset.split.parts["test"]
    if task == "regression":
        assert np.array_equal(dataset.arrays["y_test"], y[rows])
        z = dataset.description.standardise(dataset.arrays["y_train"])
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-6)
        unit = dataset.description.unit(z)
        np.testing.assert_allclose(unit.reshape(dataset.arrays["y_train"].shape),
                                   dataset.arrays["y_train"], rtol=1e-5, atol=1e-5)  # fmt: skip
    elif y.ndim == 1:
        assert [names[k] for k in dataset.arrays["y_test"]] == [str(value) for value in y[rows]]


def test_class_names_in_the_file_are_taken(tmp_path):
    np.savez(tmp_path / "a.npz", X=PIXELS, y=DIGITS, class_names=np.array(["cat", "dog", "owl"]))
    assert from_arrays(tmp_path / "a.npz").class_names == ("cat", "dog", "owl")


def test_rows_without_a_target_are_left_out_and_said():
    y = np.where(np.arange(60) % 10 == 0, np.nan, RANDOM.normal(size=60))
    dataset = from_arrays(RANDOM.normal(size=(60, 3)), y)
    assert sum(rows_of(dataset).values()) == 54
    assert any("6 rows have no target" in note for note in dataset.notes)
    with pytest.raises(DataError, match="no row has a value"):
        from_arrays(PIXELS, np.full(60, np.nan))


def test_groups_and_times_of_the_file(tmp_path):
    np.savez(
        tmp_path / "a.npz", X=PIXELS, y=DIGITS, who=np.arange(60) // 5, when=np.arange(60)[::-1]
    )
    dataset = from_arrays(tmp_path / "a.npz", group="who")
    groups = [set((rows // 5).tolist()) for rows in dataset.split.parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 12
    dataset = from_arrays(tmp_path / "a.npz", time="when")
    assert dataset.split.parts["test"].max() < dataset.split.parts["train"].min()
    with pytest.raises(DataError, match="group must name an array"):
        from_arrays(tmp_path / "a.npz", group="whom")


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "X.npy", np.array([{}, 1], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", X=np.array([{}], object), y=DIGITS[:1])
    for path in (tmp_path / "X.npy", tmp_path / "a.npz"):
        with pytest.raises(DataError, match="pickle"):
            from_arrays(path)


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (PIXELS, DIGITS[:5], ShapeError, "as many rows"),
        (PIXELS[:0], DIGITS[:0], ShapeError, "at least one row"),
        (PIXELS[:1], DIGITS[:1], DataError, "1 row cannot be split"),
        (PIXELS, np.zeros(60, int), DataError, "same target 'y', '0'"),
        (np.full((60, 3), np.nan), DIGITS, HandgradError, "finite"),
        (np.array([["a"]] * 60), DIGITS, DataError, "numbers"),
        (PIXELS, np.arange(60).astype(str), DataError, "too many for classes"),
        (PIXELS, None, OptionError, "y is missing"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(X, y, error, message):
    with pytest.raises(error, match=message):
        from_arrays(X, y)


def test_arrays_that_are_not_found_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", one=PIXELS, two=DIGITS)
    with pytest.raises(DataError, match=r"one \(60, 6, 6\), two \(60,\).*--set data.x"):
        from_arrays(tmp_path / "a.npz")
    assert from_arrays(tmp_path / "a.npz", x="one", y="two").class_names == ("0", "1", "2")
    with pytest.raises(DataError, match="did you mean 'two'"):
        from_arrays(tmp_path / "a.npz", x="one", y="tow")


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_idx_files_are_refused(tmp_path, packed):
    good = idx_bytes(PIXELS)
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 2**31)
    no_file_of_it, header, length = "it begins with", "header is damaged", "the header says"
    damaged = [
        (good[:-1], length), (good + b"x", length), (good[:7], header), (head, header),
        (b"", no_file_of_it), (b"nonsense", no_file_of_it), (b"\1\1" + good[2:], no_file_of_it),
    ]  # fmt: skip
    for k, (bad, why) in enumerate(damaged):
        path = tmp_path / f"{k}-idx3-ubyte"
        path.write_bytes(gzip.compress(bad) if packed else bad)
        with pytest.raises(DataError, match=why):
            read_idx(path)
    path.write_bytes(gzip.compress(good)[:-9])
    with pytest.raises(DataError):
        read_idx(path)
    path.write_bytes(gzip.compress(good) if packed else good)
    assert np.array_equal(read_idx(path), PIXELS)
    floats = RANDOM.normal(size=(4, 5)).astype(np.float32)
    path.write_bytes(idx_bytes(floats, 13))
    assert np.array_equal(read_idx(path), floats)


def test_damaged_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=PIXELS, y=DIGITS)
    whole = (tmp_path / "a.npz").read_bytes()
    save_file({"X": PIXELS, "y": DIGITS}, tmp_path / "a.safetensors")
    tensors = (tmp_path / "a.safetensors").read_bytes()
    random = np.random.default_rng(1)
    for content, name in ((whole, "b.npz"), (tensors, "b.safetensors")):
        for trial in range(60):
            damaged = bytearray(content[: random.integers(1, len(content))])
            if trial % 2:
                damaged = bytearray(content)
                for place in random.integers(0, len(damaged), 5):
                    damaged[place] = random.integers(256)
            (tmp_path / name).write_bytes(damaged)
            with suppress(HandgradError):
                from_arrays(tmp_path / name)


def test_inputs_for_prediction_are_those_of_the_test_where_there_are_parts():
    X, other, y = np.zeros((3, 2)), np.ones((4, 2)), np.arange(3)
    for arrays in (
        {"X": X, "y": y},
        {"features": X},
        {"anything": X},
        {"x_train": other, "y_train": np.arange(4), "x_test": X, "y_test": y},
        {"train_images": other, "val_images": X},
        {"train_images": X, "train_labels": y},
        {"own": X, "images": other},
        {"X": X, "data": other},
    ):
        assert inputs_in(arrays, "a.npz", "own") is X
    with pytest.raises(
        DataError, match=r"a\.npz: which are the inputs, data or images\? Call them X"
    ):
        inputs_in({"data": X, "images": other}, "a.npz")
    with pytest.raises(DataError, match="which of the arrays a \\(3, 2\\), b"):
        inputs_in({"a": X, "b": other}, "a.npz")
