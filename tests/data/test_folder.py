"""Folders of pictures: what is found, how it becomes numbers, the cache, the parts."""

import json
import os
import shutil

import numpy as np
import pytest
from data.own import picture_folder
from PIL import Image

from handgrad import data
from handgrad.data import Description, from_folder, read_image
from handgrad.data.splits import Split
from handgrad.errors import DataError, OptionError


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return picture_folder(tmp_path_factory.mktemp("pictures"))


def names_of(dataset):
    return [name for names in dataset.row_names.values() for name in names]


def test_pictures_of_every_kind_become_what_read_image_says(pictures):
    dataset = from_folder(pictures, image_size=12, skip_unreadable=True)
    assert dataset.class_names == ("circle", "ring")
    assert dataset.input_shape == (3, 12, 12)
    assert len(names_of(dataset)) == len(set(names_of(dataset))) == 40
    for part in ("train", "val", "test"):
        names, X, y = (
            dataset.row_names[part],
            dataset.arrays[f"X_{part}"],
            dataset.arrays[f"y_{part}"],
        )
        pixels = np.stack([read_image(pictures / name, (3, 12, 12)) for name in names])
        assert np.array_equal(X, dataset.preprocess(pixels))
        assert [dataset.class_names[label] for label in y] == [name.split("/")[0] for name in names]
    train = dataset.arrays["X_train"]
    np.testing.assert_allclose(train.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_the_lookup_gives_the_bits_of_the_formula(pictures):
    prepare = from_folder(pictures, image_size=8, skip_unreadable=True).preprocessing
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)
    expected = ((images - prepare.mean) / prepare.std).astype(np.float32)
    assert np.array_equal(prepare.convert(images), expected)
    assert np.array_equal(prepare(images.astype(float)), expected)


def test_unreadable_pictures_are_named_or_left_out_if_told(pictures):
    with pytest.raises(
        DataError, match=r"1 of 41 pictures .*circle/broken\.jpg.*skip_unreadable=true"
    ):
        from_folder(pictures)
    dataset = from_folder(pictures, skip_unreadable=True)
    assert any("broken.jpg" in note for note in dataset.notes)


def test_the_size_is_chosen_by_the_stated_rule(pictures, tmp_path):
    assert from_folder(pictures, skip_unreadable=True).input_shape == (3, 16, 16)
    for k in range(8):
        folder = tmp_path / "same" / f"{k % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 10), 30 * k).save(folder / f"{k}.png")
    dataset = from_folder(tmp_path / "same")
    assert dataset.input_shape == (1, 10, 20)
    assert any("grey" in note for note in dataset.notes)
    assert from_folder(tmp_path / "same", image_size=[4, 6], grey=False).input_shape == (3, 4, 6)


def test_the_cache_is_used_checked_and_made_anew(tmp_path, monkeypatch):
    root = picture_folder(tmp_path / "p", count=20)
    first = from_folder(root, image_size=8, skip_unreadable=True)
    cache = root / ".handgrad" / "images-3x8x8.npy"
    assert cache.is_file()

    from handgrad.data import folder

    with monkeypatch.context() as patch:
        patch.setattr(folder, "read_picture", lambda *_: pytest.fail("read again"))
        again = from_folder(root, image_size=8, skip_unreadable=True)
    assert again.fingerprint() == first.fingerprint()
    content = bytearray(cache.read_bytes())
    content[-5] ^= 1
    cache.write_bytes(content)
    assert (
        from_folder(root, image_size=8, skip_unreadable=True).fingerprint() == first.fingerprint()
    )
    file = next(root.glob("ring/*.png"))
    Image.new("RGB", (9, 9), "red").save(file)
    os.utime(file, ns=(1, 1))
    changed = from_folder(root, image_size=8, skip_unreadable=True)
    assert changed.fingerprint() != first.fingerprint()
    (root / ".handgrad" / "images-3x8x8.json").write_text(json.dumps({"reader": 1}))
    uncached = from_folder(root, image_size=8, skip_unreadable=True, cache=False)
    assert uncached.fingerprint() == changed.fingerprint()


