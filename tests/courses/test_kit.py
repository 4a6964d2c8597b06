"""The course to hand out: exercises come from the solutions, which are right and get all points."""

import csv
import shutil
import subprocess
import sys

import pytest

from handgrad.checker import NOT_WRITTEN, RIGHT, check_path
from handgrad.cli.app import run
from handgrad.courses.kit import MODULES, exercise, write_course
from handgrad.errors import DataError


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return write_course(tmp_path_factory.mktemp("kit") / "course")


@pytest.mark.parametrize("module", MODULES)
def test_solutions_are_right_and_exercises_not_written(course, module):
    solved = check_path(str(course / "solutions" / module), course="cs231n-2020").verdicts
    assert solved
    assert {verdict.verdict for verdict in solved} == {RIGHT}
    open_ones = check_path(str(course / "student" / module), course="cs231n-2020").verdicts
    assert [one.function for one in open_ones] == [one.function for one in solved]
    assert {verdict.verdict for verdict in open_ones} == {NOT_WRITTEN}


def test_nothing_of_a_solution_is_handed_out(course):
    for module in MODULES:
        text = (course / "student" / module).read_text("utf-8")
        assert "# END" not in text
        assert text.count("# TODO") == text.count("raise NotImplementedError") > 0


def test_a_rubric_gives_all_points_and_none(course, tmp_path):
    for name in ("solutions", "student"):
        shutil.copytree(course / name, tmp_path / "submissions" / name)
    place = tmp_path / "results"
    code = run(["check", "--rubric", str(course / "rubric.toml"), str(tmp_path / "submissions"),
                "--results", str(place)])  # fmt: skip
    assert code in (0, 1)
    with (place / "grades.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert float(rows["solutions"]["total"]) == float(rows["solutions"]["max"]) > 40
    assert float(rows["student"]["total"]) == 0


def test_the_students_tests_skip_what_is_open_and_see_a_mistake(course, tmp_path):
    folder = shutil.copytree(course / "student", tmp_path / "student")
    solved = (course / "solutions" / "dense.py").read_text("utf-8")
    (folder / "dense.py").write_text(solved.replace("dout * (x > 0)", "dout * (x < 0)"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_exercises.py"],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "relu_backward" in done.stdout
    assert "1 failed, 4 passed" in done.stdout
    assert "skipped" in done.stdout


def test_new_writes_nothing_over(course, capsys):
    assert run(["course", "new", str(course)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_exercises_of_ones_own(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.py").write_text("# TODO: think\nx = 1\n# END\ny = 2\n")
    call = ["course", "exercises", str(tmp_path / "mine"), str(tmp_path / "out")]
    assert run(call) == 0
    assert (
        tmp_path / "out" / "a.py"
    ).read_text() == "# TODO: think\nraise NotImplementedError\ny = 2\n"
    assert run(call) == 0  # the same again
    (tmp_path / "out" / "a.py").write_text("edited\n")
    assert run(call) == 2
    assert "differs" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.py").read_text() == "edited\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# TODO: a\nx = 1\n", "line 1 has no # END"),
        ("# TODO: a\n# TODO: b\n# END\n", "line 1 has no # END before line 2"),
        ("x = 1\n# END\n", "line 2 has no TODO"),
    ],
)
def test_marks_that_do_not_fit(text, said):
    with pytest.raises(DataError, match=said):
        exercise(text)
