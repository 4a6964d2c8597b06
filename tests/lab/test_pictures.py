"""Folders of pictures that come from the page."""

import io
import json

import pytest
from lab.asgi import HOST, TOKEN, post

from handgrad.data import load
from handgrad.errors import HandgradError, OptionError
from handgrad.lab import pictures
from handgrad.lab.guard import Guard
from handgrad.lab.routes import application
from handgrad.lab.state import Lab

Image = pytest.importorskip("PIL.Image")


def picture(color, size=(40, 30), kind="PNG"):
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, kind)
    return out.getvalue()


def body(files, data="", title="photos"):
    listed = [{"path": path, "size": len(content)} for path, content in files]
    header = json.dumps({"data": data, "title": title, "files": listed}).encode()
    return len(header).to_bytes(4, "big") + header + b"".join(content for _, content in files)


def test_pictures_become_data_that_can_be_trained_on(tmp_path):
    files = [(f"red/{i}.png", picture((250, i, 0))) for i in range(12)]
    files += [(f"blue/{i}.jpg", picture((0, i, 250), kind="JPEG")) for i in range(12)]
    first = pictures.keep(tmp_path, body([*files[:20], ("red/no.png", b"no picture")]))
    assert (first["kept"], first["left"]) == (20, 1)
    assert first["data"].startswith("photos-")
    assert pictures.keep(tmp_path, body(files[20:], first["data"]))["data"] == first["data"]
    lab = Lab(tmp_path)
    table = lab.data[first["data"]]
    dataset = load(table["name"], path=table["path"])
    assert dataset.class_names == ("blue", "red")
    assert sum(len(dataset.rows[f"y_{part}"]) for part in ("train", "val", "test")) == 24


def test_pictures_are_made_small_and_written_anew(tmp_path):
    found = pictures.keep(
        tmp_path, body([("a/x.png", picture((1, 2, 3), (900, 300)) + b"<script>")])
    )
    (path,) = (tmp_path / ".lab" / "pictures" / found["data"]).rglob("*.png")
    assert b"script" not in path.read_bytes()
    with Image.open(path) as image:
        assert max(image.size) == 128


@pytest.mark.parametrize(
    "path", ["x.png", "", "/", "../x.png", "a/..", "..", "a//x.png", "/etc/passwd", "a/./x.png", " / "]
)  # fmt: skip
def test_no_picture_leaves_its_folder(tmp_path, path):
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    try:
        found = pictures.keep(tmp_path, body([(path, picture((1, 2, 3)))]))
    except OptionError:
        assert {p for p in tmp_path.rglob("*") if p.is_file()} == before
        return
    home = (tmp_path / ".lab" / "pictures" / found["data"]).resolve()
    assert all(p.resolve().is_relative_to(home) for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.parametrize("title", ["..", "../../x", "", "a" * 999, "\0", "<b>"])
def test_no_title_leaves_the_lab(tmp_path, title):
    found = pictures.keep(tmp_path, body([("a/x.png", picture((1, 2, 3)))], title=title))
    assert found["data"] in pictures.names(tmp_path)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\0\0\0\2{}", b"\xff\xff\xff\xff", b"\0\0\0\4null", body([]), body([("a/x.png", b"")])[:-1],
     body([("a/x.png", b"1")]) + b"2", body([("a/x.png", b"1")], data="../tables"),
     body([("a/x.png", b"1")] * 201)],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_in_a_line(tmp_path, data):
    app = Guard(application(Lab(tmp_path), TOKEN), TOKEN, [HOST])
    status, answer = post(app, "pictures", data, "application/octet-stream")
    assert (status, set(answer)) == (400, {"error"})
    assert "\n" not in answer["error"]


def test_there_is_an_end_of_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_PICTURES", 2)
    many = [(f"a/{i}.png", picture((1, 2, 3))) for i in range(3)]
    with pytest.raises(HandgradError, match="at most 2 pictures"):
        pictures.keep(tmp_path, body(many))
    monkeypatch.setattr(pictures, "MOST_FOLDERS", 1)
    with pytest.raises(HandgradError, match="the most there may be"):
        pictures.keep(tmp_path, body(many[:1]))
