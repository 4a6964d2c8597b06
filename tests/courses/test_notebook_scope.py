"""What is read off the imports: whose notebook it is, what is outside, and which package a fork renamed."""

import pytest

from handgrad.courses.notebook.cells import calls, left_empty, open_names, renamings
from handgrad.courses.notebook.guess import guess_course
from handgrad.courses.notebook.read import read_notebook
from handgrad.courses.notebook.scope import check_scope, imported, renamed
from handgrad.errors import DataError, OptionError

from .notebooks import code, write

LOADERS = ("get_CIFAR10_data", "load_CIFAR10")


@pytest.mark.parametrize(
    ("imports", "says"),
    [
        ("import torch\nfrom torchvision import datasets", "PyTorch"),
        ("import tensorflow as tf\nfrom cs231n.data_utils import load_CIFAR10", "TensorFlow"),
        ("from tensorflow.keras.layers import Dense", "TensorFlow"),
        (
            "from cs231n.transformer_layers import *\nfrom cs231n.coco_utils import x",
            "transformers",
        ),
        ("import torch\nfrom cs231n.gan_pytorch import generator", "generative"),
        ("from cs231n.classifiers.squeezenet import SqueezeNet", "trained elsewhere"),
        ("from nndl.no_such import x\nimport torch", None),
        ("import torch\nfrom nndl.layers import *", None),
        ("from cs231n.data_utils import load_CIFAR10", None),
        ("import numpy as np", None),
    ],
)
def test_what_is_outside_is_refused_before_anything_runs(tmp_path, imports, says):
    path = tmp_path / "n.ipynb"
    modules = imported([imports])
    if says is None:
        check_scope(path, modules)
        return
    with pytest.raises(DataError, match=says) as raised:
        check_scope(path, modules)
    assert "outside of Handgrad" in str(raised.value)
    assert "--course" not in str(raised.value)


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (["cs682.layers", "cs682.data_utils"], ("cs682", "cs231n")),
        (["numpy", "ece.fc_net", "ece.data_utils"], ("ece", "nndl")),
        (["assignment2.cs231n.classifiers.cnn"], ("assignment2.cs231n", "cs231n")),
        (["keras.layers", "torch.optim", "cs231n.layers", "numpy"], None),
    ],
)
def test_a_renamed_package_is_found(modules, found):
    assert renamed(modules) == found


def test_a_renamed_package_is_offered_and_taken(tmp_path):
    source = "from cs682.classifiers.fc_net import *\nnet = FullyConnectedNet(d, normalization='x')"
    notebook = read_notebook(write(tmp_path / "n.ipynb", source))
    with pytest.raises(OptionError, match="say --package cs682"):
        guess_course(notebook)
    choice = guess_course(notebook, "cs682")
    assert choice.profile == "cs231n-2020"
    assert "it imports cs231n as cs682" in choice.why
    with pytest.raises(OptionError, match="imports nothing of cs999; it imports cs682"):
        guess_course(notebook, "cs999")
    with pytest.raises(OptionError, match="is not the name of a package"):
        guess_course(notebook, "no name")


DROPOUT = "from nndl.layers import *\nfor p in [0.2, 0.7]:\n    dropout_forward(x, {'p': p})\n"


@pytest.mark.parametrize(
    ("more", "printed", "profile"),
    [
        ("", ("with p =  0.2", "train-time output set to zero:  0.801"), "nndl-keep"),
        ("for dropout in [0, 0.1]:\n    f(dropout=dropout)",
         ("with p =  0.2", "train-time output set to zero:  0.801"), "nndl-2024-mix"),
        ("for dropout in [1, 0.5]:\n    f(dropout=dropout)",
         ("with p =  0.3", "train-time output set to zero:  30.1%"), "nndl-drop"),
        ("", ("with p =  0.5", "train-time output set to zero:  0.5",
              "with p =  0.8", "train-time output set to zero:  0.79"), "nndl-drop"),
        ("for dropout in [0, 0.1]:\n    f(dropout=dropout)",
         ("with p =  0.2", "test-time output set to zero:  0.8"), "nndl-drop"),  # tells nothing
    ],
)  # fmt: skip
def test_the_saved_share_of_zeros_tells_what_p_means(tmp_path, more, printed, profile):
    path = write(tmp_path / "n.ipynb", code(DROPOUT + more, *printed))
    assert guess_course(read_notebook(path)).profile == profile


def test_a_dropout_of_one_tenth_is_no_dropout_of_one(tmp_path):
    source = "from nndl.fc_net import *\nfor dropout in [0, 0.1]:\n    f(dropout=dropout)"
    assert guess_course(read_notebook(write(tmp_path / "n.ipynb", source))).profile == "nndl-drop"


@pytest.mark.parametrize(
    ("source", "loads"),
    [
        ("from cs231n.data_utils import load_CIFAR10", False),
        ("# load_CIFAR10(folder)\nprint('load_CIFAR10(folder)')", False),
        ("def get():\n    return load_CIFAR10(folder)", False),
        ("def get():\n    return load_CIFAR10(folder)\nX = get()", True),
        ("def get_CIFAR10_data():\n    return mine()\nX = get_CIFAR10_data()", False),
        ("def get_CIFAR10_data():\n    return load_CIFAR10(folder)\nX = get_CIFAR10_data()", True),
        ("data = data_utils.get_CIFAR10_data()", True),
        ("load = load_CIFAR10\nload(folder)", True),
        ("%matplotlib inline\nprint 'x', get_CIFAR10_data()", True),  # not Python 3
    ],
)
def test_data_are_wanted_where_the_loader_is_called(source, loads):
    assert calls([source], LOADERS) is loads


def test_empty_lists_and_dictionaries_are_open_exercises():
    source = "folds = []\nresults = {}\nbest, top = None, 0\n# TODO\npass\nfor k in sorted(results): f(k)"
    assert open_names(source) == {"folds", "results", "best"}
    assert left_empty(source) == {"folds", "results"}
    assert left_empty(source.replace("pass", "pass\nresults[1] = 2\nfolds.append(3)")) == set()
    assert left_empty(source.replace("pass", "")) == set()
    assert left_empty(source.replace("# TODO", "")) == set()


def test_another_name_of_a_variable():
    assert renamings("net = best_net\nx = 1\nbest = best") == {"net": "best_net"}
