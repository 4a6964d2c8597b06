"""Which file is judged: the one that was named, for every course, form of path and working directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from handgrad import courses
from handgrad.checker import CheckError, check_path
from handgrad.checker.places import place_of

WRONG = """
import numpy as np

def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w, (x, w, b)  # planted: no bias

def affine_backward(dout, cache):
    x, w, b = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)
"""
RIGHT = WRONG.replace("@ w,", "@ w + b,")


@pytest.fixture
def write(tmp_path):
    def make(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return tmp_path

    return make


def forms(folder, package):
    """(target, working directory) of every form of path to package/layers.py in folder."""
    file = folder / package / "layers.py"
    link = folder.parent / f"link-{package}"
    if not link.exists():
        link.symlink_to(folder)
    return [
        (str(file), folder),
        (f"{package}/layers.py", folder),
        (f"./{package}/layers.py:affine_forward", folder),
        (f"../{folder.name}/{package}/layers.py", folder),
        ("layers.py", folder / package),
        ("layers.py:affine_forward", folder / package),
        (".", folder / package),
        ("..", folder / package),
        (package, folder),
        (f"{package}/", folder),
        (str(folder), folder.parent),
        (f"{folder}/", folder.parent),
        (str(link), folder.parent),
        (str(link / package / "layers.py"), folder / package),
        (f"{package}.layers", folder),
        (f"{package}.layers:affine_forward", folder),
    ]


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("course", [None, *courses.PROFILES])
def test_a_planted_mistake_is_seen_in_every_form_of_path(write, monkeypatch, course):
    packages = courses.PROFILES[course].packages if course else ("cs231n", "someones")
    for package in packages:
        files = {f"student/{package}/layers.py": WRONG}
        if package == "someones" or (course and list(courses.PROFILES).index(course) % 2):
            files[f"student/{package}/__init__.py"] = ""
        folder = write(files) / "student"
        for target, here in forms(folder, package):
            monkeypatch.chdir(here)
            report = check_path(target, course=course)
            verdict = report["affine_forward"]
            assert verdict.verdict == "WRONG", (target, here)
            assert Path(verdict.file).samefile(folder / package / "layers.py"), target
            assert "layers.py" in str(report).splitlines()[len(report.remarks)]
        (folder / package / "layers.py").unlink()
        assert not any(name.partition(".")[0] == package for name in sys.modules)


def test_on_the_command_line_the_courses_own_layers_are_never_judged(write):
    folder = write({"student/cs231n/layers.py": WRONG})
    command = [sys.executable, "-m", "handgrad", "check", "student", "--course", "cs231n-2020"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "affine_forward    WRONG" in done.stdout
    assert str(Path("student", "cs231n", "layers.py")) in done.stdout


def test_a_dotted_name_without_a_file_here_is_refused_with_a_course(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckError, match=r"cs231n\.layers cannot be imported"):
        check_path("cs231n.layers:affine_forward", course="cs231n-2020")


def test_a_function_from_elsewhere_is_not_judged(write):
    text = WRONG + "\nfrom handgrad.layers import affine_forward\n"
    report = check_path(str(write({"layers.py": text}) / "layers.py"))
    assert report["affine_forward"].verdict == "not testable here"
    assert "comes from handgrad" in report["affine_forward"].reason


def test_a_module_that_is_imported_already_is_not_mistaken_for_the_file(write, monkeypatch):
    folder = write({"a/helpers.py": "SIGN = 1", "b/helpers.py": "SIGN = -1"})
    for name, sign in (("a", 1), ("b", -1)):
        text = RIGHT.replace("import numpy as np", "import numpy as np\nfrom helpers import SIGN")
        write({f"{name}/layers.py": text.replace("@ w + b,", "@ w + SIGN * b,")})
        report = check_path(str(folder / name / "layers.py"))
        assert (report["affine_forward"].verdict == "right") == (sign == 1)


def test_a_real_package_of_the_courses_name_elsewhere_does_not_answer(write, monkeypatch):
    folder = write(
        {
            "installed/cs231n/__init__.py": "",
            "installed/cs231n/layers.py": RIGHT,
            "student/cs231n/layers.py": WRONG,
            "student/cs231n/layer_utils.py": "from cs231n.layers import *\n"
            "def affine_relu_forward(x, w, b):\n    a, c = affine_forward(x, w, b)\n"
            "    return a * (a > 0), (c, a)\n",
        }
    )
    monkeypatch.syspath_prepend(folder / "installed")
    import cs231n.layers  # noqa: F401

    report = check_path(str(folder / "student"))
    assert report["affine_forward"].verdict == "WRONG"
    assert report["affine_relu_forward"].verdict == "WRONG"
    assert sys.modules["cs231n"].__file__ == str(folder / "installed" / "cs231n" / "__init__.py")
    for name in ("cs231n", "cs231n.layers"):
        del sys.modules[name]  # for good: monkeypatch would put it back


@pytest.mark.parametrize(
    ("files", "target"),
    [
        (
            {
                "cs231n/classifiers/layers.py": "from ..base import *\n",
                "cs231n/base.py": RIGHT,
            },
            "cs231n/classifiers/layers.py",
        ),
        ({"layers.py": "from .base import *\n", "base.py": RIGHT}, "layers.py"),
        ({"cs231n/layers.py": "from cs231n.base import *\n", "cs231n/base.py": RIGHT}, "cs231n"),
        (
            {"mine/layers.py": "from mine.base import *\n", "mine/base.py": RIGHT},
            "mine/layers.py",
        ),
        ({"x/layers.py": "from cs231n.base import *\n", "x/base.py": RIGHT}, "x/layers.py"),
        (
            {"layers.py": "from cs231n.base import *\n", "cs231n/base.py": RIGHT},
            "layers.py",
        ),
        (
            {
                "cs231n/__init__.py": "import nothing_like_that\n",
                "cs231n/layers.py": "from cs231n.base import *\n",
                "cs231n/base.py": RIGHT,
            },
            "cs231n/layers.py",
        ),
        (
            {
                "assignment_2/cs231n/layers.py": "from assignment_2.cs231n.base import *\n",
                "assignment_2/cs231n/base.py": RIGHT,
            },
            "assignment_2/cs231n/layers.py",
        ),
        (
            {"a.b-c/nndl/layers.py": "from nndl.base import *\n", "a.b-c/nndl/base.py": RIGHT},
            "a.b-c/nndl/layers.py",
        ),
    ],
)
def test_imports_are_taken_as_they_are(write, files, target):
    body = "\ndef relu_forward(x):\n    affine_forward\n    return np.maximum(0, x), x\n"
    files = {
        name: text + ("import numpy as np" + body if name.endswith("layers.py") else "")
        for name, text in files.items()
    }
    assert check_path(str(write(files) / target))["relu_forward"].verdict == "right"


STAND_INS = """
import sys
import matplotlib.pyplot as plt
from scipy.misc import imread
import h5py, imageio, six, tensorflow as tf
from six.moves import xrange, cPickle as pickle
from google.colab import drive
from past.builtins import xrange
from past.utils import old_div
from future import standard_library
import numpy as np
standard_library.install_aliases()
drive.mount("/content")
plt.rcParams["figure.figsize"] = (10, 8)

