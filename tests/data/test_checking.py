"""The data check: every planted fault is found, clean data have none, every finding says what to do."""

import json
import shutil

import numpy as np
import pytest
from data.own import picture_folder, table_text
from PIL import Image

from handgrad.cli.app import run
from handgrad.data import make_shapes
from handgrad.data.checking import check_data
from handgrad.data.checking.likeness import exact_groups, near_pairs
from handgrad.data.digits import read_digits
from handgrad.errors import DataError
from handgrad.report.data_page import data_page


def titles(check, level=None):
    return [finding.title for finding in check.findings if level in (None, finding.level)]


def found(check, title):
    (finding,) = [finding for finding in check.findings if finding.title == title]
    assert finding.advice
    return finding


@pytest.fixture
def pictures(tmp_path):
    return picture_folder(tmp_path / "p", count=60, damaged=False)


def test_clean_pictures_have_no_serious_finding(pictures):
    check = check_data(pictures, image_size=16)
    assert not check.is_serious
    assert check.facts["pictures"] == "60"
    assert sum(check.classes["ring"].values()) == 30


def test_damage_and_odd_files_are_named(pictures):
    shutil.copy(next(pictures.glob("*/*.png")), pictures / "circle" / "other.jpg")
    (pictures / "ring" / "bad.png").write_bytes(b"no picture")
    (pictures / "ring" / "cut.jpg").write_bytes(next(pictures.glob("*/*.jpg")).read_bytes()[:300])
    (pictures / "ring" / "notes.txt").write_text("x")
    (pictures / "empty").mkdir()
    Image.new("RGB", (8, 40), "red").save(pictures / "ring" / "long.png")
    check = check_data(pictures, image_size=16)
    bad = found(check, "unreadable pictures")
    assert bad.level == "serious"
    assert len(bad.rows) == 2
    assert "bad.png" in " ".join(bad.rows)
    assert "cut.jpg" in " ".join(bad.rows)
    assert "skip_unreadable" in bad.advice
    assert found(check, "very small pictures").rows[0] == "ring/long.png"
    assert found(check, "very long pictures").rows == ("ring/long.png",)
    assert found(check, "flat pictures").rows == ("ring/long.png",)
    assert found(check, "other suffixes").rows == ("circle/other.jpg",)
    assert found(check, "other files").rows == ("ring/notes.txt",)
    assert found(check, "empty classes").rows == ("empty",)


def test_copies_are_found_in_other_classes_and_parts(tmp_path):
    root = tmp_path / "p"
    for part, count in (("train", 40), ("test", 10)):
        picture_folder(root / part, count=count, damaged=False)
    shutil.rmtree(root / "test")  # its pictures are the first of the training
    for name in ("ring", "circle"):
        folder = root / "test" / name
        folder.mkdir(parents=True)
        for k in range(3):
            image = np.random.default_rng(k).integers(0, 256, (20, 20, 3), np.uint8)
            picture = Image.fromarray(image).resize((40, 40))
            picture.save(folder / f"new{name}{k}.png") if name == "ring" else picture.rotate(90).save(
                folder / f"new{k}.png")  # fmt: skip
    source = min((root / "train" / "ring").glob("*.jpg"))
    shutil.copy(source, root / "test" / "ring" / "copy.jpg")
    shutil.copy(source, root / "train" / "circle" / "copy.jpg")
    other = min((root / "train" / "circle").glob("*.bmp"))
    shutil.copy(other, root / "test" / "circle" / "again.bmp")
    near = Image.open(root / "train" / "ring" / "29.webp").convert("RGB")
    near.resize((2 * near.width, 2 * near.height)).save(
        root / "test" / "ring" / "near.jpg", quality=92
    )
    check = check_data(root, image_size=16)
    assert "copy.jpg" in " ".join(found(check, "the same picture in two classes").rows)
    assert "again.bmp" in " ".join(found(check, "the same picture in two parts").rows)
    alike = found(check, "nearly the same picture in two parts")
    assert "near.jpg" in " ".join(alike.rows)
    assert len(alike.pictures) == 2


def test_likeness_is_right_on_many_pictures():
    images = make_shapes(300, seed=3)[0]
    assert exact_groups(images) == []
    assert near_pairs(images) == []
    random = np.random.default_rng(0)
    noisy = np.clip(images[:20] + random.normal(0, 3, images[:20].shape), 0, 255).astype(np.uint8)
    both = np.concatenate([images, noisy, images[5:6]])
    assert exact_groups(both) == [[5, 320]]
    pairs = near_pairs(both)
    assert sum((k, 300 + k) in pairs for k in range(20)) >= 15
    assert all(b - a in (300, 15) for a, b in pairs)


def test_wrong_labels_are_found(tmp_path):
    images, labels = read_digits()
    images, wrong = images[:500] * 15, labels[:500].copy()
    rows = np.random.default_rng(0).choice(500, 10, replace=False)
    wrong[rows] = (wrong[rows] + 3) % 10
    clean = [f for f in _of_arrays(tmp_path, images, labels[:500]).findings if "labels" in f.title]
    assert sum(len(finding.rows) for finding in clean) <= 2
    check = _of_arrays(tmp_path, images, wrong)
    named = [str(row) for row in rows]
    finding = found(check, "labels that look wrong")
    assert sum(f"{row}:" in " ".join(finding.rows) for row in named) >= 7
    assert len(finding.rows) <= 12
    assert len(finding.pictures) >= 7


