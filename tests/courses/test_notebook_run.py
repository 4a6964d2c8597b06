"""Whole notebooks in a kernel of their own: stand-ins, open exercises, the verdict, the command."""

import random
import shutil
import signal
import subprocess
import sys
import time
from subprocess import PIPE

import nbformat
import numpy as np
import pytest
from PIL import Image

from handgrad.cli.app import run
from handgrad.courses.notebook import pictures, run_notebook, stubs
from handgrad.courses.notebook.run_page import report_page
from handgrad.courses.notebook.verdict import BROKEN, DIFFERS, KEPT

from .notebooks import AFFINE, SETUP, code, text, write

COLAB = """
from google.colab import drive
drive.mount('/content/drive')
FOLDERNAME = None
assert FOLDERNAME is not None, "[!] Enter the foldername."
%cd drive/My\\ Drive/$FOLDERNAME
!bash get_datasets.sh
"""

STAND_INS = """
import os, random, time
print('draws', np.random.rand(), random.random())
from time import clock
from scipy.misc import imread, imresize
from imageio import imread as imread2
from skimage.transform import resize
from google.colab import drive
drive.mount('/content/drive')
%cd ..
!echo shell
files = !ls
kitten, puppy = imread('kitten.jpg'), imread2('cs231n/notebook_images/puppy.jpg')
d = kitten.shape[1] - kitten.shape[0]
small = imresize(kitten[:, d//2:-d//2, :], (20, 20))
print('shapes', kitten.shape, puppy.shape, small.shape, resize(puppy, (8, 9), mode='constant').shape)
print('folder', os.path.basename(os.getcwd()), sorted(os.listdir('.')), clock() > 0, files)
"""

LIVE = """
import pickle, copy
import cs231n.layers
from cs231n.solver import Solver
data = {'X_train': np.random.randn(200, 12), 'y_train': np.random.randint(3, size=200),
        'X_val': np.random.randn(50, 12), 'y_val': np.random.randint(3, size=50)}
model = FullyConnectedNet([5], input_dim=12, num_classes=3, dtype=np.float64)
before = model.loss(data['X_train'], data['y_train'])[0]
model.params['W1'][0, 0] += 1.0
print('live:', model.loss(data['X_train'], data['y_train'])[0] != before)
solver = Solver(model, data, num_epochs=1, verbose=False, checkpoint_name='net')
solver.train()
print('files:', sorted(name for name in __import__('os').listdir('.') if name.endswith('.pkl')))
print('copies:', len(pickle.dumps(copy.copy(solver))) > 0)
%autoreload
print('same:', cs231n.layers.affine_forward is affine_forward)
"""

EXERCISE = """
model = TwoLayerNet(input_dim=12, hidden_dim=5, num_classes=3)
solver = None
# TODO: Use a Solver instance to train a TwoLayerNet
pass
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A notebook with every kind of cell, and its result."""
    path = tmp_path_factory.mktemp("course") / "Course.ipynb"
    write(
        path,
        code(COLAB),
        SETUP,
        STAND_INS,
        text("# Affine"),
        code(AFFINE, "dx error:  5.399100368651805e-11", "dw error:  9.904211865398145e-11"),
        LIVE,
        EXERCISE,
        "last = solver.loss_history[-1]\nprint('final loss: ', last)",
        "plt = last + 1",
        code("print('Initial loss: ', 2.5)", "Initial loss:  2.3004790897684924"),
        "print('<u>', solver)\nraise ValueError('not <b>ours</b>')",  # reads solver, blames it not
    )
    before = path.read_bytes()
    result = run_notebook(path, course="cs231n-2020")
    assert path.read_bytes() == before
    return result


def printed(result, number):
    return "".join(o.text for o in result.notebook.cells[number].outputs if "text" in o)


def test_every_cell_ends_as_it_should(course):
    states = {cell.number: cell.state for cell in course.cells}
    assert states == {0: "passed", 1: "ran", 2: "ran", 4: "ran", 5: "ran", 6: "open exercise",
                      7: "waits", 8: "waits", 9: "ran", 10: "FAILED"}  # fmt: skip
    notes = {cell.number: cell.note for cell in course.cells}
    assert "only prepares Colab" in notes[0]
    assert notes[6] == "solver left None"
    assert notes[7] == "waits for the exercise of cell 6"
    assert notes[8] == "waits for the exercise of cell 6"
    assert notes[10] == "ValueError: not <b>ours</b>"
    assert course.count("ran") == 5
    assert [cell.number for cell in course.failed] == [10]


