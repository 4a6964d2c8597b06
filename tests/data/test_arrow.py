"""Folders as `save_to_disk` of Hugging Face's datasets writes them: Arrow streams beside descriptions."""

import json

import numpy as np
import pytest
from data.own import picture_folder

from handgrad.data import from_shards, from_table, kind_of
from handgrad.data import parquet as reading
from handgrad.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
ipc = pytest.importorskip("pyarrow.ipc")
parquet = pytest.importorskip("pyarrow.parquet")
NAMES = ["circle", "ring"]


def save(folder, table, rows=7):
    """What `Dataset.save_to_disk` leaves, and a file that its `map` keeps beside it."""
    folder.mkdir(parents=True)
    for name in ("data-00000-of-00001.arrow", "cache-0123456789abcdef.arrow"):
        with ipc.new_stream(folder / name, table.schema) as stream:
            for batch in table.to_batches(rows):
                stream.write_batch(batch)
    (folder / "dataset_info.json").write_text("{}", "utf-8")
    (folder / "state.json").write_text("{}", "utf-8")


def described(table, column):
    features = {column: {"names": NAMES, "_type": "ClassLabel"}}
    return table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


@pytest.fixture
def pictures(tmp_path):
    root = picture_folder(tmp_path / "p", count=30, damaged=False)
    paths = sorted(path for path in root.rglob("*.*") if path.is_file())
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    labels = [NAMES.index(path.parent.name) for path in paths]
    return described(pyarrow.table({"image": images, "label": labels}), "label")


def test_pictures_are_those_of_the_same_rows_in_parquet(pictures, tmp_path):
    for part, rows in (("train", slice(None, None, 2)), ("test", slice(1, None, 2))):
        own = pictures.take(list(range(30))[rows])
        save(tmp_path / "saved" / part, own)
        (tmp_path / "hub").mkdir(exist_ok=True)
        parquet.write_table(own, tmp_path / "hub" / f"{part}.parquet", row_group_size=4)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', "utf-8")
    assert kind_of(tmp_path / "saved") == "shards"
    dataset = from_shards(tmp_path / "saved", image_size=8)
    expected = from_shards(tmp_path / "hub", image_size=8)
    assert dataset.class_names == tuple(NAMES)
    for name, array in expected.arrays.items():
        assert np.array_equal(dataset.arrays[name], array), name
    assert len(dataset.arrays["y_test"]) == 15  # the file of `map` is not counted


def test_one_file_and_a_folder_of_it_are_the_same(pictures, tmp_path):
    save(tmp_path / "one", pictures)
    file = tmp_path / "one" / "data-00000-of-00001.arrow"
    assert kind_of(file) == kind_of(tmp_path / "one") == "shards"
    whole, single = (from_shards(path, image_size=8) for path in (tmp_path / "one", file))
    assert np.array_equal(whole.arrays["X_train"], single.arrays["X_train"])
    assert sum(len(names) for names in whole.row_names.values()) == 30


def test_a_run_says_something_of_each_picture(pictures, tmp_path):
    from handgrad.training import train
    from handgrad.training.prediction import said_of

    save(tmp_path / "one", pictures)
    dataset = from_shards(tmp_path / "one", image_size=8)
    run = train(dataset, tmp_path / "runs", {"training.epochs": 1})
    said = list(said_of([run], tmp_path / "one"))
    assert len(said) == 30
    assert said[0].name.endswith("data-00000-of-00001.arrow:0")
    assert not any(one.problem for one in said)


def test_a_saved_table_is_read_by_its_file(tmp_path):
    table = pyarrow.table({"kind": [0, 1] * 20, "x": np.arange(40.0) % 7})
    for part in ("train", "test"):
        save(tmp_path / "saved" / part, described(table, "kind"))
    with pytest.raises(
        DataError, match=r"holds tables; give one of them, such as .*test.data-0"
    ) as e:
        kind_of(tmp_path / "saved")
    file = str(e.value).rpartition("such as ")[2]
    assert from_table(file, target="kind").class_names == tuple(NAMES)
    with pytest.raises(DataError, match=r"give the table itself: .*data-00000-of-00001"):
        kind_of(tmp_path / "saved" / "train")


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_damaged_files_are_refused(tmp_path, kind):
    """Offsets that point out of the file would be read from memory that is not the file's."""
    texts = [f"text {k}" for k in range(200)]
    table = pyarrow.table({"x": np.arange(200.0) % 7, "text": texts, "label": ["a", "b"] * 100})
    new = ipc.new_stream if kind == "stream" else ipc.new_file
    good = tmp_path / "good.arrow"
    with new(good, table.schema) as out:
        out.write_table(table)
    assert len(from_table(good, target="label").split.names) == 200
    data = bytearray(good.read_bytes())
    offsets = np.cumsum([0, *map(len, texts)]).astype("<i4").tobytes()
    place = bytes(data).index(offsets) + 400
    damaged = {
        "offset": data[:place] + b"\xff\xff\xff\x7f" + data[place + 4 :],
        "cut": data[: len(data) // 2],
        "nothing": b"",
        "other": b"no Arrow file" * 40,
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.arrow"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{name}.arrow: damaged, cut off or of another kind"):
            from_table(path, target="label")


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_UNPACKED", 1 << 20)
    large = [chr(ord("a") + k) * 200_000 for k in range(10)]
    bomb = pyarrow.table({"x": np.arange(20.0) % 7, "text": large * 2, "label": ["a", "b"] * 10})
    parquet.write_table(bomb, tmp_path / "bomb.parquet", compression="zstd")
    with pytest.raises(DataError, match=r"bytes that unpack to 2,.*; it is damaged, or a decompre"):
        from_table(tmp_path / "bomb.parquet", target="label")
    pictures = pyarrow.table({"image": [text.encode() for text in large], "label": [0, 1] * 5})
    parquet.write_table(pictures, tmp_path / "p.parquet", compression="zstd")
    with pytest.raises(DataError, match="decompression bomb"):
        from_shards(tmp_path / "p.parquet")
    parquet.write_table(bomb, tmp_path / "plain.parquet", compression="none")
    assert from_table(tmp_path / "plain.parquet", target="label").class_names == ("a", "b")
