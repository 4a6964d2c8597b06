"""Zip files, notebooks and folders as submissions: read safely, judged once for each function."""

import csv
import io
import json
import stat
import zipfile

import pytest
from checker.submissions import AFFINE, CONV, INDEPENDENT, LAYERS, RENAMED, rubric_in

from handgrad.checker import CheckError, likeness, results, submissions
from handgrad.checker.notebooks import code_of
from handgrad.checker.rubric import judge_all, judge_one
from handgrad.checker.worker import can_limit_memory
from handgrad.cli.app import run


def zipped(path, files, link=""):
    """Write a zip file; link: the name of a link to be put into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        if link:
            member = zipfile.ZipInfo(link)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, "/etc/hostname")
    return path


def notebook(*cells):
    """The text of a notebook of code cells."""
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


# zip files


def test_a_zip_file_is_judged(tmp_path):
    inside = {"hw/cs231n/layers.py": LAYERS, "__MACOSX/hw/._layers.py": "\0", "hw/.git/x.py": "x"}
    path = zipped(tmp_path / "anna.zip", inside, link="hw/data")
    row = judge_one(rubric_in(tmp_path), path)
    assert (row.name, row.problem) == ("anna", "")
    assert row.points(rubric_in(tmp_path)) == 3
    assert row.remarks == ["left out: hw/data (a link)"]
    assert row.record("relu_forward")["file"] == "hw/cs231n/layers.py"


def test_a_folder_that_holds_only_a_zip_file_is_unpacked(tmp_path):
    zipped(tmp_path / "Bea_assignsubmission_file_" / "hw.zip", {"layers.py": LAYERS})
    row = judge_one(rubric_in(tmp_path), tmp_path / "Bea_assignsubmission_file_")
    assert row.points(rubric_in(tmp_path)) == 3


@pytest.mark.parametrize(
    "name", ["../evil.py", "/tmp/evil.py", "a/../../evil.py", "..\\evil.py", "C:\\e.py"]
)
def test_paths_that_lead_outside_are_refused(tmp_path, name):
    into = tmp_path / "copy"
    into.mkdir()
    path = zipped(tmp_path / "a.zip", {name: "x", "layers.py": LAYERS})
    with pytest.raises(CheckError, match="leads outside"):
        submissions.copy(path, into)
    assert not list(tmp_path.glob("evil*"))


def test_a_zip_file_that_holds_only_a_zip_file_is_unpacked(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("layers.py", LAYERS)
        archive.writestr("deeper.zip", inner.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("handed in/hw2.zip", inner.getvalue())
    rubric = rubric_in(tmp_path)
    row = judge_one(rubric, tmp_path / "a.zip")
    assert row.problem == ""
    assert row.points(rubric) == rubric.total


def test_a_zip_file_is_measured_by_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "_LARGEST_COPY", 300_000)
    monkeypatch.setattr(submissions, "_LARGEST_FILE", 100_000)
    into = tmp_path / "copy"
    into.mkdir()
    path = zipped(tmp_path / "a.zip", {"big.npy": b"0" * 150_000, "layers.py": LAYERS})
    assert submissions.copy(path, into) == ["left out: big.npy (larger than 0 MiB)"]
    assert [path.name for path in into.iterdir()] == ["layers.py"]
    bomb = zipped(tmp_path / "b.zip", {f"{i}.bin": b"0" * 90_000 for i in range(5)})
    with pytest.raises(CheckError, match="holds more than"):
        submissions.copy(bomb, into)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 and more of it"])
def test_a_broken_zip_file_is_a_problem_of_its_row(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    assert "no zip file" in judge_one(rubric_in(tmp_path), tmp_path / "a.zip").problem


def test_links_in_a_folder_are_not_followed(tmp_path):
    folder = tmp_path / "anna"
    folder.mkdir()
    (tmp_path / "secret.py").write_text(LAYERS)
    (folder / "layers.py").symlink_to(tmp_path / "secret.py")
    (folder / "more").symlink_to(tmp_path)
    row = judge_one(rubric_in(tmp_path), folder)
    assert row.points(rubric_in(tmp_path)) == 0
    assert "left out: layers.py (a link)" in row.remarks
    assert "left out: more (a link)" in row.remarks


# notebooks


def test_the_definitions_of_a_notebook_are_kept():
    code, notes = code_of(
        notebook(
            "%load_ext autoreload\n!pip install x\nimport math, numpy as np\nhelp?\n",
            "%%time\nEPS = 1e-5\nscale = np.sqrt(2.0)\ndata = load(EPS)\nX = data['X']\n",
            "@staticmethod\ndef f(x):\n    text = '''\n% kept\n'''\n    return x\n\nf(3)\n",
            "for i in range(10**12):\n    pass\n",
            "print 'old'\n",
            "%%bash\ndef no(\n",
            "class A:\n    pass\n",
        )
    )
    names = {}
    exec(code.replace("@staticmethod\n", ""), names)
    assert {"math", "np", "EPS", "scale", "f", "A"} <= set(names)
    assert not {"data", "X", "i", "no"} & set(names)
    assert "% kept" in code
    assert "@staticmethod" in code
    assert len(notes) == 1
    assert "code cell 5" in notes[0]


def test_a_notebook_is_judged(tmp_path):
    text = notebook("%matplotlib inline\nimport numpy as np", LAYERS, "while True:\n    pass")
    (tmp_path / "nora hw1.ipynb").write_text(text)
    row = judge_one(rubric_in(tmp_path), tmp_path / "nora hw1.ipynb")
    assert (row.name, row.points(rubric_in(tmp_path))) == ("nora hw1", 3)
    (tmp_path / "bad.ipynb").write_text("{}")
    assert "no notebook" in str(judge_one(rubric_in(tmp_path), tmp_path / "bad.ipynb").remarks)


def test_a_folders_notebook_counts_where_no_file_defines_the_function(tmp_path):
    folder = tmp_path / "anna"
    folder.mkdir()
    (folder / "layers.py").write_text(LAYERS)
    wrong = LAYERS.replace("(x > 0)", "1")
    (folder / "hw.ipynb").write_text(notebook(wrong))
    (folder / "affine.ipynb").write_text(notebook("import numpy as np\n" + AFFINE))
    rubric = rubric_in(tmp_path, points="relu_backward = 1\naffine_backward = 1\n")
    row = judge_one(rubric, folder)
    assert row.record("relu_backward")["file"] == "layers.py"
    assert row.points(rubric) == 2


# two definitions


def test_the_imported_definition_counts_or_the_one_that_the_rubric_names(tmp_path):
    folder = tmp_path / "anna"
    (folder / "cs231n" / "classifiers").mkdir(parents=True)
    (folder / "a_backup.py").write_text(LAYERS.replace("(x > 0)", "1"))
    (folder / "cs231n" / "layers.py").write_text(LAYERS)
    (folder / "cs231n" / "classifiers" / "fc_net.py").write_text("from ..layers import *\n")
    row = judge_one(rubric_in(tmp_path), folder)
    assert [record["function"] for record in row.records] == ["relu_forward", "relu_backward"]
    assert row.points(rubric_in(tmp_path)) == 3
    (remark,) = [one for one in row.remarks if "counts" in one]
    assert "imported by cs231n/classifiers/fc_net.py" in remark
    assert remark.startswith("relu_forward, relu_backward: cs231n/layers.py counts")
    assert "not a_backup.py" in remark

    named = rubric_in(tmp_path, 'file = "a_backup.py"')
    row = judge_one(named, folder)
    assert row.points(named) == 1
    assert any("the rubric names it" in one for one in row.remarks)


# a function that hangs costs only its own points


@pytest.mark.thorough
def test_the_others_are_judged_where_one_function_hangs_or_crashes(tmp_path):
    rubric = rubric_in(
        tmp_path, points="relu_forward = 1\nrelu_backward = 2\naffine_backward = 4\n"
    )
    for name, line, says in [
        ("hangs", "while True: pass", "stopped after 5 seconds in affine_forward (hangs.py:9)"),
        ("aborts", "import os; os.abort()", "Aborted) in affine_forward (aborts.py:9)"),
        (
            "eats",
            "[np.ones(10**9) for _ in range(99)]",
            "out of memory in affine_forward (eats.py:9)",
        ),
        ("leaves", "import posix; posix._exit(7)", "exit code 7"),
    ]:
        if name == "eats" and not can_limit_memory():
            continue  # it would eat the memory of the whole machine
        broken = AFFINE.replace("b):\n", f"b):\n    {line}\n", 1)
        (tmp_path / f"{name}.py").write_text(LAYERS + broken)
        limits = rubric_in(tmp_path, "memory = 2000").__class__(rubric.points, 5, 2000)
        row = judge_one(limits, tmp_path / f"{name}.py")
        assert says in row.problem
        assert row.points(rubric) == 3
        assert row.record("affine_backward")["verdict"] == "not testable here"


def test_what_ends_the_program_or_waits_is_named(tmp_path):
    rubric = rubric_in(tmp_path)
    for line, says in [
        ("import sys; sys.exit('bye')", "sys.exit, 'bye'"),
        ("quit()", "ends the whole program (sys.exit, exit code 0)"),
        ("import os; os._exit(3)", "os._exit, exit code 3"),
        ("input('x? ')", "waits for typing"),
    ]:
        path = tmp_path / "s.py"
        path.write_text(LAYERS.replace("    return np", f"    {line}\n    return np"))
        (cause, *_) = judge_one(rubric, path).record("relu_forward")["causes"]
        assert says in cause["says"]
        assert cause["line"] == 4


# who works like whom


def functions_of(folder, text):
    """The functions of a file, as `read_sources` sees them."""
    folder.mkdir()
    (folder / "layers.py").write_text("import numpy as np\n" + text)
    return likeness.read_sources(folder, ["conv_forward_naive"])["functions"]


def test_renamed_code_is_alike_and_another_way_is_not(tmp_path):
    found = {
        name: functions_of(tmp_path / name, text)
        for name, text in [("a", CONV), ("b", RENAMED + LAYERS), ("c", INDEPENDENT)]
    }
    (pair,) = likeness.alike(found, ["conv_forward_naive"])
    assert pair[:2] == ("a", "b")
    assert pair.similarity > 0.99
    assert pair.functions == ("conv_forward_naive",)
    skeleton = functions_of(tmp_path / "skeleton", CONV)
    assert likeness.alike(found, ["conv_forward_naive"], skeleton) == []


def test_what_most_of_a_class_has_is_not_counted(tmp_path):
    found = {str(i): functions_of(tmp_path / str(i), CONV) for i in range(5)}
    assert len(likeness.alike(found, [])) == 10
    found |= {f"other{i}": functions_of(tmp_path / f"o{i}", INDEPENDENT) for i in range(2)}
    assert [pair[:2] for pair in likeness.alike(found, [])] == [("other0", "other1")]


def test_short_functions_say_nothing(tmp_path):
    found = {name: functions_of(tmp_path / name, LAYERS + AFFINE) for name in "ab"}
    assert likeness.alike(found, ["relu_forward", "affine_forward"]) == []


def test_a_formula_is_not_a_copy(tmp_path):
    adam = """
