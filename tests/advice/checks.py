"""Advice of the check of data: each finding is gone when what it says is done."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from advice.rows import follows, said
from data.own import picture_folder
from PIL import Image

from handgrad import data
from handgrad.cli.app import cli, run
from handgrad.cli.configuration import given_settings
from handgrad.data.checking import check_data
from handgrad.data.digits import read_digits


def finding(check, title):
    (one,) = [one for one in check.findings if one.title == title]
    return one


def titles(check):
    return {one.title for one in check.findings}


def frame_of(rows=200):
    random = np.random.default_rng(1)
    frame = {name: random.normal(size=rows) for name in ("a", "b", "c")}
    return {**frame, "y": (frame["a"] + random.normal(size=rows) > 0).astype(int)}


@follows("look at them, and correct the labels that are wrong")
def labels_that_are_wrong(tmp_path):
    images, labels = read_digits()
    images, given = images[:500] * 15, labels[:500].copy()
    rows = np.random.default_rng(0).choice(500, 10, replace=False)
    given[rows] = (given[rows] + 3) % 10

    def named():
        np.savez(tmp_path / "a.npz", X=images, y=given)
        check = check_data(tmp_path / "a.npz")
        found = [one for one in check.findings if one.title == "labels that look wrong"]
        return {int(said(row, r"^(\d+):")) for one in found for row in one.rows}

    before = named()
    given[list(before)] = labels[list(before)]
    assert len(before & set(rows.tolist())) >= 7
    assert not named() & before & set(rows.tolist())


@follows("gather more, or put small classes together")
@pytest.mark.parametrize("way", ["gather", "together"])
def small_classes(way):
    counts = {"x": 210, "v": 12, "w": 12}
    random = np.random.default_rng(0)

    def check():
        names = np.repeat(list(counts), list(counts.values()))
        return check_data({"a": random.normal(size=len(names)), "y": names}, "y")

    few = [row.partition(" ")[0] for row in finding(check(), "small classes").rows]
    assert few == ["v", "w"]
    if way == "gather":
        counts |= dict.fromkeys(few, 25)
    else:
        counts = {"x": 210, "other": sum(counts[name] for name in few)}
    assert "small classes" not in titles(check())


@follows("if it is not so, see `handgrad train --help`")
def what_was_guessed(tmp_path, capsys):
    picture_folder(tmp_path / "p", damaged=False)
    (guess,) = [
        one for one in check_data(tmp_path / "p").findings if one.title == "guessed" and "pixels" in one.text
    ]  # fmt: skip
    command = shlex.split(said(guess.advice, r"`handgrad (.*)`"))
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert end.value.code == 0
    option = said(guess.text, r"\((--[\w-]+) chooses another\)")
    assert option in capsys.readouterr().out
    assert run(["data", "check", str(tmp_path / "p"), option, "8", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert facts["a row becomes"].startswith("3 x 8 x 8")


@follows("correct the rows, or leave the column out")
@pytest.mark.parametrize("way", ["correct", "leave out"])
def infinity_in_a_column(way):
    frame = frame_of()
    frame["b"][[5, 9]] = np.inf
    check = check_data(frame, "y")
    assert {"infinity", "cannot be trained on"} <= titles(check)
    if way == "correct":
        frame["b"][[int(row) for row in finding(check, "infinity").rows]] = 0.0
    else:
        del frame[said(finding(check, "infinity").text, r"^(\w+) holds")]
    assert not check_data(frame, "y").is_serious
    assert check_data({**frame, "b": np.array([np.inf, -np.inf] * 100)}, "y").is_serious


@follows("look whether they are mistakes or gaps written as a number; else take the logarithm")
@pytest.mark.parametrize("way", ["mistakes", "gaps", "logarithm"])
def values_that_are_far_off(way):
    frame = frame_of()
    frame["b"] = np.exp(2 * frame["b"]) if way == "logarithm" else frame["b"]
    if way != "logarithm":
        frame["b"][[5, 9]] = -999
    found = finding(check_data(frame, "y"), "values far off")
    rows = [int(row) for row in found.rows]
    if way == "logarithm":
        frame["b"] = np.log(frame["b"])
    else:
        assert rows == [5, 9]
        frame["b"][rows] = np.nan if way == "gaps" else 0.5
    assert "values far off" not in titles(check_data(frame, "y"))


@follows("if it would not be known when the network is used, leave it out: ")
@pytest.mark.parametrize("name", ["leak", "o'clock", 'the "leak"', "Größe\\2"])
def columns_that_leak(name, tmp_path, monkeypatch):
    frame = frame_of()
    frame[name] = np.where(frame["y"] > 0, "sold", "kept")
    frame[name][3] = "sold" if frame[name][3] == "kept" else "kept"
    text = finding(check_data(frame, "y"), "leaking column").advice
    (note,) = [note for note in data.from_table(frame, "y").notes if "alone tells" in note]
    for advice in (text, note):
        option, setting = shlex.split(said(advice, r"(--set data\.drop=.*)$"))
        assert option == "--set"
        drop = given_settings({}, (setting,))["data.drop"]
        dataset = data.from_table(frame, "y", drop=drop)
        assert name not in [column.name for column in dataset.preprocessing.columns]
        assert not any("alone tells" in note for note in dataset.notes)


@follows("look for a column that is missing, or for wrong targets")
@pytest.mark.parametrize("way", ["column", "targets"])
def rows_against_each_other(way):
    frame = frame_of()
    for name in ("a", "b", "c"):
        frame[name][31] = frame[name][30]
    frame["y"][31] = 1 - frame["y"][30]
    first, second = (int(row) for row in finding(check_data(frame, "y"), "contradicting rows").rows)
    if way == "column":
        frame["missing"] = np.random.default_rng(2).normal(size=200)
    else:
        frame["y"][second] = frame["y"][first]
    assert "contradicting rows" not in titles(check_data(frame, "y"))


@follows("remove them, or keep them in one part with --group")
@pytest.mark.parametrize("way", ["remove", "group"])
def rows_again(way, tmp_path, capsys):
    frame = frame_of()
    for rows in ((10, 20), (30, 50), (60, 61), (70, 90), (80, 99), (100, 120)):
        for column in frame.values():
            column[rows[1]] = column[rows[0]]
    found = finding(check_data(frame, "y"), "repeated rows")
    assert "in another part" in found.text
    if way == "remove":
        again = [int(row) for row in found.rows]
        frame = {name: np.delete(column, again) for name, column in frame.items()}
        assert "repeated rows" not in titles(check_data(frame, "y"))
        return
    frame["who"] = np.unique(frame["a"], return_inverse=True)[1]
    lines = [",".join(map(str, row)) for row in zip(*frame.values(), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(frame), *lines]))
    option = said(found.advice, r"(--\w+)$")
    command = ["data", "check", str(tmp_path / "t.csv"), "--target", "y", option, "who", "--json"]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    (text,) = [one["text"] for one in found if one["title"] == "repeated rows"]
    assert "in another part" not in text


@follows("they are blown up; find larger ones, or remove them", "fill the folders, or remove them")
@pytest.mark.parametrize("way", ["fill", "remove"])
def small_pictures_and_empty_folders(way, tmp_path):
    root = picture_folder(tmp_path / "p", size=(20, 30), damaged=False)
    picture = next(root.glob("ring/*.png"))
    with Image.open(picture) as file:
        file.resize((8, 8)).save(root / "ring" / "small.png")
    (root / "empty").mkdir()
    check = check_data(root, image_size=16)
    (tiny,), (empty,) = (
        finding(check, "very small pictures").rows,
        finding(check, "empty classes").rows,
    )
    if way == "remove":
        (root / tiny).unlink()
        (root / empty).rmdir()
    else:
        with Image.open(picture) as file:
            file.rotate(90).save(root / tiny)
            file.rotate(180).save(root / empty / "one.png")
    assert not {"very small pictures", "empty classes"} & titles(check_data(root, image_size=16))


@follows("are drawn, keep them together with --group")
@pytest.mark.parametrize("way", ["remove", "group"])
def pictures_in_two_parts(way, tmp_path, capsys):
    root = picture_folder(tmp_path / "p", count=60, damaged=False)
    for file in sorted(root.glob("*/*")):
        file.rename(file.with_name(f"p{file.stem}-{file.suffix}"))
    for file in sorted(root.glob("*/*"))[::4]:
        shutil.copy(file, file.with_stem(f"{file.stem}again"))
    found = finding(check_data(root, image_size=16), "the same picture in two parts")
    if way == "remove":
        for file in root.glob("*/*again.*"):
            file.unlink()
        assert "the same picture in two parts" not in titles(check_data(root, image_size=16))
        return
    option = said(found.advice, r"(--\w+)$")
    run(["data", "check", str(root), "--image-size", "16", option, "p[0-9]+-", "--json"])
    found = {one["title"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert "the same picture" in found
    assert "the same picture in two parts" not in found


@follows("Repair or remove them{more}, or leave them out with ")
def parquet_pictures_that_cannot_be_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    files = sorted(picture_folder(tmp_path / "p", damaged=False).glob("*/*"))
    content = [b"no picture", *(path.read_bytes() for path in files)]
    kinds = ["ring", *(path.parent.name for path in files)]
    images = [{"bytes": one, "path": None} for one in content]
    parquet.write_table(pyarrow.table({"image": images, "label": kinds}), tmp_path / "p.parquet")
    found = finding(check_data(tmp_path / "p.parquet", image_size=8), "unreadable pictures")
    assert re.search(r"1 of 41 .*p\.parquet:0", found.text)
