"""The mark "thorough": what `make test` leaves out, and that it leaves out no more."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
INNER = """
import pytest

@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("n", range(7))
def test_cases(n):
    pass

@pytest.mark.thorough
def test_whole():
    pass

def test_quick():
    pass
"""


def ran(folder, *options):
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options, "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout.replace("::", " ").split()
    return [
        word.removeprefix("test_")
        for word in words
        if word.startswith("test_") and ".py" not in word
    ]


def test_each_nth_case_stays(tmp_path, monkeypatch):
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = thorough: left out\n")
    (tmp_path / "test_inner.py").write_text(INNER)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take most of the time
    assert ran(tmp_path, "-m", "not thorough") == ["cases[0]", "cases[3]", "cases[6]", "quick"]
    assert ran(tmp_path) == [*(f"cases[{n}]" for n in range(7)), "whole", "quick"]