def test_the_stand_ins_answer(course):
    out = printed(course, 2)
    assert "passed drive.mount" in out
    assert "passed %cd .." in out
    assert "passed !echo shell" in out
    assert "shapes (420, 640, 3) (400, 400, 3) (20, 20, 3) (8, 9, 3)" in out
    assert "folder work ['cs231n', 'kitten.jpg'] True []" in out


def test_a_notebook_that_seeds_nothing_is_seeded(course):
    draws = f"draws {np.random.RandomState(231).rand()} {random.Random(231).random()}"
    assert draws in printed(course, 2)


def test_what_notebooks_lean_on(course):
    assert printed(course, 5).splitlines() == [
        "live: True",
        "files: ['net_epoch_0.pkl', 'net_epoch_1.pkl']",
        "copies: True",
        "same: True",
    ]


def test_the_findings(course):
    found = {(f.cell, f.quantity): f for f in course.findings}
    assert found[4, "dx error"].verdict == found[4, "dw error"].verdict == KEPT
    assert 0 < found[4, "dx error"].now[0] < 5e-10  # its digits depend on the order of sums
    assert found[4, "dx error"].then == (5.399100368651805e-11,)
    assert found[9, "Initial loss"].verdict == DIFFERS
    assert course.broken == []


def test_the_report_escapes_what_it_shows(course):
    page = report_page(course)
    assert "not &lt;b&gt;ours&lt;/b&gt;" in page
    assert "<b>ours" not in page
    assert "&lt;u&gt; None" in page
    assert "<u>" not in page
    assert "default-src 'none'" in page
    assert "waits for the exercise of cell 6" in page


def test_the_report_joins_what_was_printed_in_pieces(course):
    outputs = course.notebook.cells[4].outputs
    pieces = [
        nbformat.from_dict({"output_type": "stream", "name": name, "text": text})
        for name, text in (("stdout", "<o"), ("stdout", "ne>"), ("stderr", "two"))
    ]
    course.notebook.cells[4].outputs = pieces
    page = report_page(course)
    course.notebook.cells[4].outputs = outputs
    assert "<pre>&lt;one&gt;</pre><pre>two</pre>" in page


def test_the_report_draws_only_pictures(course):
    outputs = course.notebook.cells[4].outputs
    bad = nbformat.from_dict(
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"image/png": '"><script>x</script>', "text/plain": "<i>"},
        }
    )
    course.notebook.cells[4].outputs = [*outputs, bad]
    page = report_page(course)
    course.notebook.cells[4].outputs = outputs
    assert "<script" not in page
    assert "&lt;i&gt;" in page


def test_exercises_are_solved_on_request(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        SETUP + LIVE.split("model =")[0],
        EXERCISE + "print('mine')",
        "print('final loss: ', solver.loss_history[-1])",
    )
    result = run_notebook(path, course="cs231n-2020", solve=True)
    assert [cell.state for cell in result.cells] == ["ran", "solved", "ran"]
    assert [f.quantity for f in result.findings if f.cell == 2] == ["final loss"]
    assert printed(result, 1).startswith("mine\n(Iteration 1 /")


def test_other_exercises_that_their_own_cells_use(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import cs231n\nfrom cs231n.layers import *\nimport numpy as np",
        "# TODO: compute the scores\npass\nprint(scores)",
        "print(scores + 1)",
        "def f(x):\n    # TODO: the square\n    pass\nprint(f(3) + 1)",
        "print(f(2) + 1)",
        "w = None  # TODO\nout, _ = affine_forward(np.ones((2, 3)), w, np.ones(2))",
        "# TODO\nraise NotImplementedError",
        "print(undefined)",
        "# TODO\nprint(other)",  # no placeholder: it was written, and is wrong
    )
    result = run_notebook(path)
    assert [cell.state for cell in result.cells] == [
        "ran", "open exercise", "waits", "open exercise", "waits", "open exercise", "FAILED",
        "FAILED", "FAILED",
    ]  # fmt: skip
    assert result.cells[1].note == "scores left open"
    assert result.cells[3].note == "f left open"


