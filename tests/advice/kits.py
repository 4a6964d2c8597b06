"""Advice on a course to hand out, and on a page beside several ranks."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import pytest
from advice.rows import follows, refused, said

from handgrad.cli.app import run
from handgrad.courses.kit import write_course, write_exercises


@follows("{folder} is there already; name a new folder")
def a_course_needs_a_new_folder(tmp_path):
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "mine.txt").write_text("mine")
    text = refused(lambda: write_course(tmp_path / "course"))
    assert said(text, r"; name (a new folder)$")
    assert (write_course(tmp_path / "another") / "student" / "dense.py").exists()
    assert [path.name for path in (tmp_path / "course").iterdir()] == ["mine.txt"]


@follows("{target} is there and differs; move it away, or name another folder")
def exercises_that_a_student_has_filled(tmp_path):
    course = write_course(tmp_path / "course")
    filled = course / "student" / "dense.py"
    filled.write_text("filled\n")
    text = refused(lambda: write_exercises(course / "solutions", course / "student"))
    write_exercises(course / "solutions", tmp_path / "other")  # another folder
    moved = Path(said(text, r": (.+) is there and differs"))
    shutil.move(moved, tmp_path / "filled.py")  # moved away
    write_exercises(course / "solutions", course / "student")
    assert (tmp_path / "filled.py").read_text() == "filled\n"
    assert "TODO" in filled.read_text()


@pytest.mark.thorough
@follows("--live steers a training of one process; leave it out under mpirun")
def a_live_page_of_several_ranks(tmp_path, capsys, monkeypatch):
    train = __import__("handgrad.cli.train", fromlist=["train"])
    world = types.SimpleNamespace(size=2)
    monkeypatch.setattr(train, "with_ranks", lambda act: act(world))
    call = ["train", "--epochs", "1", "--quiet", "--out", str(tmp_path), "--live"]
    assert run(call) == 2
    assert "leave it out" in capsys.readouterr().err
    monkeypatch.setattr(train, "with_ranks", lambda act: act(None))
    assert run(call[:-1]) == 0
    assert sys.modules["handgrad.cli.train"] is train