def adam(w, dw, config=None):
    config = config or {}
    config.setdefault("t", 0)
    m, v = config.setdefault("m", 0 * w), config.setdefault("v", 0 * w)
    config["t"] += 1
    config["m"] = m = config["beta1"] * m + (1 - config["beta1"]) * dw
    config["v"] = v = config["beta2"] * v + (1 - config["beta2"]) * dw**2
    m, v = m / (1 - config["beta1"] ** config["t"]), v / (1 - config["beta2"] ** config["t"])
    return w - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"]), config
"""
    found = {
        name: functions_of(tmp_path / name, text)
        for name, text in [("a", adam + CONV), ("b", adam + INDEPENDENT)]
    }
    assert likeness.alike(found, ["adam", "conv_forward_naive"]) == []


def test_libraries_are_found_where_the_functions_need_them(tmp_path):
    (tmp_path / "layers.py").write_text(
        "from helper import f\nimport fast_layers, jax.numpy as jnp\n"
        + LAYERS
        + "__import__('autograd')\n"
    )
    (tmp_path / "helper.py").write_text("from torch import nn\nf = eval('1')\n")
    (tmp_path / "other.py").write_text("import tensorflow\n" + CONV)
    (tmp_path / "fast_layers.py").write_text("import torch\n" + CONV)  # the course's own
    found = likeness.read_sources(tmp_path, ["relu_forward"])
    assert not any("conv" in place for place in found["functions"])
    assert sorted(found["libraries"]) == [
        "autograd at layers.py:9", "eval at helper.py:2", "jax.numpy at layers.py:2",
        "torch at helper.py:1",
    ]  # fmt: skip


# tables and pages


def test_the_tables_and_the_overview(tmp_path):
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "=cmd.py").write_text("import torch\n" + LAYERS + CONV)
    (folder / "index.py").write_text("import numpy as np\n" + RENAMED)
    (folder / "<i>.py").write_text(LAYERS.replace("(x > 0)", "(dout > 0)"))
    zipped(folder / "index.zip", {"layers.py": LAYERS})
    rubric = rubric_in(
        tmp_path,
        'course = "cs231n-2020"',
        "relu_backward = {gradient = 2}\nconv_forward_naive = 1\n",
    )
    judge_all(rubric, folder, tmp_path / "results")
    with (tmp_path / "results" / "grades.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["name", "total", "max", "relu_backward", "conv_forward_naive"],
        ["<i>", "0", "3", "0", "0"],
        ["'=cmd", "3", "3", "2", "1"],
        ["index.py", "1", "3", "0", "1"],
        ["index.zip", "2", "3", "2", "0"],
    ]
    text = (tmp_path / "results" / "index.html").read_text()
    assert "Look at these together" in text
    assert "=cmd</a> and" in text
    assert "100 % alike; <code>conv_forward_naive" in text
    assert "torch at =cmd.py:1" in text
    assert "1: <code>relu_backward</code>: dx keeps dout where dout is positive" in text
    assert "<i>" not in text
    page = (tmp_path / "results" / "<i>.html").read_text()
    assert "0 of 2 (not: gradient)" in page
    assert "return dout * (dout &gt; 0)" in page
    assert '<div class="line marked"><b>6</b>' in page


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(cell):
    assert results._plain(cell) == "'" + cell
    assert results._plain("a" + cell) == "a" + cell


def test_the_command_line_takes_the_course_and_refuses_what_it_would_not_use(tmp_path, capsys):
    rubric_in(tmp_path, points="dropout_forward = 1\n")
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "a.py").write_text(
        "import numpy as np\n"
        "def dropout_forward(x, dropout_param):\n"
        "    p, mode, mask = dropout_param['p'], dropout_param['mode'], None\n"
        "    if 'seed' in dropout_param:\n"
        "        np.random.seed(dropout_param['seed'])\n"
        "    if mode == 'train':\n"
        "        mask = (np.random.rand(*x.shape) >= p) / (1 - p)\n"
        "        x = x * mask\n"
        "    return x, (dropout_param, mask)\n"
    )
    command = ["check", str(folder), "--rubric", str(tmp_path / "rubric.toml")]
    command += ["--results", str(tmp_path / "results")]
    for course, points in [("cs231n-2016", "1"), ("cs231n-2020", "0")]:
        assert run([*command, "--course", course]) == 0
        assert capsys.readouterr().out.split()[:2] == ["a", points]
    assert run([*command, "--course", "cs231n-1"]) == 2
    assert "cs231n-2020" in capsys.readouterr().err
    assert run([*command, "--only", "x"]) == 2
    assert "--only" in capsys.readouterr().err


def test_ctrl_c_keeps_the_rows_that_there_are(tmp_path):
    folder = tmp_path / "submissions"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.py").write_text(LAYERS)
    rows = []

    def stop(row):
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_all(rubric_in(tmp_path), folder, tmp_path / "results", seen=stop)
    assert (tmp_path / "results" / "grades.csv").read_text().count("\n") == 3
    assert "stopped after 2 of 3" in (tmp_path / "results" / "index.html").read_text()
