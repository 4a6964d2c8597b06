"""The course that files show: what dropout's p means, and Adam's first count."""

import pytest

from handgrad.checker import check_path

DROPOUT = '''
import numpy as np

def dropout_forward(x, dropout_param):
    """
    - p: Dropout parameter. We {verb} each neuron output with probability p.
    """
    p = dropout_param["p"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "test":
        return x, (dropout_param, None)
    mask = (np.random.rand(*x.shape) < {keep}) / ({keep})
    return x * mask, (dropout_param, mask)
'''
ADAM = """
import numpy as np

def adam(x, dx, config=None):
    config = {} if config is None else config
    for key, value in (("learning_rate", 1e-3), ("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8)):
        config.setdefault(key, value)
    config.setdefault("t", START)
    config.setdefault("m", np.zeros_like(x))
    config.setdefault("v", np.zeros_like(x))
    config["t"] += 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dx
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dx * dx
    m = config["m"] / (1 - config["beta1"] ** config["t"])
    v = config["v"] / (1 - config["beta2"] ** config["t"])
    return x - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"]), config
"""


def report_of(tmp_path, text, name="layers.py", **options):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return check_path(str(path), **options)


@pytest.mark.parametrize("verb", ["drop", "keep"])
@pytest.mark.parametrize("keep", ["1 - p", "p"])
def test_the_docstring_says_what_p_means(tmp_path, verb, keep):
    report = report_of(tmp_path, DROPOUT.format(verb=verb, keep=keep))
    right = (verb == "drop") == (keep == "1 - p")
    assert (report.exit_code == 0) == right
    assert f"its docstring that {verb}s with probability p" in report.remarks[0]
    assert "--course" in str(report)


def test_options_come_before_the_guess(tmp_path):
    text = DROPOUT.format(verb="drop", keep="1 - p")
    assert report_of(tmp_path, text, course="cs231n-2020").exit_code == 1
    assert report_of(tmp_path, text, drops=False).exit_code == 1
    text = DROPOUT.format(verb="keep", keep="1 - p")
    assert report_of(tmp_path, text, course="cs231n-2016").exit_code == 0
    assert report_of(tmp_path, text, course="cs231n-2016").remarks == []


def test_a_neighbour_says_what_a_file_without_docstrings_means(tmp_path):
    quiet = DROPOUT.format(verb="", keep="1 - p").replace("We  each neuron output", "It is")
    assert report_of(tmp_path, quiet).exit_code == 1
    net = 'class FullyConnectedNet:\n    """If dropout=0 then the network drops nothing."""\n'
    report_of(tmp_path, net + "\ndef relu_forward(x): pass", "cs231n/classifiers/fc_net.py")
    report = report_of(tmp_path, quiet, "cs231n/layers.py")
    assert report.exit_code == 0
    assert "cs231n-2016" in report.remarks[0]


@pytest.mark.parametrize(
    ("verb", "off", "profile"),
    [("drop", 0, "nndl-drop"), ("keep", 1, "nndl-keep"), ("keep", 0, "nndl-2024-mix")],
)
def test_ucla(tmp_path, verb, off, profile):
    net = f'class FullyConnectedNet:\n    """If dropout={off} then none is used."""\n'
    report_of(tmp_path, net + "\ndef relu_forward(x): pass", "nndl/fc_net.py")
    keep = "1 - p" if verb == "drop" else "p"
    report = report_of(tmp_path, DROPOUT.format(verb=verb, keep=keep), "nndl/layers.py")
    assert report.exit_code == 0
    assert profile in report.remarks[0]


def test_adam_of_2017_starts_at_one(tmp_path):
    late, early = ADAM.replace("START", "1"), ADAM.replace("START", "0")
    assert report_of(tmp_path, late).exit_code == 0  # (x, dx) and 1: the file of 2017
    assert report_of(tmp_path, early).exit_code == 0
    assert report_of(tmp_path, late, course="cs231n-2017").exit_code == 0
    assert report_of(tmp_path, early, course="cs231n-2017").exit_code == 0
    assert report_of(tmp_path, late, course="cs231n-2020").exit_code == 1
    of_2018 = late.replace("(x, dx,", "(w, dw,").replace("dx", "dw").replace("x)", "w)")
    assert report_of(tmp_path, of_2018.replace("x -", "w -")).exit_code == 1