OWN_CELL = """
best_net = None
# TODO: search for a good one
pass
print('printed before')
print('accuracy: ', (best_net.predict(X) == y).mean())
score = best_net.score
"""


def test_an_exercise_that_its_own_cell_uses_is_open(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import cs231n",
        OWN_CELL,
        "print(score)",
        "net = best_net",
        "net.predict(1)",
        "folds = {}\n# TODO\npass\nfor k in folds: print(k)",
        "print(folds[1])",
        "raise KeyError('folds')",
    )
    result = run_notebook(path)
    states = [cell.state for cell in result.cells]
    assert states == [
        "ran", "open exercise", "waits", "ran", "waits", "open exercise", "waits", "FAILED",
    ]  # fmt: skip
    assert result.cells[1].note == "best_net left None"
    assert result.cells[5].note == "folds left empty"
    assert printed(result, 1) == "printed before\n"
    again = run_notebook(path, solve=True)  # the known solution needs what the notebook has not
    assert [cell.state for cell in again.cells] == states


def test_a_solved_exercise_runs_what_stands_behind_it(tmp_path):
    source = "import numpy as np\nfrom nndl.neural_net import TwoLayerNet\nnum_classes = 3\n"
    data = "X_train = X_val = np.ones((4, 3072))\ny_train = y_val = np.array([0, 1, 2, 1])\n"
    # in place of 3,000 steps of 200 rows
    data += "train, options = TwoLayerNet.train, {'num_iters': 30, 'batch_size': 4}\n"
    data += (
        "TwoLayerNet.train = lambda net, *data, **more: train(net, *data, **{**more, **options})"
    )
    cell = (
        OWN_CELL.replace("X)", "X_val)").replace("== y)", "== y_val)").replace(".score", ".params")
    )
    result = run_notebook(
        write(tmp_path / "n.ipynb", source + data, cell, "print(len(score))"), solve=True
    )
    assert [cell.state for cell in result.cells] == ["ran", "solved", "ran"]
    assert "accuracy:  0." in printed(result, 1)
    assert printed(result, 2) == "4\n"


def test_the_layers_of_a_captioning_notebook_run(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import numpy as np\nfrom cs231n.rnn_layers import *\n"
        "from cs231n.captioning_solver import CaptioningSolver\n"
        "from cs231n.classifiers.rnn import CaptioningRNN\nfrom cs231n.coco_utils import load_coco_data",
        "x, h, W, b = np.ones((2, 3)), np.ones((2, 4)), np.ones((3, 4)), np.ones(4)\n"
        "# the error should be around e-9 or less\nout = rnn_step_forward(x, h, W, np.ones((4, 4)), b)[0]\n"
        "print('next_h error: ', abs(out - np.tanh(8.0)).max())",
        "data = load_coco_data(pca_features=True)",
        "model = CaptioningRNN(data['word_to_idx'])",
        "solver = CaptioningSolver(None, data, update_rule='adam')",
    )
    result = run_notebook(path)
    assert [cell.state for cell in result.cells] == ["ran", "ran", "outside", "outside", "outside"]
    assert [finding.verdict for finding in result.findings] == [KEPT]
    assert result.cells[2].note == "image captioning is outside of Handgrad"
    assert result.word == "GOOD"


SEARCH = """
learning_rates, regularization_strengths = [1e-1, 1e-3], [1e-3]
results = {}
best_val, best_softmax = -1, None
# TODO: choose the best
pass
for lr, reg in sorted(results):
    print('lr %e val accuracy: %f' % (lr, results[lr, reg][1]))
print('best validation accuracy: %f' % best_val)
"""
FOLDS = """
num_folds, k_choices = 2, [1, 3]
X_train_folds, y_train_folds = [], []
# TODO: split
pass
k_to_accuracies = {}
# TODO: count
pass
for k in sorted(k_to_accuracies):
    print('k = %d, accuracy = %f' % (k, k_to_accuracies[k][0]))
"""


