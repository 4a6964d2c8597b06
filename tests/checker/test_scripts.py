"""Files that are a script too: their functions are judged, what cannot run here is left out and said."""

import numpy as np
import pytest
from checker import catalogue

from handgrad.checker import RIGHT, UNTESTED, WRONG, CheckError, check_path

LAYERS = """
import numpy as np


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    return dout * (cache > 0)
"""
PARSER = "import argparse\nparser = argparse.ArgumentParser()\n"
SCRIPTS = {
    "arguments": PARSER + "parser.add_argument('--rate', type=float)\nargs = parser.parse_args()\n",
    "its own name": "import sys\nsteps = int(sys.argv[1]) if len(sys.argv) > 1 else 10\n",
    "warnings of NumPy": "import numpy as np\nnp.seterr(all='raise')\nnp.set_printoptions(precision=2)\n",
}
LEFT_OUT = {
    "a needed argument": PARSER + "parser.add_argument('data')\nargs = parser.parse_args()\n",
    "data": "with open('data_batch_1', 'rb') as f:\n    data = f.read()\n",
    "a question": "answer = input('how many? ')\n",
    "the environment": "import os\nhome = os.environ['HANDGRAD_NO_SUCH_NAME']\n",
    "an assertion": "assert 1 + 1 == 3\n",
    "a notebook": "from IPython import get_ipython\nget_ipython().run_line_magic('matplotlib', 'inline')\n",
}


def checked(tmp_path, text):
    path = tmp_path / "layers.py"
    path.write_text(text, "utf-8")
    return check_path(str(path))


@pytest.mark.parametrize("before", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_that_runs(tmp_path, before):
    settings = np.geterr(), np.get_printoptions()
    report = checked(tmp_path, before + LAYERS)
    assert [one.verdict for one in report.verdicts] == [RIGHT] * 4
    assert not any("left out" in note for note in report.remarks)
    assert (np.geterr(), np.get_printoptions()) == settings


def test_settings_of_numpy_do_not_reach_what_is_compared_with(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    path = tmp_path / "layers.py"
    path.write_text("import numpy as np\n\nnp.seterr(all='raise')\n" + text, "utf-8")
    report = check_path(str(path), only="softmax_loss")
    assert report["softmax_loss"].verdict == RIGHT


@pytest.mark.parametrize("script", LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_line_that_cannot_run_is_left_out(tmp_path, script):
    report = checked(tmp_path, LAYERS + script)
    assert [one.verdict for one in report.verdicts] == [RIGHT] * 4
    line = (LAYERS + script[: script.rstrip("\n").rfind("\n") + 1]).count("\n") + 1
    line -= script.startswith("with")  # two lines
    (note,) = [note for note in report.remarks if "left out" in note]
    assert note.startswith(f"line {line} is left out, as it cannot run here (")


def test_what_it_would_have_set_is_not_testable(tmp_path):
    text = "slope = float(open('slope.txt').read())\nfactor = slope + 1\n" + LAYERS
    report = checked(tmp_path, text.replace("np.maximum(0, x)", "np.maximum(0, x * factor)"))
    assert report["relu_forward"].verdict == UNTESTED
    assert report["relu_forward"].reason == "it uses factor, which line 2 could not set here"
    assert report["affine_forward"].verdict == RIGHT
    (note,) = [note for note in report.remarks if "left out" in note]
    assert ", and 1 more" in note


def test_a_mistake_in_such_a_file_is_seen(tmp_path):
    report = checked(tmp_path, "open('x.txt')\n" + LAYERS.replace("dout @ w.T", "2 * dout @ w.T"))
    assert report["affine_backward"].verdict == WRONG


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise ValueError('not for import')", "ValueError: not for import"),
        ("import sys; sys.exit(3)", "ends the whole program"),
        ("import no_such_module_here", "ModuleNotFoundError"),
    ],
)
def test_what_says_so_itself_stops_the_file(tmp_path, line, says):
    with pytest.raises(CheckError, match=says):
        checked(tmp_path, LAYERS + line + "\n")


def test_modules_that_moved_within_numpy(tmp_path):
    text = (
        "from numpy.lib.function_base import average\n"
        "from numpy.testing._private.nosetester import run_module_suite\n" + LAYERS
    )
    report = checked(
        tmp_path, text.replace("dout.sum(axis=0)", "len(dout) * average(dout, axis=0)")
    )
    assert [one.verdict for one in report.verdicts] == [RIGHT] * 4
    report = checked(tmp_path, text.replace("np.maximum(0, x)", "run_module_suite(x)"))
    assert report["relu_forward"].verdict == UNTESTED
    assert "today's NumPy has no such" in report["relu_forward"].reason


def test_libraries_of_other_years_are_needed_only_where_they_are_used(tmp_path):
    text = "import theano.tensor as T\n" + LAYERS
    report = checked(tmp_path, text.replace("np.maximum(0, x)", "T.maximum(0, x)"))
    assert report["relu_forward"].verdict == UNTESTED
    assert report["affine_forward"].verdict == RIGHT
