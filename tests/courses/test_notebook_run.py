"""Whole notebooks in a kernel of their own: stand-ins, open exercises, the verdict, the command."""

import random
import shutil

import nbformat
import numpy as np
import pytest
from PIL import Image

from handgrad.cli.app import run
from handgrad.courses.notebook import pictures, run_notebook, stubs
from handgrad.courses.notebook.page import report_page
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
    assert notes[8] == "waits for the exercise of cell 7"
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


# the command


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


def test_a_cell_that_never_ends(tmp_path, capsys):
    path = write(tmp_path / "n.ipynb", "import cs231n\nwhile True:\n    pass", "x = 1")
    assert run(["notebook", "run", str(path), "--quiet", "--timeout", "1"]) == 2
    assert "cell 0 ran longer than 1 s" in capsys.readouterr().err


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
