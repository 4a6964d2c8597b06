"""Advice on data of one's own: files, folders, tables, arrays and how they are split."""

from __future__ import annotations

import builtins
import importlib
import os
import shlex
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from advice.rows import follows, refused, said
from data.own import picture_folder, table_text

from handgrad import data
from handgrad.cli.app import run
from handgrad.cli.configuration import given_settings
from handgrad.data import kind_of, tables
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.data.splits import SplitOptions, split_rows
from handgrad.data.table import as_table
from handgrad.optim import build_schedule

ROWS = np.random.default_rng(0).normal(5, 3, (60, 4))
LABELS = (ROWS[:, 0] > 5).astype(int)
QUICK = ["--epochs", "1", "--quiet", "--out", "runs"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def option_of(text):
    """Return the option --set that `text` advises, as a shell hands it over."""
    return shlex.split(said(text, r"(--set data\.\S+)$"))


def settings_of(text):
    """Return what the advised option --set sets, as arguments of the functions that load."""
    given = given_settings({}, (option_of(text)[1],))
    return {key.removeprefix("data."): value for key, value in given.items()}


@follows("--data is the data set; leave out {', '.join(extra)}")
def data_and_another_data_set(place, capsys):
    np.savez("a.npz", X=ROWS, y=LABELS)
    command = ["train", "--data", "a.npz", *QUICK, "--recipe", "ant", "--dataset", "digits"]
    assert run(command) == 2
    for option in said(capsys.readouterr().err, r"leave out ([^\n.]*)").split(", "):
        at = command.index(option)
        command = command[:at] + command[at + 2 :]
    assert command == ["train", "--data", "a.npz", *QUICK]
    assert run(command) == 0


@follows("--set data.{kind}={name}")
@pytest.mark.parametrize("names", [("X", "data", "labels"), ("features", "y", "targets")])
def two_arrays_that_may_be_it(place, names):
    arrays = {name: LABELS if name in ("y", "labels", "targets") else ROWS for name in names}
    np.savez("a.npz", **arrays)
    chosen = settings_of(refused(lambda: data.from_arrays("a.npz")))
    dataset = data.from_arrays("a.npz", **chosen)
    assert dataset.input_shape == (4,)
    assert dataset.class_names == ("0", "1")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:9e8\nsize 77\n"


@follows("fetch that with: git lfs pull")
@pytest.mark.parametrize("kind", ["table", "arrays", "folder"])
def files_that_a_clone_left_out(place, kind):
    files = {"table": "t.csv", "arrays": "d/a.npz", "folder": "photos/disc/0.png"}
    (place / "d").mkdir()
    (place / "t.csv").write_text(table_text(), "utf-8")
    np.savez("d/a.npz", X=ROWS, y=LABELS)
    picture_folder(place / "photos", count=20, damaged=False)
    victim = place / files[kind] if kind != "folder" else next((place / "photos").rglob("*.png"))
    content = victim.read_bytes()
    victim.write_bytes(POINTER)
    path = files[kind].split("/")[0]
    options = {"target": "label"} if kind == "table" else {}

    def load():
        return data.load(kind_of(path), path=path, **options)

    text = refused(load)
    assert victim.name in text
    assert "fetch that with: git lfs pull" in text
    victim.write_bytes(content)  # what the command does
    assert len(load().arrays["y_train"])


@follows("hold an array called {name}; put one of them elsewhere")
def two_files_of_one_array(place):
    (place / "d").mkdir()
    np.save("d/X.npy", ROWS)
    np.savez("d/a.npz", X=ROWS, y=LABELS)
    text = refused(lambda: data.from_arrays("d"))
    (place / "d" / said(text, r"both (\S+) and")).rename(place / "elsewhere")
    assert data.from_arrays("d").class_names == ("0", "1")


@follows("from_arrays: y is missing: pass the targets of X, or a path in the place of X")
def arrays_without_targets(place):
    assert "y is missing" in refused(lambda: data.from_arrays(ROWS))
    np.savez("a.npz", X=ROWS, y=LABELS)
    for given in ((ROWS, LABELS), ("a.npz",)):
        assert data.from_arrays(*given).class_names == ("0", "1")


@follows("; give it another name")
@pytest.mark.skipif(sys.platform != "linux", reason="file names are no bytes there")
def a_name_that_is_no_text(place, capsys):
    name, text = os.fsdecode(b"t\xe4ble.csv"), "table.csv"
    (place / name).write_text(table_text(), "utf-8")
    train = ["train", "--target", "label", *QUICK, "--data"]
    assert run([*train, name]) == 2
    assert "; give it another name" in capsys.readouterr().err
    (place / name).rename(text)
    assert run([*train, text]) == 0
    (folder,) = (place / "runs").iterdir()
    export = ["export", str(folder), "--to", "numpy", "--bare", "--out"]
    assert run([*export, os.fsdecode(b"n\xe4t.py")]) == 2
    assert "; give it another name" in capsys.readouterr().err
    assert run([*export, "nat.py"]) == 0


@follows("is too large for a network; correct it, leave the row out, or take the logarithm of the ")
@pytest.mark.parametrize("way", ["correct", "leave out", "logarithm"])
def numbers_that_are_too_large(way):
    frame = {"a": np.abs(ROWS[:, 0]) + 1, "y": np.where(LABELS, "warm", "cold").astype(object)}
    frame["a"][7], frame["y"][2] = 1e300, None
    text = refused(lambda: data.from_table(frame, "y"))
    name, row = said(text, r"column '(.*)', row"), int(said(text, r"row (\d+)"))
    if way == "correct":
        frame[name][row] = 1.0
    elif way == "leave out":
        frame = {key: np.delete(column, row) for key, column in frame.items()}
    else:
        frame[name] = np.log(frame[name])
    assert data.from_table(frame, "y").input_shape == (1,)


@follows("; correct the line, or leave such lines out with ")
def lines_of_another_length(place):
    lines = table_text().splitlines()
    lines[4] += ",more"
    (place / "t.csv").write_text("\n".join(lines), "utf-8")
    text = refused(lambda: data.from_table("t.csv", "label"))
    left = data.from_table("t.csv", "label", **settings_of(text))
    number = int(said(text, r"line (\d+)"))
    lines[number - 1] = lines[number - 1].removesuffix(",more")
    (place / "t.csv").write_text("\n".join(lines), "utf-8")
    whole = data.from_table("t.csv", "label")
    count = [sum(len(d.arrays[f"y_{p}"]) for p in ("train", "val", "test")) for d in (left, whole)]
    assert count == [119, 120]


@follows("Repair or remove them{more}, or leave them out with ")
@pytest.mark.parametrize("way", ["repair", "remove", "leave out"])
def pictures_that_cannot_be_read(place, way, capsys):
    picture_folder(place / "p", damaged=False)
    good = next(place.glob("p/ring/*.png")).read_bytes()
    bad = [place / "p" / "ring" / f"bad{k}.png" for k in range(5)]
    for path in bad:
        path.write_bytes(b"no picture")
    text = refused(lambda: data.from_folder("p"))
    if way == "leave out":
        command = said(text, r"`(handgrad [^`]*)` names more")
        assert run([*shlex.split(command)[1:], "p", "--json"]) == 1
        listed = capsys.readouterr().out
        assert all(path.name in listed for path in bad)
        assert "5 of 45" in str(data.from_folder("p", **settings_of(text)).notes)
        return
    for path in bad:
        path.unlink() if way == "remove" else path.write_bytes(good)
    assert "cannot be read" not in str(data.from_folder("p").notes)


@follows("; unpack it, and give what was in it")
def a_packed_table(place):
    import gzip
    import shutil

    packed = place / "t.csv.gz"
    packed.write_bytes(gzip.compress(table_text().encode()))
    assert "unpack it" in refused(lambda: kind_of(packed))
    with gzip.open(packed) as source, (place / "t.csv").open("wb") as target:
        shutil.copyfileobj(source, target)
    assert kind_of(place / "t.csv") == "table"


@follows(
    "; put pictures into class folders, and give the folder", "; unpack it, and give the folder"
)
@pytest.mark.parametrize("is_archive", [False, True])
def files_of_pictures(place, is_archive):
    import shutil

    picture_folder(place / "p", damaged=False)
    file = next(place.glob("p/ring/*.png"))
    if is_archive:
        file = shutil.make_archive("pictures", "zip", "p")
        shutil.rmtree("p")
    assert "give the folder" in refused(lambda: kind_of(file))
    if is_archive:
        assert "unpack" in refused(lambda: kind_of(file))
        shutil.unpack_archive(file, "p")
    assert kind_of("p") == "folder"
    assert data.from_folder("p").class_names == ("circle", "ring")


@follows(
    "{path}: give the table itself: {tables[0]}", "tables; give one of them, such as {tables[0]}"
)
@pytest.mark.parametrize("names", [("a.csv",), ("a.csv", "b.csv")])
def folders_of_tables(place, names):
    (place / "mine").mkdir()
    for name in names:
        (place / "mine" / name).write_text(table_text(), "utf-8")
    table = said(refused(lambda: kind_of("mine")), r"(?:itself:|such as) (.*)$")
    assert kind_of(table) == "table"
    assert data.from_table(table, "label").class_names == ("no", "yes")


@follows("no class folders with pictures: put the pictures of each class into a folder of its ")
def pictures_without_class_folders(place):
    picture_folder(place / "p", damaged=False)
    (place / "loose").mkdir()
    files = {path: path.parent.name for path in place.glob("p/*/*")}
    for path in files:
        path.rename(place / "loose" / path.name)
    text = refused(lambda: data.from_folder("loose"))
    first, second = said(text, r"as (\S+)/1\.jpg and"), said(text, r"and (\S+)/1\.jpg")
    for folder in (first, second):
        (place / folder).mkdir()
    for path, label in files.items():
        (place / "loose" / path.name).rename(
            place / (first if label == "ring" else second) / path.name
        )
    assert data.from_folder("loose").class_names == ("cat", "dog")


@follows("reading it needs pyarrow; install it with: pip install 'handgrad[tables]'")
def parquet_without_pyarrow(place, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"a": ROWS[:, 0], "y": LABELS}), "t.parquet")
    original = builtins.__import__

    def absent(name, *rest):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return original(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", absent)
        text = refused(lambda: data.from_table("t.parquet", "y"))
    # the extra brings pyarrow, and with it the file is read
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    extra = said(text, r"pip install 'handgrad\[(\w+)\]'$")
    brought = project["project"]["optional-dependencies"][extra]
    assert any(requirement.startswith("pyarrow") for requirement in brought)
    assert data.from_table("t.parquet", "y").input_shape == (1,)


@follows("has NaN or infinity; leave ")
@pytest.mark.parametrize("way", ["leave out", "fill"])
def rows_with_gaps(way):
    prepare = ArrayPreprocessing.fit("mine", ROWS)
    new = ROWS[:9].copy()
    new[3, 1] = np.nan
    row = int(said(refused(lambda: prepare(new)), r"row (\d+) has NaN"))
    new = np.delete(new, row, axis=0) if way == "leave out" else np.nan_to_num(new)
    assert np.isfinite(prepare(new)).all()


@follows("is the label? Say it with --target")
def parquet_files_of_pictures(place, capsys):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    files = sorted(picture_folder(place / "p", damaged=False).glob("*/*"))
    images = [{"bytes": path.read_bytes(), "path": None} for path in files]
    kinds = [path.parent.name for path in files]
    parquet.write_table(pyarrow.table({"image": images, "sort_of": kinds}), "p.parquet")
    assert run(["train", "--data", "p.parquet", *QUICK]) == 2
    said_so = " ".join(capsys.readouterr().err.split())
    option = said(said_so, r"Say it with (--\w+)")
    name = said(said_so, r"which of the columns image, (\w+) is")
    assert run(["train", "--data", "p.parquet", "--image-size", "8", *QUICK, option, name]) == 0


@follows("data: group and time cannot be given together; leave one out")
def groups_and_times():
    frame = {"a": ROWS[:, 0], "y": LABELS, "who": np.arange(60) // 4, "when": np.arange(60)}
    both = {"group": "who", "time": "when"}
    assert "leave one out" in refused(lambda: data.from_table(frame, "y", **both))
    for option in both:
        data.from_table(frame, "y", **{option: both[option]})


@follows("has too few different times to split by; leave out --time")
def times_that_are_all_the_same(place, capsys):
    text = "\n".join(
        ["a,when,y", *(f"{row[0]},2020,{label}" for row, label in zip(ROWS, LABELS, strict=True))]
    )
    (place / "t.csv").write_text(text)
    command = ["train", "--data", "t.csv", "--target", "y", "--time", "when", *QUICK]
    assert run(command) == 2
    at = command.index(said(capsys.readouterr().err, r"leave out (--\w+)"))
    assert run(command[:at] + command[at + 2 :]) == 0
    assert "leave out --time" in refused(lambda: split_rows(60, SplitOptions(), times=np.ones(60)))


@follows("columns are called {shown(twice)}; give each a name of its own")
def columns_of_one_name():
    class Frame:
        columns = ("a", "a", "y")

        def __getitem__(self, name):
            return LABELS if name == "y" else ROWS[:, 0]

    frame = Frame()
    assert "2 columns are called 'a'" in refused(lambda: as_table(frame))
    frame.columns = ("a", "b", "y")
    assert as_table(frame).names == ("a", "b", "y")


@follows("leave some out with --set data.drop")
def too_many_columns(place, monkeypatch, capsys):
    monkeypatch.setattr(tables, "MAX_FEATURES", 3)
    rows = [",".join(map(str, [*row, label])) for row, label in zip(ROWS, LABELS, strict=True)]
    (place / "t.csv").write_text("\n".join(["a,b,c,d,y", *rows]))
    command = ["train", "--data", "t.csv", "--target", "y", *QUICK]
    assert run(command) == 2
    option, key = said(capsys.readouterr().err, r"out with (--set \S+)").split()
    assert run([*command, option, f'{key}=["b"]']) == 0


@follows("; if it matters, use {counting[-1]}")
def a_count_of_the_rows_alone(place, capsys):
    lines = [f"{k},{k * 7 % 5}.5" for k in range(60)]
    (place / "t.csv").write_text("\n".join(["it's day,y", *lines]))
    command = ["train", "--data", "t.csv", "--target", "y", *QUICK]
    assert run(command) == 2
    option, setting = shlex.split(said(capsys.readouterr().err, r"matters, use (.*)$"))
    assert run([*command, option, setting]) == 0


@follows("schedule plateau: it has no warmup; use another schedule, or warmup 0")
def plateaus_that_warm_up():
    text = refused(lambda: build_schedule({"name": "plateau", "warmup": 10}))
    warmup = int(said(text, r"or warmup (\d+)$"))
    assert build_schedule({"name": "plateau", "warmup": warmup})(0, 100) == 1
    assert build_schedule({"name": "cosine", "warmup": 10})(0, 100) == 0.1


@follows("holds tables; give one of them, such as {shards[0]}")
def tables_in_folders(place):
    pyarrow, ipc = pytest.importorskip("pyarrow"), importlib.import_module("pyarrow.ipc")
    table = pyarrow.table({"a": ROWS[:, 0], "y": LABELS})
    (place / "saved" / "train").mkdir(parents=True)
    with ipc.new_stream("saved/train/data-0.arrow", table.schema) as stream:
        stream.write_table(table)
    given = said(refused(lambda: data.kind_of("saved")), r"such as (.*)$")
    assert data.from_table(given, "y").input_shape == (1,)


@follows("; write the table as CSV or Parquet with the program that it is of")
def tables_of_other_programs(place):
    (place / "t.arff").write_text("@relation t\n@attribute a numeric\n@data\n1\n")
    assert "as CSV" in refused(lambda: data.kind_of("t.arff"))
    rows = [f"{a},{label}" for a, label in zip(ROWS[:, 0], LABELS, strict=True)]
    (place / "t.csv").write_text("\n".join(["a,y", *rows]))
    assert data.kind_of("t.csv") == "table"
    assert data.from_table("t.csv", "y").input_shape == (1,)


@follows("--set data.x={own['x']} --set data.y={own['y']} to divide them into parts")
def arrays_of_a_test_alone(place, capsys):
    np.savez("t.npz", test_images=ROWS, test_labels=LABELS)
    assert run(["train", "--data", "t.npz", *QUICK]) == 2
    x, y = said(capsys.readouterr().err, r"(--set data\.x=\S+ --set data\.y=\S+)").split(" --set ")
    assert run(["train", "--data", "t.npz", *QUICK, *x.split(), "--set", y]) == 0
