"""Submissions are judged apart: what one does harms nothing but its own row."""

import csv

import pytest
from checker.submissions import LAYERS

from handgrad.checker.points import Rubric, read_rubric
from handgrad.checker.rubric import judge_all, judge_one, keeping
from handgrad.checker.worker import can_limit_memory

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


def judged(root):
    """The table of a run over all submissions."""
    outside, precious = root / "outside.txt", root / "precious.txt"
    precious.write_text("x")
    for name, text in SUBMISSIONS.items():
        if name == "eats" and not can_limit_memory():
            continue  # it would eat the memory of the whole machine
        folder = root / "submissions" / name
        folder.mkdir(parents=True)
        text = text.replace("{outside}", str(outside)).replace("{precious}", str(precious))
        (folder / "layers.py").write_text(text)
    (root / "submissions" / "shadows" / "json.py").write_text("raise SystemExit(1)\n")
    (root / "submissions" / "single.py").write_text(LAYERS)
    rubric = root / "rubric.toml"
    rubric.write_text("seconds = 6\nmemory = 2000\n[points]\nrelu_forward = 1\nrelu_backward = 2\n")
    judge_all(read_rubric(rubric), root / "submissions", root / "results")
    with (root / "results" / "results.csv").open(newline="") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


@pytest.mark.thorough
def test_a_submission_harms_nothing_but_its_own_row(tmp_path):
    rows = judged(tmp_path)
    points = {name: row["points"] for name, row in rows.items()}
    assert points["good"] == points["floods"] == points["single"] == points["shadows"] == "3"
    assert points["wrong"] == "1"
    harmful = {"hangs", "exits", "quits", "writes", "deletes", "starts", "<b>bold"}
    if can_limit_memory():
        harmful.add("eats")
        assert "out of memory" in rows["eats"]["problem"].lower()
    assert {points[name] for name in harmful} == {"0"}
    assert rows["wrong"]["relu_backward"] == "WRONG"
    assert rows["good"]["of"] == "3"
    assert "6 seconds" in rows["hangs"]["problem"]
    assert "imported (layers.py:" in rows["hangs"]["problem"]
    assert "os._exit, exit code 0" in rows["exits"]["problem"]
    assert "sys.exit, exit code 0" in rows["quits"]["problem"]

    assert not (tmp_path / "outside.txt").exists()
    assert (tmp_path / "precious.txt").exists()
    files = {path.name for path in (tmp_path / "submissions").rglob("*")}
    assert files == {*(rows.keys() - {"single"}), "layers.py", "json.py", "single.py"}

    results = tmp_path / "results"
    assert {path.stem for path in results.glob("*.html")} == {*rows, "index"}
    assert "<b>bold</h1>" not in (results / "<b>bold.html").read_text()
    assert "the mask must come from x" in (results / "wrong.html").read_text()


def test_what_was_judged_in_the_end_is_no_problem(tmp_path):
    (tmp_path / "s.py").write_text(LAYERS)
    rubric = Rubric({"relu_forward": 1.0, "relu_backward": 1.0})
    with keeping() as real:

        class Slow:
            """It ends the first task as if its time were over."""

            asked = 0

            def judge(self, *task):
                self.asked += 1
                late = {"problem": "stopped after 60 seconds", "again": True}
                return (
                    {"records": [], "remarks": [], **late} if self.asked == 1 else real.judge(*task)
                )

        row = judge_one(rubric, tmp_path / "s.py", kept=Slow())
    assert row.points(rubric) == 2
    assert row.problem == ""
    assert "judged function by function; at first, stopped after 60 seconds" in row.remarks


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAYERS.encode("utf-16"), "s.py is written in UTF-16: Python reads UTF-8"),
        (LAYERS.encode() + b"\0", "null bytes"),
        (LAYERS.encode() + b"raise KeyboardInterrupt\n", "KeyboardInterrupt while it was imported"),
    ],
)
def test_files_that_python_cannot_read(tmp_path, text, says):
    (tmp_path / "s.py").write_bytes(text)
    row = judge_one(Rubric({"relu_forward": 1.0}), tmp_path / "s.py")
    assert says in row.problem
    assert "s.py" in row.problem
    assert "None" not in row.problem