@pytest.mark.thorough
def test_the_searches_of_assignment_1_are_solved(tmp_path):
    data = """
import numpy as np
from cs231n.classifiers import KNearestNeighbor, Softmax
np.random.seed(0)
y_train, y_val = np.arange(40) % 2, np.arange(10) % 2
X_train, X_val = (np.random.randn(len(y), 3) + 8 * y[:, None] - 4 for y in (y_train, y_val))
"""
    path = write(tmp_path / "n.ipynb", data, SEARCH, FOLDS, "print(best_softmax.predict(X_val))")
    result = run_notebook(path, course="cs231n-2025", solve=True)
    assert [cell.state for cell in result.cells] == ["ran", "solved", "solved", "ran"]
    assert "best validation accuracy: 1.000000" in printed(result, 1)
    assert printed(result, 2) == "k = 1, accuracy = 1.000000\nk = 3, accuracy = 1.000000\n"
    left = run_notebook(path, course="cs231n-2025")
    assert [cell.state for cell in left.cells] == ["ran", "open exercise", "open exercise", "waits"]
    assert left.cells[1].note == "best_softmax left None and results left empty"


def test_a_waiting_cell_names_the_exercise_and_not_a_cell_that_waits(tmp_path):
    exercise = "# TODO: fill in your code\n# END OF YOUR CODE\n"
    path = write(
        tmp_path / "n.ipynb",
        f"best_svm = None\n{exercise}print(best_svm)",
        "accuracy = best_svm.score()\nprint(accuracy)",
        "print(accuracy + 1)",
        f"best_net = None\n{exercise}print(best_net)",
        "accuracy = best_net.score()\nprint(accuracy)",
    )
    result = run_notebook(path, course="cs231n-2020")
    notes = [result.cells[k].note for k in (1, 2, 4)]
    assert notes == [f"waits for the exercise of cell {k}" for k in (0, 0, 3)]


def test_a_cell_that_fails_on_what_a_failed_cell_left_old_follows_from_it(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "scores, kept = {}, [1, 2]",
        "1 / 0\nscores['best'] = 3\nscores = dict(scores)",
        "print(scores['best'])",
        "print(kept[5])",
        "scores.best",
        "scores = {'best': 1}",
        "print(scores['worst'])",
    )
    result = run_notebook(path, course="cs231n-2020")
    states = ["ran", "FAILED", "follows", "FAILED", "FAILED", "ran", "FAILED"]
    assert [cell.state for cell in result.cells] == states
    assert (
        "perhaps it follows from cell 1, which failed and was to make scores"
        in result.cells[2].note
    )


def test_what_follows_from_a_failed_import_says_so(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import no_such_package as n\nfrom cs231n.layers import *",
        "out = relu_forward(1)",
        "print('x: ', out)",
        "print(typo)",
        "import cs231n.transformer_layers as t",
        "t.x",
        "from cs231n.classifiers import NoSuchNet",
        "best = None\nbest = 1 / 0",
        "best.predict(3)",
        "small = dict(\n    a=1\nlast = small",
        "print(small)",
        "from numpy.lib import no_such_name",
    )
    result = run_notebook(path, course="cs231n-2020")
    assert [cell.state for cell in result.cells] == [
        "FAILED", "follows", "follows", "follows", "outside", "outside", "FAILED", "FAILED", "follows",
        "FAILED", "follows", "FAILED",
    ]  # fmt: skip
    assert "follows from cell 0" in result.cells[1].note
    assert "follows from cell 1" in result.cells[2].note
    assert result.cells[4].note == "transformers are outside of Handgrad"
    assert "follows from cell 4" in result.cells[5].note
    assert result.cells[6].note.startswith("ImportError: cs231n.classifiers has no NoSuchNet")
    assert "shims" not in result.cells[6].note
    assert result.cells[11].note.endswith("no no_such_name in the version that is installed")
    assert (result.word, result.is_good) == ("FAILED", False)


def test_what_is_outside_alone_is_no_failure(tmp_path):
    path = write(
        tmp_path / "n.ipynb", "from cs231n.layers import *", "import cs231n.transformer_layers as t"
    )
    result = run_notebook(path)
    assert (result.word, result.count("outside")) == ("GOOD", 1)


@pytest.mark.thorough
def test_a_fork_runs_under_its_own_name(tmp_path, capsys):
    source = "from fork.classifiers.fc_net import *\nimport fork.layers\nimport cs231n.layers\n"
    source += "print(affine_forward is fork.layers.affine_forward is cs231n.layers.affine_forward)"
    path = write(tmp_path / "n.ipynb", source)
    assert run(["notebook", "run", str(path), "--course", "cs231n-2020", "--package", "fork"]) == 0
    result = run_notebook(path, package="fork")
    assert printed(result, 0) == "True\n"
    assert "as fork" in result.choice.why


