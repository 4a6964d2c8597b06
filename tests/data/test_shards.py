"""Parquet files of pictures, as Hugging Face stores them."""

import io
import json

import numpy as np
import pytest
from data.own import picture_folder
from PIL import Image

from handgrad.data import from_shards, kind_of, read_image
from handgrad.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path, files, labels, names=("circle", "ring"), column="label", rows=7):
    images = [{"bytes": data, "path": None} for data in files]
    table = pyarrow.table({"image": images, column: labels})
    features = {column: {"names": list(names), "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(metadata), path, row_group_size=rows)


@pytest.fixture
def shards(tmp_path):
    root = picture_folder(tmp_path / "p", count=30, damaged=False)
    paths = sorted(path for path in root.rglob("*.*") if path.is_file())
    order = np.random.default_rng(0).permutation(len(paths))
    paths = [paths[k] for k in order]
    labels = [("circle", "ring").index(path.parent.name) for path in paths]
    data = [path.read_bytes() for path in paths]
    folder = tmp_path / "set"
    write(folder / "data" / "train-00000-of-00002.parquet", data[:12], labels[:12])
    write(folder / "data" / "train-00001-of-00002.parquet", data[12:24], labels[12:24])
    write(folder / "data" / "test-00000-of-00001.parquet", data[24:], labels[24:])
    return folder, paths, labels


def test_parts_names_and_pixels_are_those_of_the_files(shards):
    folder, paths, labels = shards
    assert kind_of(folder) == "shards"
    dataset = from_shards(folder, image_size=8)
    assert dataset.class_names == ("circle", "ring")
    assert len(dataset.arrays["y_test"]) == 6
    assert len(dataset.arrays["y_train"]) + len(dataset.arrays["y_val"]) == 24
    starts = {"train-00000-of-00002": 0, "train-00001-of-00002": 12, "test-00000-of-00001": 24}
    for part, names in dataset.row_names.items():
        for k, name in enumerate(names):
            stem, _, row = name.removeprefix("data/").partition(".parquet:")
            place = starts[stem] + int(row)
            pixels = read_image(paths[place], (3, 8, 8))
            assert np.array_equal(
                dataset.arrays[f"X_{part}"][k], dataset.preprocess(pixels[None])[0]
            )
            assert dataset.arrays[f"y_{part}"][k] == labels[place]


def test_what_cannot_be_read_is_named(shards, tmp_path):
    folder, paths, labels = shards
    data = [b"nonsense", None, *(path.read_bytes() for path in paths[:10])]
    write(tmp_path / "one.parquet", data, [0, 1, *labels[:10]], column="kind")
    assert kind_of(tmp_path / "one.parquet") == "shards"
    with pytest.raises(DataError, match=r"which of the columns image, kind is the label.*--target"):
        from_shards(tmp_path / "one.parquet")
    with pytest.raises(DataError, match=r"2 of 12 pictures.*one\.parquet:0.*one\.parquet:1"):
        from_shards(tmp_path / "one.parquet", target="kind")
    dataset = from_shards(tmp_path / "one.parquet", target="kind", skip_unreadable=True)
    assert sum(len(names) for names in dataset.row_names.values()) == 10
    damaged = (folder / "data" / "test-00000-of-00001.parquet").read_bytes()[:-9]
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(damaged)
    with pytest.raises(DataError, match="test-00000"):
        from_shards(folder)
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"a": [1]}), buffer)
    (tmp_path / "plain.parquet").write_bytes(buffer.getvalue())
    assert kind_of(tmp_path / "plain.parquet") == "table"
    with pytest.raises(DataError, match="no column of pictures"):
        from_shards(tmp_path / "plain.parquet")


def test_groups_of_a_column_stay_in_one_part(tmp_path):
    """Pictures of one patient are never on both sides."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 90, 200)).save(file, "PNG")
    columns = {
        "image": [{"bytes": file.getvalue(), "path": None}] * 60,
        "label": [k % 2 for k in range(60)],
        "patient": [f"p{k // 5}" for k in range(60)],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "all.parquet")
    dataset = from_shards(tmp_path / "all.parquet", group="patient")
    parts = dataset.split.parts
    seen = [
        {int(dataset.split.names[row].rpartition(":")[2]) // 5 for row in rows}
        for rows in parts.values()
    ]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 12
    assert dataset.settings["group"] == "patient"
    with pytest.raises(DataError, match="did you mean 'patient'"):
        from_shards(tmp_path / "all.parquet", group="pateint")


def test_pictures_without_a_label_are_left_out_and_said(shards):
    folder, paths, _ = shards
    data = [path.read_bytes() for path in paths[:8]]
    write(folder / "data" / "test-00000-of-00001.parquet", data, [-1] * 6 + [0, 1])
    dataset = from_shards(folder, image_size=8)
    assert dataset.class_names == ("circle", "ring")
    assert len(dataset.arrays["y_test"]) == 2
    assert "6 pictures without a label are left out" in dataset.notes
    write(folder / "data" / "test-00000-of-00001.parquet", data, [-1] * 8)
    with pytest.raises(DataError, match="hold no labels"):
        from_shards(folder / "data" / "test-00000-of-00001.parquet")


def test_a_run_says_something_of_each_picture_of_a_file(shards):
    from handgrad.training import train
    from handgrad.training.prediction import said_of

    folder, paths, _ = shards
    run = train(from_shards(folder, image_size=8), folder / "runs", {"training.epochs": 1})
    file = folder / "data" / "test-00000-of-00001.parquet"
    data = [path.read_bytes() for path in paths[24:]]
    write(file, [*data, b"no picture", None], [0, 1, *[0] * 6], rows=3)
    said = list(said_of([run], folder))
    assert len(said) == 32
    own = {one.name: one for one in said}
    for row, path in enumerate(paths[24:]):
        np.testing.assert_allclose(
            own[f"{file}:{row}"].outputs, run.predict_proba(path)[0], rtol=1e-5
        )
    assert own[f"{file}:6"].problem
    assert own[f"{file}:7"].problem
    assert next(said_of([run], file)).name == f"{file}:0"


def test_a_table_keeps_the_names_that_its_numbers_have(tmp_path):
    from handgrad.data import from_table

    table = pyarrow.table({"kind": [0, 1, None, -1] * 10, "x": np.arange(40.0)})
    features = {"kind": {"names": ["Adelie", "Gentoo"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "p.parquet")
    dataset = from_table(tmp_path / "p.parquet", target="kind")
    assert dataset.class_names == ("Adelie", "Gentoo")
    assert sum(len(rows) for rows in dataset.row_names.values()) == 20