def test_folders_of_parts_are_kept(tmp_path):
    for part, count in (("train", 20), ("valid", 4), ("TEST", 6)):
        picture_folder(tmp_path / part, count=count, damaged=False)
    dataset = from_folder(tmp_path, image_size=8)
    for part, names in dataset.row_names.items():
        start = {"train": "train", "val": "valid", "test": "TEST"}[part]
        assert all(name.startswith(start) for name in names)
        assert len(names) == {"train": 20, "val": 4, "test": 6}[part]


def test_classes_that_no_training_picture_has_are_counted(tmp_path):
    for part, classes in (("train", "ab"), ("test", "abcdefghij")):
        for name in classes:
            (tmp_path / part / name).mkdir(parents=True)
            for k in range(3):
                Image.new("L", (8, 8), 30 * k).save(tmp_path / part / name / f"{k}.png")
    notes = from_folder(tmp_path, val=0.3).notes
    assert (
        "no training row is of c, d, e, f, g and 3 more: a network cannot learn those classes"
        in notes
    )
    shutil.rmtree(tmp_path / "train" / "b")
    with pytest.raises(DataError, match=r"of fewer than two classes \(of 'a' alone\)"):
        from_folder(tmp_path, val=0.3)


def test_without_validation_folders_training_pictures_are_split(tmp_path):
    for part, count in (("train", 20), ("test", 6)):
        picture_folder(tmp_path / part, count=count, damaged=False)
    parts = from_folder(tmp_path, image_size=8).split.parts
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 17, "val": 3, "test": 6}


def test_pictures_of_one_group_stay_together(tmp_path):
    for k in range(60):
        folder = tmp_path / ("a" if k % 2 else "b")
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (k, 2 * k, 0)).save(folder / f"patient{k % 12}-{k}.png")
    dataset = from_folder(tmp_path, group="patient([0-9]+)")
    owners = {}
    for part, names in dataset.row_names.items():
        assert names
        for name in names:
            owners.setdefault(name.split("patient")[1].split("-")[0], set()).add(part)
    assert all(len(parts) == 1 for parts in owners.values())
    with pytest.raises(OptionError, match="regular expression"):
        from_folder(tmp_path, group="(")
    with pytest.raises(OptionError, match="found in no path"):
        from_folder(tmp_path, group="doctor")


def test_a_run_keeps_its_parts_when_pictures_come_and_says_which_are_gone(tmp_path):
    root = picture_folder(tmp_path / "p", count=20, damaged=False)
    first = from_folder(root, image_size=8)
    Image.new("RGB", (9, 9)).save(root / "ring" / "0-new.png")
    again = from_folder(root, image_size=8, split=first.split)
    assert again.row_names == first.row_names
    assert any("1 row" in note for note in again.notes)
    gone = Split(first.split.parts, tuple(f"x{n}" for n in first.split.names), "")
    with pytest.raises(DataError, match="20 of the run's rows are gone"):
        from_folder(root, image_size=8, split=gone)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "the folder is empty"),
        (lambda root: Image.new("L", (4, 4)).save(root / "1.png"), "no class folders"),
        (lambda root: picture_folder(root, count=5, classes=1, damaged=False), "of one class"),
        (lambda root: (root / "a").mkdir(), "no class folders"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        from_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        from_folder(tmp_path / "nowhere")


def test_a_bomb_is_refused_by_its_header(tmp_path):
    root = picture_folder(tmp_path / "p", count=10, damaged=False)
    header = b"P5 60000 60000 255\n"
    (root / "ring" / "bomb.pgm").write_bytes(header + bytes(100))
    with pytest.raises(DataError, match=r"bomb\.pgm"):
        from_folder(root, image_size=8)


def test_the_description_survives_json(pictures):
    dataset = from_folder(pictures, image_size=8, skip_unreadable=True)
    text = json.dumps(dataset.description.to_json())
    again = Description.from_json(json.loads(text))
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)
    assert np.array_equal(again.preprocessing(images), dataset.preprocess(images))
    assert again.class_names == dataset.class_names


def test_rows_are_made_when_they_are_asked_for(pictures):
    dataset = from_folder(pictures, image_size=8, skip_unreadable=True)
    rows = dataset.rows["X_train"]
    assert isinstance(rows, data.Rows)
    whole = np.asarray(rows)
    assert rows.shape == whole.shape
    assert rows.nbytes == whole.nbytes
    for index in (3, slice(2, 5), np.array([4, 4, 0]), slice(0, 0)):
        assert np.array_equal(rows[index], whole[index])
