"""Submissions are judged apart: what one does harms nothing but its own row."""

import csv

import pytest

from handgrad.checker import CheckError
from handgrad.checker.rubric import judge_all, read_rubric

LAYERS = """
import numpy as np
def relu_forward(x):
    return np.maximum(0, x), x
def relu_backward(dout, x):
    return dout * (x > 0)
"""
SUBMISSIONS = {
    "good": LAYERS,
    "wrong": LAYERS.replace("(x > 0)", "(dout > 0)"),
    "hangs": LAYERS + "while True:\n    pass\n",
    "exits": LAYERS + "import os\nos._exit(0)\n",
    "quits": LAYERS + "raise SystemExit(0)\n",
    "floods": LAYERS + "for _ in range(2000):\n    print('x' * 10**5)\n",
    "writes": LAYERS + "open(r'{outside}', 'w').write('x')\n",
    "deletes": LAYERS + "import os\nos.remove(r'{precious}')\n",
    "starts": LAYERS + "import subprocess\nsubprocess.run(['touch', r'{outside}'])\n",
    "eats": LAYERS + "hoard = [np.ones(10**9) for _ in range(100)]\n",
    "shadows": LAYERS,
    "<b>bold": "import no_such_module\n" + LAYERS,
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """The table of one run over all submissions."""
    root = tmp_path_factory.mktemp("rubric")
    outside, precious = root / "outside.txt", root / "precious.txt"
    precious.write_text("x")
    for name, text in SUBMISSIONS.items():
        folder = root / "submissions" / name
        folder.mkdir(parents=True)
        text = text.replace("{outside}", str(outside)).replace("{precious}", str(precious))
        (folder / "layers.py").write_text(text)
    (root / "submissions" / "shadows" / "json.py").write_text("raise SystemExit(1)\n")
    (root / "submissions" / "single.py").write_text(LAYERS)
    rubric = root / "rubric.toml"
    rubric.write_text("seconds = 4\nmemory = 2000\n[points]\nrelu_forward = 1\nrelu_backward = 2\n")
    judge_all(read_rubric(rubric), root / "submissions", root / "results")
    with (root / "results" / "results.csv").open(newline="") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    return root, rows


def test_points(judged):
    _, rows = judged
    points = {name: row["points"] for name, row in rows.items()}
    assert points["good"] == points["floods"] == points["single"] == points["shadows"] == "3"
    assert points["wrong"] == "1"
    harmful = {"hangs", "exits", "quits", "writes", "deletes", "starts", "eats", "<b>bold"}
    assert {points[name] for name in harmful} == {"0"}
    assert rows["wrong"]["relu_backward"] == "WRONG"
    assert rows["good"]["of"] == "3"


def test_problems_are_named(judged):
    _, rows = judged
    assert "4 seconds" in rows["hangs"]["problem"]
    assert "exit code 0" in rows["exits"]["problem"]


def test_nothing_was_harmed(judged):
    root, _ = judged
    assert not (root / "outside.txt").exists()
    assert (root / "precious.txt").exists()
    files = {path.name for path in (root / "submissions").rglob("*")}
    assert files == {*SUBMISSIONS, "layers.py", "json.py", "single.py"}


def test_a_page_for_each(judged):
    root, rows = judged
    pages = {path.stem for path in (root / "results").glob("*.html")}
    assert pages == set(rows)
    assert "<b>bold</h1>" not in (root / "results" / "<b>bold.html").read_text()
    assert "the mask must come from x" in (root / "results" / "wrong.html").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "cannot be read"),
        ("seconds = 3", "points"),
        ("other = 1\n[points]\na = 1", "unknown other"),
        ("[points]\na = 'x'", "numbers"),
        ("dropout = 'x'\n[points]\na = 1", "keep"),
    ],
)
def test_bad_rubrics(tmp_path, text, says):
    path = tmp_path / "rubric.toml"
    path.write_text(text)
    with pytest.raises(CheckError, match=says):
        read_rubric(path)
