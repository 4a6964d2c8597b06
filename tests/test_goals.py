"""The figures of the goals: what is written, and that a failure is counted as one."""

import json
import subprocess
import sys
from pathlib import Path

import goals
import goals_page
import pytest

TESTS = Path(__file__).parent
INNER = """
import pytest

@pytest.mark.goal(99, "numbers below five")
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_numbers(n, record_property):
    if n == 6:
        pytest.skip("too large")
    assert n < 5
    if n == 4:
        record_property("checks", 10)
"""


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_figure_is_a_line_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDGRAD_GOALS", str(tmp_path / "goals"))
    goals.record(13, "3 kills, 3 bit-identical")
    goals.record(15, "4 flips")
    first, second = lines(tmp_path / "goals")
    assert first["goal"] == 13
    assert first["figure"] == "3 kills, 3 bit-identical"
    assert first["passed"] is True
    assert first["test"].endswith("test_goals.py::test_a_figure_is_a_line_of_its_own")
    assert second["commit"] == goals.commit()
    assert set(first) == {"goal", "figure", "test", "passed", "date", "commit"}


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("HANDGRAD_GOALS", raising=False)
    monkeypatch.chdir(tmp_path)
    goals.record(13, "nothing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", ["0", "2"])
def test_marked_tests_are_counted_in_every_worker(workers, tmp_path, monkeypatch):
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = goal: a goal\n")
    (tmp_path / "test_inner.py").write_text(INNER)
    monkeypatch.setenv("HANDGRAD_GOALS", str(tmp_path / "goals"))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv(
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
    )  # what the others load takes most of the time
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", workers,
               "-p", "no:cacheprovider", "."]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = lines(tmp_path / "goals")
    assert (line["goal"], line["passed"]) == (99, False)
    assert line["figure"] == "14 numbers below five, 1 failed, 1 skipped"
    assert line["test"] == "test_inner.py"


def test_the_page_shows_the_newest_figure_of_each_test():
    def line(test, figure, date):
        return {
            "goal": 12,
            "figure": figure,
            "test": test,
            "passed": True,
            "date": date,
            "commit": "c",
        }

    old = line("t.py::t[float32]", "3 runs in float32", "2026-01-01")
    new = line("t.py::t[float32]", "20 runs in float32", "2026-01-02")
    other = line("t.py::t[float64]", "20 runs in float64", "2026-01-01")
    assert goals_page.newest([new, old, other]) == [new, other]
    page = goals_page.page([new])
    assert "| 20 runs in float32 (2026-01-02, c) |" in page
    assert page.count("| not shown |") == 38