class Net(tf.keras.Model):
    pass

@tf.function
def relu_forward(x):
    assert "tensorflow" not in sys.modules  # other libraries look there
    out = np.array(x)
    for i in xrange(old_div(len(x), 1)):
        out[i] = np.maximum(0, x[i])
    plt.plot(out)
    return out, x

def affine_forward(x, w, b):
    return tf.matmul(x, w) + b, None

def softmax_loss(x, y):
    import h5py
    return h5py.File("x"), None
"""


def test_libraries_that_are_not_there_are_stood_in_for(write, monkeypatch):
    absent = ("matplotlib", "scipy", "h5py", "imageio", "six", "tensorflow", "google", "past")
    for name in [*sys.modules]:
        if name.partition(".")[0] in (*absent, "future"):
            monkeypatch.delitem(sys.modules, name)

    file = write({"layers.py": STAND_INS}) / "layers.py"
    report = check_path(str(file))
    assert report["relu_forward"].verdict == "right"
    assert report["affine_forward"].verdict == "not testable here"
    assert "tensorflow is not installed" in report["affine_forward"].reason
    assert "tensorflow" not in sys.modules


CYTHON = """
import numpy as np
try:
    from cs231n.im2col_cython import im2col_cython, col2im_cython
except ImportError:
    print("python setup.py build_ext --inplace")

