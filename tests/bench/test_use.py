"""The rows on using the library, and the comparison of whole programs."""

import ast

import numpy as np
import pytest

from handgrad.bench import WrongResult, all_rows, use
from handgrad.bench.doors import __main__ as doors
from handgrad.bench.doors import programs
from handgrad.bench.table import OF_USE, table


def test_what_is_not_the_same_is_not_timed():
    same = {"Handgrad": (10, 0.9), "other": (10, 0.92)}
    assert [record["parameters"] for record in use.check_same(same, 0.05)] == [10, 10]
    with pytest.raises(WrongResult, match="less than other"):
        use.check_same(same, 0.01)
    with pytest.raises(WrongResult, match="not the same network"):
        use.check_same({**same, "third": (11, 0.5)}, 0.05)
    with pytest.raises(WrongResult, match="scores nan"):
        use.check_same({"Handgrad": (10, np.nan), "other": (10, 0.1)}, 0.05)


def test_sides_take_turns_and_get_a_line_each(monkeypatch):
    turns = []

    def task(folder, threads, quick, say):
        assert folder.is_dir()
        sides = [use.Side(name, "as it is", lambda n=name: turns.append(n)) for name in ("a", "b")]
        return use.Task(sides, [{"who": "a"}])

    monkeypatch.setitem(use.TASKS, "table_fit", task)
    (result,) = use.results(
        21, "a fit", "fit", "table_fit", threads=1, rounds=3, seconds=0.1, quick=True, say=print
    )
    assert turns == ["a", "b"] * 3
    assert result["peers"][0]["ratio"] > 0
    machine = {"cpu": "x", "cores": 1, "versions": {"handgrad": "1", "numpy": "2"}, "data": "d"}
    report = {"results": [result], "machine": machine, "threads": 1, "date": "2026-01-01"}
    lines = table([report]).splitlines()
    assert lines[0].startswith("| | | Handgrad | beside it")
    assert lines[2].startswith("| 21 | a fit | ")
    assert "b (as it is)" in lines[2]


def test_rows_of_use_are_known_to_the_table():
    rows = all_rows()
    assert tuple(n for n, row in rows.items() if row.measures == "use") == OF_USE
    for number in OF_USE:
        (job,) = rows[number].cases.values()
        assert job["what"] in use.TASKS


def test_programs_are_python_and_ours_are_the_shortest():
    for kind, texts in programs.PROGRAMS.items():
        assert tuple(texts) == programs.LIBRARIES
        lines = {}
        for library in texts:
            text = programs.program(kind, library, 3)
            ast.parse(text)
            assert "{" not in text.partition("epochs")[2][:12]
            lines[library] = programs.lines_of(text)
        assert lines["Handgrad"] == min(lines.values())


def test_programs_run_by_themselves(tmp_path, monkeypatch):
    texts = dict.fromkeys(programs.LIBRARIES, "print(0.5)")
    texts["skorch"] = "import a_library_that_is_missing"
    monkeypatch.setitem(programs.PROGRAMS, "arrays", texts)
    monkeypatch.setattr(doors, "epochs_of", lambda place: 2)
    found = doors.compare("arrays", tmp_path)
    assert (tmp_path / "train.npz").is_file()
    assert [result.score for result in found.values()] == [0.5, 0.5, 0.5, None]
    assert "a_library_that_is_missing" in found["skorch"].problem


def test_data_of_every_kind_are_written(tmp_path):
    for write in doors.WRITERS.values():
        write(tmp_path)
    assert len(list((tmp_path / "photos" / "train").glob("*/*"))) == 600
    assert (tmp_path / "test.csv").read_text("utf-8").count("\n") == 1001
