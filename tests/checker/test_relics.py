"""Python 2 and NumPy's removed names: one line with the line's number and what to write."""

import ast

import pytest

from handgrad.checker import CheckError, check_path, relics

CONV = """
import numpy as np

def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    n, c, H, W = x.shape
    f, _, hh, ww = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    oh = (H + 2 * p - hh) // s + 1
    ow = (W + 2 * p - ww) // s + 1
    out = np.zeros((n, f, oh, ow))
    for i in range(oh):
        for j in range(ow):
            part = xp[:, :, i * s : i * s + hh, j * s : j * s + ww]
            out[:, :, i, j] = np.einsum("nchw,fchw->nf", part, w) + b
    return out, (x, w, b, conv_param)
"""


def only_cause(tmp_path, text, name="conv_forward_naive"):
    path = tmp_path / "layers.py"
    path.write_text(text)
    verdict = check_path(str(path))[name]
    assert verdict.verdict == "WRONG"
    (cause,) = verdict.causes
    assert "\n" not in cause.says
    return cause


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("(H + 2 * p - hh) // s + 1", "(H + 2 * p - hh) / s + 1", 9),
        ("(W + 2 * p - ww) // s + 1", "1 + (W + 2 * p - ww) / s", 10),
        ("range(ow)", "range(2 * ow / 2)", 13),
        ("i * s : i * s + hh", "2 * i * s / 2 : i * s + hh", 14),
        ("(n, f, oh, ow)", "(n, f, oh * 1 / 1, ow)", 11),
        ("np.zeros((n, f, oh, ow))", "np.zeros(shape)", 11),
        ("oh = (H", "oh = H; oh /= 1; oh = (H", None),
    ],
)
def test_a_division_that_should_be_whole(tmp_path, old, new, line):
    text = CONV.replace(old, new)
    if new == "np.zeros(shape)":
        text = text.replace("    out = ", "    shape = (n, f, oh, ow / 1)\n    out = ")
    assert text != CONV
    if line is None:
        path = tmp_path / "layers.py"
        path.write_text(text)
        assert check_path(str(path))["conv_forward_naive"].verdict == "right"
        return
    cause = only_cause(tmp_path, text)
    assert "write //" in cause.says
    assert cause.line == line


def test_a_wrong_type_of_index_without_a_division_is_no_relic(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(CONV.replace("range(ow)", "range(float(ow))"))
    verdict = check_path(str(path))["conv_forward_naive"]
    assert verdict.causes
    assert "Python 2" not in verdict.causes[0].says


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("np.int(1)", "np.int is gone from NumPy (1.24): write int"),
        ("np.float(1)", "write float"),
        ("np.bool(1) or np.product([1])", "np.product is gone from NumPy: write np.prod"),
        ("np.Inf", "write np.inf"),
        ("np.in1d([1], [1])", "write np.isin"),
        ("{}.iteritems()", ".iteritems() is gone from Python 3: write .items()"),
        ("{}.has_key(1)", "write key in d"),
        ("map(len, [])[0]", "map() makes no list in Python 3"),
        ("{}.keys()[0]", ".keys() makes no list"),
        ("unicode('')", "unicode is gone from Python 3: write str"),
        ("reduce(max, [1])", "write functools.reduce"),
        ("int(np.ones(1))", "write x.item()"),
        ("np.reshape(np.ones(4), newshape=(2, 2))", "newshape= is gone"),
        ("np.ones(2).ptp()", "write np.ptp(x)"),
        ("np.lib.pad(x, 1)", "np.lib.pad is gone from NumPy: write np.pad"),
        ("np.sum(a for a in [1])", "write sum(...)"),
        ("np.stack(np.ones(1) for a in [1])", "stacks no generator any more: write list(...)"),
        ("np.vstack(map(np.ones, [1]))", "stacks no generator any more: write list(...)"),
    ],
)
def test_names_that_are_gone(tmp_path, code, says):
    import numpy as np

    text = f"import numpy as np\ndef relu_forward(x):\n    {code}\n    return np.maximum(0, x), x\n"
    try:
        eval(code, {"np": np, "x": np.ones(3)})
    except Exception:
        cause = only_cause(tmp_path, text, "relu_forward")
        assert says in cause.says
        assert cause.line == 3
    else:
        pytest.skip(f"this NumPy still has it: {np.__version__}")


def test_the_line_of_a_helper_in_another_file(tmp_path):
    (tmp_path / "sizes.py").write_text("def half(n):\n    k = n / 2\n    return range(k)\n")
    text = "import numpy as np\nfrom sizes import half\ndef relu_forward(x):\n    half(4)\n    return x, x"
    cause = only_cause(tmp_path, text, "relu_forward")
    assert "(sizes.py:2)" in cause.says
    assert cause.line == 4


def test_a_size_that_the_caller_divides(tmp_path):
    text = """
import numpy as np

def relu_forward(x):
    def zeros(*shape):
        return np.zeros(shape)
    half = len(x) / 1
    zeros(half, 2)
    return np.maximum(x, 0), x
"""
    cause = only_cause(tmp_path, text, "relu_forward")
    assert "write // for whole numbers, in `len(x) / 1`" in cause.says


SVM = """
import numpy as np

def svm_loss(x, y):
    place = [np.arange(len(x)), y]
    margins = np.maximum(0, x - x[place][:, None] + 1)
    margins[place] = 0
    dx = (margins > 0) * 1.0
    dx[place] -= dx.sum(axis=1)
    return margins.sum() / len(x), dx / len(x)
"""