def conv_forward_fast(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    cols = im2col_cython(x, w.shape[2], w.shape[3], p, s)
    out = w.reshape(len(w), -1) @ cols + b[:, None]
    high = (x.shape[2] + 2 * p - w.shape[2]) // s + 1
    return out.reshape(len(w), high, -1, len(x)).transpose(3, 0, 1, 2), None
"""


def test_cython_that_is_not_built(write):
    user = "from cs231n.fast_layers import *\n" + CYTHON[CYTHON.index("def conv") :].replace(
        "im2col_cython(x", "conv_forward_fast.__globals__['im2col_cython'](x"
    ).replace("def conv_forward_fast", "first = conv_forward_fast\ndef conv_forward_naive").replace(
        "conv_forward_fast.__", "first.__"
    )
    folder = write({"cs231n/fast_layers.py": CYTHON, "cs231n/layers.py": user})
    report = check_path(str(folder / "cs231n" / "fast_layers.py"))
    assert report["conv_forward_fast"].verdict == "not testable here"
    assert "im2col_cython is not built" in report["conv_forward_fast"].reason
    report = check_path(str(folder / "cs231n" / "fast_layers.py"), course="cs231n-2020")
    assert report["conv_forward_fast"].verdict == "right"
    report = check_path(str(folder / "cs231n" / "layers.py"))
    assert report["conv_forward_naive"].verdict == "right"
    assert "im2col_cython is not built" in str(report)


def test_the_course_answers_what_is_missing_and_is_named_where_it_would_help(write):
    text = "from cs231n.fast_layers import conv_forward_fast\n" + RIGHT
    file = str(write({"nndl/layers.py": text, "nndl/__init__.py": ""}) / "nndl" / "layers.py")
    with pytest.raises(CheckError, match="--course nndl-keep"):
        check_path(file)
    for course in ("nndl-keep", "nndl-drop", "cs231n-2020"):
        assert check_path(file, course=course)["affine_forward"].verdict == "right"


@pytest.mark.parametrize("dots", [".", ".."])
def test_the_course_answers_relative_imports_of_a_file_alone(write, dots):
    text = f"from {dots}fast_layers import conv_forward_fast\n" + WRONG
    file = str(write({"far/away/layers.py": text}) / "far" / "away" / "layers.py")
    with pytest.raises(CheckError, match="--course cs231n-2020"):
        check_path(file)
    assert check_path(file, course="cs231n-2020")["affine_forward"].verdict == "WRONG"


def test_another_name_for_a_function_is_judged_too(write):
    text = WRONG.replace("affine_forward", "first") + "\naffine_forward = first\n"
    report = check_path(str(write({"layers.py": text}) / "layers.py"))
    assert sorted(one.function for one in report.verdicts) == ["affine_backward", "affine_forward"]
    assert report["affine_forward"].verdict == "WRONG"


def test_the_students_own_module_comes_before_the_courses(write):
    folder = write(
        {
            "cs231n/layers.py": WRONG,
            "cs231n/layer_utils.py": "from .layers import *\nfrom .fast_layers import *\n"
            "def affine_relu_forward(x, w, b):\n    conv_forward_fast\n"
            "    a, c = affine_forward(x, w, b)\n    return a * (a > 0), (c, a)\n",
        }
    )
    report = check_path(str(folder / "cs231n" / "layer_utils.py"), course="cs231n-2020")
    assert report["affine_relu_forward"].verdict == "WRONG"


def test_a_file_in_another_encoding_and_with_a_byte_order_mark(tmp_path):
    latin = tmp_path / "latin.py"
    latin.write_bytes(b"# -*- coding: latin-1 -*-\n# \xe9\n" + WRONG.encode())
    assert check_path(str(latin)).exit_code == 1
    marked = tmp_path / "marked.py"
    marked.write_bytes(b"\xef\xbb\xbf" + WRONG.encode())
    assert check_path(str(marked)).exit_code == 1


def test_the_place_of_a_script_beside_the_package(write):
    folder = write({"cs231n/cs231n/layers.py": RIGHT, "cs231n/run.py": "import cs231n.layers"})
    place = place_of(folder / "cs231n" / "run.py")
    assert place.packages["cs231n"] == folder / "cs231n" / "cs231n"


def test_a_library_that_is_imported_and_never_used_is_not_loaded(write):
    pytest.importorskip("torch")
    text = "import torch\nfrom torch import nn as net\n" + RIGHT
    unused = str(write({"a/layers.py": text}) / "a" / "layers.py")
    used = str(write({"b/layers.py": text + "\nclass Net(net.Module): pass\n"}) / "b" / "layers.py")
    code = "import sys; from handgrad.checker import check_path; r = check_path(sys.argv[1]); "
    code += "assert r.exit_code == 0; print('torch' in sys.modules)"
    for path, loaded in ((unused, "False"), (used, "True")):
        command = [sys.executable, "-c", code, path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == loaded


@pytest.mark.thorough
def test_a_library_that_one_function_uses_waits_for_it(write):
    pytest.importorskip("torch")
    own = "\ndef sigmoid_forward(x):\n    return torch.sigmoid(torch.tensor(x)).numpy(), x\n"
    path = str(write({"a/layers.py": "import torch\n" + RIGHT + own}) / "a" / "layers.py")
    default = write(
        {"b/layers.py": "import torch\n" + RIGHT + own.replace("(x):", "(x, of=torch):")}
    )
    code = "import sys; from handgrad.checker import check_path; r = check_path(*sys.argv[1:3]); "
    code = code.replace("*sys.argv[1:3]", "sys.argv[1], only=sys.argv[2]")
    code += "assert r.exit_code == 0, str(r); print('torch' in sys.modules)"
    for file, only, loaded in (
        (path, "affine_forward", "False"),
        (path, "sigmoid_forward", "True"),
        (str(default / "b" / "layers.py"), "affine_forward", "True"),
    ):
        command = [sys.executable, "-c", code, file, only]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == loaded, only


@pytest.mark.parametrize("forks", [True, False])
def test_the_edits_of_one_file_have_a_limit(monkeypatch, forks):
    from handgrad.checker import repair, spawned

    asked = []
    monkeypatch.setattr(repair, "can_fork", lambda: forks)
    monkeypatch.setattr(repair, "apart", lambda work, seconds, patience: asked.append(1))
    monkeypatch.setattr(spawned, "search", lambda *asks: (asked.append(1), 0.9))
    rerun = repair.Rerun(print, None)
    with repair.at_most(0.0):
        assert repair.find(rerun, [], []) is None
    assert not asked
    with repair.at_most(1.0):
        assert repair.find(rerun, [], []) is None
        assert repair.find(rerun, [], []) is None
        assert repair.find(rerun, [], []) is None  # without fork the first two took all of it
    assert repair.find(rerun, [], []) is None
    assert len(asked) == (4 if forks else 3)
