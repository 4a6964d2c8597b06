"""What is read off a notebook before it runs: its cells, its course, and why it cannot run."""

import json

import pytest

from handgrad.courses.notebook.cells import is_preparation, open_names, read_names, stored_names
from handgrad.courses.notebook.guess import guess_course
from handgrad.courses.notebook.read import read_notebook
from handgrad.courses.notebook.solve import solution
from handgrad.errors import DataError, OptionError

from .notebooks import code, text, write

COLAB = """
# this mounts your Google Drive to the Colab VM.
from google.colab import drive
drive.mount('/content/drive', force_remount=True)
FOLDERNAME = None
assert FOLDERNAME is not None, "[!] Enter the foldername."
import sys
sys.path.append('/content/drive/My Drive/{}'.format(FOLDERNAME))
%cd drive/My\\ Drive/$FOLDERNAME/cs231n/datasets/
!bash get_datasets.sh
%cd /content
"""


@pytest.mark.parametrize(
    ("source", "prepares"),
    [
        (COLAB, True),
        ("# build\n%cd cs231n\n!python setup.py build_ext --inplace\n%cd ..", True),
        ("import os\nos.chdir('cs231n')", True),
        (
            'FOLDERNAME = "x"\n%cat "$FOLDERNAME/../requirements.txt"\n%pip install -r requirements.txt',
            True,
        ),
        ("import sys, os", False),
        ("%matplotlib inline\nimport numpy as np", False),
        (COLAB + "\nfrom cs231n.layers import *", False),
        ("!ls\nprint('dx error: ', e)", False),
        ("", False),
        ("x = (", False),
    ],
)
def test_preparation_of_colab_is_told_from_work(source, prepares):
    assert is_preparation(source) is prepares


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("model = TwoLayerNet()\nsolver = None\n# TODO: train\npass", {"solver"}),
        ("best_model = None\n# TODO\n# END OF YOUR CODE", {"best_model"}),
        ("best_model = None  # TODO\nfor lr in rates:\n    best_model = train(lr)", set()),
        ("solver = None", set()),
        ("best = None  # YOUR CODE HERE\nbest, score = search()", set()),
        ("x = None  # TODO\ndef f():\n    x = 3", {"x"}),
    ],
)
def test_an_exercise_is_open_while_it_leaves_none(source, names):
    assert open_names(source) == names


def test_names_that_a_cell_makes_and_reads():
    source = (
        "import a.b as c\nfrom d import e\nfor i, (j, *k) in f:\n    with g() as h:\n        l = m"
    )
    assert stored_names(source) == {"c", "e", "i", "j", "k", "h", "l"}
    assert read_names("def f():\n    return solver.x\nplot(y)") == {"solver", "plot", "y"}


# the course

IMPORT = "from cs231n.classifiers.fc_net import *\nnp.random.seed(231)\n"


@pytest.mark.parametrize(
    ("source", "words", "profile"),
    [
        ("from skynet.solvers.solver import Solver", "", "skynet"),
        (IMPORT + "net = FullyConnectedNet(d, dropout_keep_ratio=0.5)", "", "cs231n-2026"),
        (IMPORT + "for dropout in [1, 0.75, 0.5]:\n    f(dropout=dropout)", "", "cs231n-2020"),
        (IMPORT + "for dropout in [0, 0.25, 0.5]:\n    f(dropout=dropout)", "", "cs231n-2017"),
        (IMPORT + "net = FullyConnectedNet(d, use_batchnorm=True)", "", "cs231n-2017"),
        ("from cs231n.layers import *\nx = np.random.randn(2)\nf(use_batchnorm=True)", "",
         "cs231n-2016"),
        (IMPORT + "f(update_rule='adam')", "We add batch/layer normalization soon.", "cs231n-2020"),
        (IMPORT + "f(update_rule='adam')", "We add batch normalization soon.", "cs231n-2017"),
        # students fill FOLDERNAME in, so it tells no year; the keyword dropout ended in 2020
        ("from google.colab import drive\nFOLDERNAME = 'cs231n/assignments/assignment2/'\n" + IMPORT
         + "net = FullyConnectedNet([int(9), 5],\n  dropout=0.25)", "", "cs231n-2020"),
        ("from google.colab import drive\n" + IMPORT + "best_model.save('b.npy')", "",
         "cs231n-2026"),
        ("from nndl.fc_net import *\nfor dropout in [0, 0.25, 0.5]:\n  f(dropout=dropout)", "",
         "nndl-drop"),
        ("from nndl.fc_net import *\nfor dropout in [0.5, 0.75, 1.0]:\n  f(dropout=dropout)", "",
         "nndl-keep"),
        ("from cs231n.rnn_layers import *\nS(update_rule='adam')", "", "cs231n-2020"),
        (IMPORT + "net.loss(X, y, reg=0.1)", "", "cs231n-2020"),
        ("from cs231n.classifiers.neural_net import TwoLayerNet\nnet.loss(X, y, reg=0.1)", "",
         "cs231n-2016"),
        ("from nndl.neural_net import TwoLayerNet\nfrom cs231n.data_utils import x", "",
         "nndl-drop"),
    ],
)  # fmt: skip
def test_the_course_is_told_from_the_notebook(tmp_path, source, words, profile):
    notebook = read_notebook(write(tmp_path / "n.ipynb", text(words), source))
    choice = guess_course(notebook)
    assert choice.profile == profile
    assert "it imports" in choice.why


