"""``handgrad check``: what it prints, its exit codes, and files that cannot be imported."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from handgrad import courses
from handgrad.cli.app import cli, run

RIGHT = """
import numpy as np

def relu_forward(x):
    print("noise")
    return np.maximum(0, x), x

def relu_backward(dout, x):
    return dout * (x > 0)
"""
WRONG = RIGHT.replace("(x > 0)", "(dout > 0)")


@pytest.fixture
def submission(tmp_path):
    def write(text, name="my_layers.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return str(path)

    return write


def output(capsys, *arguments):
    code = run(["check", *arguments])
    return code, capsys.readouterr()


def test_right(submission, capsys):
    code, text = output(capsys, submission(RIGHT))
    assert code == 0
    assert "relu_backward   right" in text.out
    assert "complex step" in text.out
    assert "noise" not in text.out


def test_wrong(submission, capsys):
    code, text = output(capsys, submission(WRONG))
    assert code == 1
    assert "relu_backward   WRONG    dx keeps dout where dout is positive" in text.out
    assert "my_layers.py:9" in text.out


def test_json(submission, capsys):
    code, text = output(capsys, submission(WRONG), "--json")
    answer = json.loads(text.out)
    assert code == answer["exit_code"] == 1
    first, second = answer["functions"]
    assert (first["function"], first["verdict"]) == ("relu_forward", "right")
    assert second["causes"][0]["name"] == "relu_mask_of_dout"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def relu_forward(x:\n  pass", "my_layers.py:1: "),
        ("import sys\nsys.exit()\ndef relu_forward(x): pass", "my_layers.py:2: SystemExit"),
        (
            "import no_such_package\ndef relu_forward(x): pass",
            "my_layers.py:1: ModuleNotFoundError",
        ),
        ("def something(x): pass", "nothing that the checker knows"),
    ],
)
def test_files_that_cannot_be_checked(submission, capsys, text, says):
    code, shown = output(capsys, submission(text))
    assert code == 2
    assert says in shown.err
    assert len(shown.err.splitlines()) == 1


def test_a_line_that_cannot_run_is_left_out_and_said(submission, capsys):
    text = "import numpy as np\n\nnp.nothing\ndef relu_forward(x): return np.maximum(x, 0), x\n"
    code, shown = output(capsys, submission(text))
    assert code == 0
    assert (
        "line 3 is left out, as it cannot run here (AttributeError: module 'numpy' has no"
        in shown.out
    )
    code, shown = output(capsys, submission(text.replace("return np.maximum(x, 0), x", "pass")))
    assert (code, "not written yet" in shown.out) == (2, True)


def test_a_missing_file(capsys):
    code, text = output(capsys, "/no/such/file.py")
    assert code == 2
    assert "no file or folder" in text.err


def test_one_function_of_a_file_and_of_a_module(submission, capsys, tmp_path, monkeypatch):
    path = submission(WRONG)
    assert output(capsys, f"{path}:relu_forward")[0] == 1
    assert output(capsys, path, "--only", "affine_forward")[0] == 2
    monkeypatch.syspath_prepend(tmp_path)
    assert output(capsys, "my_layers:relu_backward")[0] == 1
    assert output(capsys, "handgrad.layers:relu_forward")[0] == 0
    assert output(capsys, "handgrad.no_such_module:f")[0] == 2


def test_a_folder_that_is_a_package_with_its_own_imports(submission, capsys, tmp_path):
    submission("", "cs231n/__init__.py")
    submission(
        "from .other import positive\n" + RIGHT.replace("(x > 0)", "positive(x)"),
        "cs231n/layers.py",
    )
    submission(
        "from past.builtins import xrange\ndef positive(x):\n    return x > 0\n", "cs231n/other.py"
    )
    submission(
        "from cs231n.layers import *\ndef affine_forward(x, w, b):\n    return relu_forward(x)",
        "cs231n/layer_utils.py",
    )
    before = set(sys.modules)
    code, text = output(capsys, str(tmp_path / "cs231n"))
    assert code == 1
    assert "relu_backward    right" in text.out
    assert "affine_forward   WRONG" in text.out
    assert not {name for name in set(sys.modules) - before if name.startswith(("cs231n", "past"))}


def test_pairs_of_ones_own_are_marked(submission, capsys):
    text = """
import numpy as np
from handgrad.checker import backward_of

def cube_forward(x):
    return x**3, x

@backward_of(cube_forward, {"x": np.linspace(-1, 1, 6)})
def cube_backward(dout, x):
    return 2 * x**2 * dout
"""
    code, shown = output(capsys, submission(text))
    assert code == 1
    assert "cube_backward" in shown.out


def test_the_page_escapes_and_draws(submission, capsys, tmp_path):
    page = tmp_path / "report.html"
    path = submission(WRONG + "\ndef affine_forward(x, w, b):\n    raise ValueError('<script>')\n")
    code, _ = output(capsys, path, "--html", str(page))
    text = page.read_text()
    assert code == 1
    assert "the mask must come from x" in text
    assert 'class="heat"' in text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text.replace("http-equiv", "")  # nothing is loaded from elsewhere


def test_a_broken_file_does_not_hide_the_others(submission, capsys, tmp_path):
    submission(RIGHT, "a/layers.py")
    submission("def affine_forward(:", "a/other.py")
    code, text = output(capsys, str(tmp_path / "a"))
    assert code == 0
    assert "relu_backward" in text.out
    assert "other.py:1: " in text.out


def test_watch_checks_again_when_the_file_is_saved(submission):
    path = submission(WRONG)
    command = [sys.executable, "-u", "-m", "handgrad", "check", path, "--watch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            first = _until_waiting(process.stdout)
            submission("def relu_forward(:")
            broken = _until_waiting(process.stdout)
            submission(RIGHT)
            second = _until_waiting(process.stdout)
        finally:
            process.kill()
    assert "WRONG" in first
    assert "my_layers.py:1: " in broken
    assert "WRONG" not in second
    assert "right" in second


def _until_waiting(stream):
    lines = []
    for line in stream:
        lines.append(line)
        if "waiting" in line:
            break
    return "".join(lines)


def test_a_rubric_on_the_command_line(submission, capsys, tmp_path):
    submission(RIGHT, "submissions/anna/layers.py")
    rubric = tmp_path / "rubric.toml"
    rubric.write_text("[points]\nrelu_backward = 2\n")
    folder, results = str(tmp_path / "submissions"), tmp_path / "results"
    code, text = output(capsys, folder, "--rubric", str(rubric), "--results", str(results))
    assert code == 0
    assert "anna" in text.out
    assert (results / "results.csv").read_text().splitlines()[1].startswith("anna,2,2,")


def test_the_course_says_what_p_means_and_answers_imports(submission, capsys):
    text = """
from cs231n.layers import relu_forward
import numpy as np
def dropout_forward(x, dropout_param):
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    keep = 1 - dropout_param["p"]
    if dropout_param["mode"] == "test":
        return x, None
    mask = (np.random.rand(*x.shape) < keep) / keep
    return x * mask, mask
"""
    path = submission(text)
    assert output(capsys, path)[0] == 2  # there is no cs231n
    try:
        assert output(capsys, path, "--course", "cs231n-2016")[0] == 0
        code, shown = output(capsys, path, "--course", "cs231n-2020")
    finally:
        courses.stop_using()
    assert code == 1
    assert "probability of dropping" in shown.out
    assert output(capsys, path, "--course", "nothing")[0] == 2


def test_help_has_examples():
    result = CliRunner().invoke(cli, ["check", "--help"])
    assert "handgrad check my_layers.py" in result.output