def test_a_list_of_indices(tmp_path):
    cause = only_cause(tmp_path, SVM, "svm_loss")
    assert cause.name == "relic"
    assert "took a list of indices as a tuple: write `(np.arange(len(x)), y)`" in cause.says
    assert cause.line == 5


def test_another_mistake_beside_a_list_of_indices_is_not_hidden(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(
        SVM.replace("[np.arange(len(x)), y]", "(np.arange(len(x)), y)").replace("+ 1)", "+ 2)")
    )
    names = [cause.name for cause in check_path(str(path))["svm_loss"].causes]
    assert names
    assert "relic" not in names


def test_a_constructor_for_python_2(tmp_path):
    text = """
import numpy as np
class TwoLayerNet:
    def __init__(self, input_dim=4, hidden_dim=3, num_classes=2, weight_scale=1e-3, reg=0.0):
        self.params = {"W1": np.zeros((2, 2))}
        for k, v in self.params.iteritems():
            pass
    def loss(self, X, y=None):
        return X.sum()
"""
    assert ".iteritems() is gone from Python 3" in only_cause(tmp_path, text, "TwoLayerNet").says


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("print 'x'", "a print statement of Python 2"),
        ("print x", "a print statement of Python 2"),
        ("raise ValueError, 'x'", "of Python 2: write `raise Error(text)`"),
        ("x = 1 <> 2", "of Python 2: write !="),
        ("x = 0777", "of Python 2|Python 2 wrote"),
    ],
)
def test_files_for_python_2(tmp_path, line, says):
    path = tmp_path / "layers.py"
    path.write_text(f"import numpy\n{line}\ndef relu_forward(x):\n    return x, x\n")
    with pytest.raises(CheckError) as caught:
        check_path(str(path))
    text = str(caught.value)
    assert f"{path}:2: " in text
    assert any(part in text for part in says.split("|"))
    assert "\n" not in text


def test_xrange_works_and_is_said(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(CONV.replace("range(", "xrange("))
    report = check_path(str(path))
    assert report.exit_code == 0
    line = next(i for i, line in enumerate(path.read_text().splitlines(), 1) if "xrange" in line)
    (said,) = [remark for remark in report.remarks if "xrange" in remark]
    assert f"(layers.py:{line}, in conv_forward" in said
    assert "write range" in said


@pytest.mark.parametrize("given", ["from past.builtins import xrange", "xrange = range", ""])
def test_nothing_is_said_of_xrange_where_python_3_has_it(tmp_path, given):
    path = tmp_path / "layers.py"
    path.write_text(given + "\n" + (CONV.replace("range(", "xrange(") if given else CONV))
    report = check_path(str(path))
    assert report.exit_code == 0
    assert not any("xrange" in remark for remark in report.remarks)


def test_an_array_of_one_number_is_stored(tmp_path):
    path = tmp_path / "layers.py"
    line = "out[:, :, i, j]"
    assert line in CONV
    start = CONV.index(line)
    right = CONV[start : CONV.index("\n", start)]
    assert right.startswith(line)
    own = """for m in range(n):
                for q in range(f):
                    patch = xp[m, :, i * s : i * s + hh, j * s : j * s + ww].reshape(1, -1)
                    out[m, q, i, j] = patch.dot(w[q].reshape(-1, 1)) + b[q]"""
    path.write_text(CONV.replace(right, own))
    report = check_path(str(path), only="conv_forward_naive")
    (cause, *_) = report["conv_forward_naive"].causes
    assert "has shape (1, 1): old NumPy took an array of one number as a number" in cause.says
    assert ".item()" in cause.says


def test_a_name_behind_an_error_is_refused_where_python_takes_two_errors():
    (handler,) = (tree := ast.parse("try:\n    f()\nexcept (E, e):\n    pass")).body[0].handlers
    relics.refuse_old_pairs(tree)
    handler.type.elts[0].col_offset = handler.type.col_offset  # as `except E, e:` in Python 3.14
    with pytest.raises(SyntaxError, match="parenthesized") as raised:
        relics.refuse_old_pairs(tree, "layers.py")
    assert "except Error as name" in relics.of_syntax(raised.value)
    assert raised.value.lineno == 3
    handler.type.elts[1].id = "OSError"
    relics.refuse_old_pairs(tree)


@pytest.mark.parametrize(
    "lines",
    [
        ["labels[i] = stats.mode(near)[0][0]"],
        ["labels[i] = stats.mode(near).mode[0]"],
        ["found = stats.mode(near)", "labels[i] = found[0][0]"],
        ["found = stats.mode(near).mode", "labels[i] = found[0]"],
        ["found = stats.mode(near[None], axis=1).mode", "labels[i] = found[:, 0][0]"],
    ],
)
def test_the_mode_of_old_scipy(tmp_path, lines):
    pytest.importorskip("scipy")
    body = "".join(f"            {line}\n" for line in lines)
    text = (
        "import numpy as np\nfrom scipy import stats\n\n\nclass KNearestNeighbor(object):\n"
        "    def train(self, X, y):\n        self.X_train, self.y_train = X, y\n\n"
        "    def predict_labels(self, dists, k=1):\n        labels = np.zeros(len(dists))\n"
        "        for i in range(len(dists)):\n"
        f"            near = self.y_train[np.argsort(dists[i])[:k]]\n{body}        return labels\n"
    )
    cause = only_cause(tmp_path, text, "KNearestNeighbor.predict_labels")
    assert "stats.mode(x)[0] is a number, no array, since SciPy 1.11" in cause.says