def test_the_2024_mix_is_told_by_its_printed_losses(tmp_path):
    source = "from nndl.fc_net import *\nfor dropout in [0, 0.25, 0.5]:\n  f(dropout=dropout)"
    path = write(tmp_path / "n.ipynb", code(source, "Initial loss: 2.3126468345657742"))
    assert guess_course(read_notebook(path)).profile == "nndl-2024-mix"


@pytest.mark.parametrize(
    ("source", "asks"),
    [
        ("import numpy", "none of cs231n, nndl and skynet"),
        (IMPORT + "f(update_rule='adam')", "--course cs231n-2017, cs231n-2020 or cs231n-2026"),
        ("from nndl.fc_net import *\nnet = F(dropout=0.25)", "nndl-drop, nndl-keep"),
    ],
)
def test_where_the_course_cannot_be_told_it_is_asked_for(tmp_path, source, asks):
    with pytest.raises(OptionError, match=asks):
        guess_course(read_notebook(write(tmp_path / "n.ipynb", source)))


# files that are no notebooks


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"cells": [', "malformed JSON"),
        ("[]", "no cells"),
        ('{"a": 1}', "no cells"),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 2}', "no code cells"),
        ('{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 2}', "not a valid"),
        ('{"cells": 3, "nbformat": 4, "nbformat_minor": 2}', "not a valid"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "n.ipynb"
    path.write_text(content)
    with pytest.raises(DataError, match=says) as raised:
        read_notebook(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "source", ["print 'hello'", "x = 1\nprint x", "try:\n    f()\nexcept E, e:\n    pass"]
)
def test_python_2_is_refused_in_one_line(tmp_path, source):
    path = write(tmp_path / "n.ipynb", "y = 2", source)
    with pytest.raises(DataError, match=r"Python 2 notebook \(cell 1, line \d"):
        read_notebook(path)


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_notebook(tmp_path / "n.ipynb")
    (tmp_path / "n.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_notebook(tmp_path / "n.ipynb")


def test_notebooks_of_the_old_format_are_read(tmp_path):
    cell = {"cell_type": "code", "input": ["x = 1"], "outputs": [], "language": "python",
            "collapsed": False, "metadata": {}}  # fmt: skip
    sheet = {"cells": [cell], "metadata": {}}
    old = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [sheet]}
    (tmp_path / "n.ipynb").write_text(json.dumps(old))
    assert read_notebook(tmp_path / "n.ipynb").cells[0].source == "x = 1"


@pytest.mark.parametrize(
    ("names", "before", "makes"),
    [
        ({"solver"}, "model = TwoLayerNet()", "Solver(model"),
        ({"best_model"}, "FullyConnectedNet([1])", "FullyConnectedNet("),
        ({"best_model"}, "", "TwoLayerNet("),
        ({"best_net"}, "", "best_net.train("),
        ({"answer"}, "", None),
    ],
)
def test_the_well_known_exercises_have_solutions(names, before, makes):
    found = solution(names, before)
    assert found is None if makes is None else makes in found