def test_a_notebook_of_python_2_runs(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import cs231n\nfrom cs231n.layers import *\nhalf = 7 / 2\nprint 'half:', half",
        "# error should be around 1e-9\nprint 'dx error: ', 1e-3",
    )
    result = run_notebook(path, python2=True)
    assert printed(result, 0) == "half: 3\n"
    assert [finding.verdict for finding in result.broken] == [BROKEN]


@pytest.mark.thorough
def test_ctrl_c_keeps_the_verdict(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import cs231n\n# error around 1e-9\nprint('dx error: ', 1e-10)",
        "import time\nprint('begun', flush=True)\ntime.sleep(60)",
        "x = 1",
    )
    command = [sys.executable, "-m", "handgrad.cli", "notebook", "run", str(path)]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        for line in process.stderr:
            if "cell   1: running" in line:
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "dx error" in out
    assert "1 bound checked, none broken" in out
    assert "interrupted in cell 1" in error
    assert "Traceback" not in error


# the command


def test_no_number_is_broken_at_80_columns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = "the relative error of a gradient with a name that goes on for quite some while"
    then = "5.399100368651805e-11"
    path = write(
        tmp_path / "n.ipynb",
        "import cs231n",
        code(f"# error should be on the order of e-9\nprint('{long}: ', 1.2345678e-9)",
             f"{long}:  {then}"),
        "# differs by e-10 for W1, W2\nprint('W1 error: ', 2.25e-2)",
    )  # fmt: skip
    assert run(["notebook", "run", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("1.235e-09" in line and "5.399e-11" in line and "kept" in line for line in lines)
    assert any("0.0225" in line and "BROKEN" in line for line in lines)
    assert max(len(line) for line in lines if "0.0225" in line) <= 80
    assert "kept: keeps the bound that the notebook states" in lines


def test_the_sentence_about_nothing_to_judge_is_true(tmp_path, capsys):
    saved = code("# error around 1e-9\nprint('dx error: ', relu(1))", "dx error:  1e-10")
    path = write(tmp_path / "n.ipynb", "import cs231n, no_such_package", saved)
    assert run(["notebook", "run", str(path), "--quiet"]) == 1
    said = capsys.readouterr().out
    assert "No figure could be judged" in said
    assert "not printed" in said
    assert "states no bound" not in said


def test_the_report_says_its_result_in_one_word_and_explains_its_words(course):
    page = report_page(course)
    assert '<p class="word bad">FAILED</p>' in page
    assert "<dt>kept</dt><dd>keeps the bound" in page
    assert "<dt>open exercise</dt>" in page


def test_a_broken_bound_is_exit_code_1(tmp_path, capsys):
    wrong = AFFINE.replace("dx, dw, db =", "dx, dw, db = [2 * g for g in").replace(
        "(dout, cache)\n", "(dout, cache)]\n"
    )
    path = write(tmp_path / "n.ipynb", SETUP, wrong)
    arguments = ["--out", str(tmp_path / "out.ipynb"), "--report", str(tmp_path / "r.html")]
    assert run(["notebook", "run", str(path), *arguments]) == 1
    said = capsys.readouterr()
    assert "cs231n-2020" in said.out
    assert "BROKEN" in said.out
    assert "2 bounds checked, 2 broken" in said.out
    assert "cell   1: ran" in said.err
    assert "BROKEN" in (tmp_path / "r.html").read_text()
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert executed.cells[1].source == wrong.strip("\n")
    assert "dx error" in executed.cells[1].outputs[0].text


@pytest.mark.thorough
def test_an_unseeded_notebook_may_miss_a_bound_by_little(tmp_path):
    printing = "# The error should be around e-10\nprint('dx error: ', 5e-8)"
    path = write(tmp_path / "n.ipynb", "import cs231n", printing, "seed = len\nseed([])", printing)
    result = run_notebook(path)
    assert [(f.cell, f.verdict) for f in result.findings] == [(1, "near"), (3, BROKEN)]


def test_a_notebook_that_says_nothing_is_exit_code_0(tmp_path, capsys):
    path = write(tmp_path / "n.ipynb", "import cs231n\nx = 1")
    assert run(["notebook", "run", str(path), "--quiet"]) == 0
    said = capsys.readouterr()
    assert "nothing to judge" in said.out
    assert said.err == ""


@pytest.mark.thorough
def test_a_cell_that_never_ends(tmp_path, capsys):
    path = write(tmp_path / "n.ipynb", "import cs231n\nwhile True:\n    pass", "x = 1")
    assert run(["notebook", "run", str(path), "--quiet", "--timeout", "1"]) == 2
    assert "cell 0 ran longer than 1 s" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_cell_that_was_cut_off_breaks_no_bound(tmp_path, capsys):
    """What it had printed by then is not its last word."""
    source = (
        "# errors should be below 1e-8\nimport time, cs231n\nprint('dx error: ', 0.5, flush=True)\n"
    )
    path = write(tmp_path / "n.ipynb", source + "time.sleep(60)")
    assert run(["notebook", "run", str(path), "--quiet", "--timeout", "2"]) == 2
    assert "BROKEN" not in capsys.readouterr().out
    path = write(tmp_path / "n.ipynb", source)
    assert run(["notebook", "run", str(path), "--quiet"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_a_kernel_that_dies(tmp_path, capsys):
    path = write(tmp_path / "n.ipynb", "import cs231n, os\nos._exit(1)", "x = 1")
    assert run(["notebook", "run", str(path), "--quiet"]) == 2
    assert "the kernel died in cell 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "arguments", "says"),
    [
        ("import numpy", [], "say --course NAME"),
        ("import cs231n", ["--course", "cs231n-1999"], "cs231n-1999"),
        ("from cs231n.data_utils import *\nget_CIFAR10_data()", ["--data-dir", "nowhere"],
         "n.ipynb loads CIFAR-10, which is missing"),
        ("import cs231n", ["--student", "nowhere"], "nowhere is not a folder"),
        ("import cs231n", ["--out", "nowhere/x.ipynb"], "folder nowhere does not exist"),
        ("print 'old'", [], "Python 2 notebook"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_one_line(tmp_path, capsys, monkeypatch, source, arguments, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HANDGRAD_DATA", raising=False)
    write(tmp_path / "n.ipynb", source)
    assert run(["notebook", "run", "n.ipynb", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len([line for line in error.splitlines() if not line.startswith("Try:")]) == 1


def test_a_missing_package_is_one_line(tmp_path, capsys, monkeypatch):
    path = write(tmp_path / "n.ipynb", "import cs231n")
    monkeypatch.setitem(__import__("sys").modules, "nbclient", None)
    assert run(["notebook", "run", str(path)]) == 2
    assert "pip install 'handgrad[notebook]'" in capsys.readouterr().err


def test_the_list_names_every_course(capsys):
    from handgrad.courses import PROFILES

    assert run(["notebook", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PROFILES)
    assert "ConvolutionalNetworks" in shown


# stand-ins, by themselves


def test_the_stand_in_pictures_look_like_photographs():
    for name, (width, height) in pictures.SIZES.items():
        pixels = np.asarray(pictures.draw(name), dtype=float)
        assert pixels.shape == (height, width, 3)
        assert pixels.std() > 25
        assert np.abs(np.diff(pixels, axis=0)).mean() > 1  # edges for the filters to find
        np.testing.assert_array_equal(pixels, np.asarray(pictures.draw(name)))


def test_pictures_beside_the_notebook_are_used(tmp_path):
    Image.new("RGB", (64, 48), (200, 10, 10)).save(tmp_path / "kitten.jpg")
    shutil.copy(tmp_path / "kitten.jpg", tmp_path / "puppy.jpg")
    path = write(
        tmp_path / "n.ipynb",
        "import cs231n\nfrom imageio import imread\nprint('red:', imread('kitten.jpg')[5, 5, 0])",
    )
    result = run_notebook(path)
    assert abs(int(printed(result, 0).split()[1]) - 200) < 5


def test_resizing_as_scipy_and_skimage_did():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, 3:] = 255
    assert stubs.imresize(picture, (2, 3)).shape == (2, 3, 3)
    assert stubs.imresize(picture, 50).shape == (2, 3, 3)
    assert stubs.imresize(picture, 2.0).shape == (8, 12, 3)
    assert stubs.imresize(np.linspace(-1, 1, 48).reshape(4, 4, 3), (4, 4)).max() == 255
    shares = stubs.resize(picture, (4, 6))
    np.testing.assert_allclose(shares, picture / 255)