def _of_arrays(folder, X, y):
    np.savez(folder / "a.npz", X=X, y=y)
    return check_data(folder / "a.npz")


def test_a_table_with_every_fault(tmp_path):
    lines = table_text(160).splitlines()
    lines[20] = lines[19]
    text = "\n".join(lines)
    header, *rest = text.splitlines()
    rest = [
        f"{row},{(k % 2 and 3) or ''},{1e9 if k == 77 else k * 7 % 41}"
        for k, row in enumerate(rest)
    ]
    (tmp_path / "t.csv").write_text(
        "\n".join([header + ",gaps,far", *rest]) + "\n", encoding="utf-8"
    )
    check = check_data(tmp_path / "t.csv", target="label")
    assert found(check, "the target again").rows == ("leak", "label")
    assert found(check, "leaking column").rows == ("leak",)
    assert "drop" in found(check, "leaking column").advice
    assert found(check, "constant column").rows == ("constant",)
    assert found(check, "values far off").rows == ("77",)
    assert check.facts["rows"] == "160"
    assert [column["column"] for column in check.columns][:3] == ["id", "age", "town"]
    assert check.columns[1]["gaps"] != "0"


def test_rows_again_and_rows_against_each_other(tmp_path):
    random = np.random.default_rng(0)
    frame = {"a": random.normal(size=100).round(3), "b": random.normal(size=100).round(3)}
    frame["y"] = (frame["a"] > 0).astype(int)
    for column in frame.values():
        column[11], column[31] = column[10], column[30]
    frame["y"][31] = 1 - frame["y"][30]
    check = check_data(frame, target="y")
    assert found(check, "repeated rows").rows == ("11",)
    assert found(check, "contradicting rows").rows == ("30", "31")


def test_a_clean_table_has_no_serious_finding_and_a_regression_is_looked_at():
    random = np.random.default_rng(1)
    frame = {"a": random.normal(size=200), "b": random.normal(size=200)}
    frame["price"] = frame["a"] * 3 + random.normal(size=200)
    check = check_data(frame, target="price")
    assert titles(check, "serious") == []
    assert "price" in check.facts["target"]
    frame["again"] = frame["price"] * 2 + 1
    assert found(check_data(frame, target="price"), "leaking column").rows == ("again",)


def test_uneven_and_small_classes():
    frame = {"a": np.random.default_rng(0).normal(size=220), "y": ["x"] * 210 + ["z"] * 10}
    check = check_data(frame, target="y")
    assert "z (10)" in found(check, "small classes").rows
    assert "21 times" in found(check, "uneven classes").text


def test_what_cannot_be_trained_on_is_a_finding(tmp_path):
    check = check_data({"a": [1.0, 2, 3] * 10, "y": ["x"] * 30}, target="y")
    assert check.is_serious
    assert "same target" in found(check, "cannot be trained on").text
    with pytest.raises(DataError, match="no such file"):
        check_data(tmp_path / "nowhere")
    assert "no target" in titles(check_data({"a": [1.0, 2, 3] * 10}))


def test_the_command_prints_writes_a_page_and_says_it_by_its_code(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(table_text(), encoding="utf-8")
    assert run(["data", "check", "t.csv", "--target", "label"]) == 1
    said = capsys.readouterr().out
    assert "leaking column" in said
    page = (tmp_path / "t.csv-check.html").read_text(encoding="utf-8")
    assert "leaking column" in page
    assert "What to do: if it would not be known" in page
    assert run(["data", "check", "t.csv", "--target", "label", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["findings"][0]["level"] == "serious"
    assert run(["data", "check", "nowhere"]) == 2


def test_names_of_others_are_no_html():
    check = check_data({"<b>x</b>": np.arange(40) % 7.5, "y": ["<i>", "b"] * 20}, target="y")
    page = data_page(check.to_dict(), [finding.pictures for finding in check.findings])
    assert "<b>x" not in page
    assert "<i>" not in page


def test_texts_that_tell_single_rows_apart_are_no_leak():
    random = np.random.default_rng(0)
    frame = {"id": [f"person {k}" for k in range(100)], "a": random.normal(size=100),
             "y": random.integers(0, 2, 100)}  # fmt: skip
    assert "leaking column" not in titles(check_data(frame, target="y"))


def test_pictures_of_one_hash_but_other_pixels_are_not_alike():
    ramp = np.linspace(255, 0, 32)
    steep = 255 * (ramp / 255) ** 8
    images = np.stack([np.tile(row, (1, 32, 1)) for row in (ramp, steep)]).astype(np.uint8)
    assert near_pairs(images) == []
    assert near_pairs(np.stack([images[0], images[0] // 2 + 60])) == []
    slightly = np.clip(images[0].astype(int) + 4, 0, 255).astype(np.uint8)
    assert near_pairs(np.stack([images[0], slightly])) == [(0, 1)]
