"""What a rubric may say, and what the parts of a function earn."""

import re
from pathlib import Path

import pytest
from checker.submissions import AFFINE, LAYERS, OVERFLOWING, SOFTMAX

from handgrad.checker import CheckError
from handgrad.checker.points import known_names, parts_of, read_rubric
from handgrad.checker.rubric import judge_one
from handgrad.errors import OptionError


def rubric_of(folder, text):
    """The rubric that a text describes."""
    path = folder / "rubric.toml"
    path.write_text(text)
    return read_rubric(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "cannot be read"),
        ("seconds = 3", "points"),
        ("other = 1\n[points]\nrelu_forward = 1", "unknown other"),
        ("second = 1\n[points]\nrelu_forward = 1", "did you mean seconds"),
        ("seconds = 0\n[points]\nrelu_forward = 1", "above 0"),
        ("memory = true\n[points]\nrelu_forward = 1", "above 0"),
        ("[points]\nrelu_forward = 'x'", "numbers"),
        ("[points]\nrelu_forward = nan", "numbers"),
        ("[points]\nrelu_forward = true", "numbers"),
        ("[points]\nrelu_forward = {}", "value, shapes, strict"),
        ("dropout = 'x'\n[points]\nrelu_forward = 1", "keep"),
        ("strict = 1\n[points]\nrelu_forward = 1", "true or false"),
        ("file = 3\n[points]\nrelu_forward = 1", "file must be"),
        ("skeleton = 'nowhere'\n[points]\nrelu_forward = 1", "no skeleton"),
        ("[points]\nrelu_foward = 1", "did you mean relu_forward"),
        ("[points]\nFullConnectedNet = 1", "did you mean FullyConnectedNet"),
        ("[points]\nKNearestNeighbor = 1", "KNearestNeighbor.predict_labels"),
        ("[points]\nsoftmax_loss = {values = 1}", "did you mean value"),
        ("[points]\nsvm_loss = {stable = 1}", "its parts are value, gradient, shapes, strict"),
        ("[points]\naffine_backward = {dx = 1, dgamma = 1}", "no part 'dgamma'"),
        ("[points]\nrelu_forward = {gradient = 1}", "no part 'gradient'"),
    ],
)
def test_bad_rubrics(tmp_path, text, says):
    with pytest.raises(CheckError, match=says):
        rubric_of(tmp_path, text)


def test_the_rubric_of_the_docs_is_one(tmp_path):
    docs = Path(__file__).parents[2] / "docs" / "checker.md"
    (text,) = re.findall(r"```toml\n(.*?)```", docs.read_text("utf-8"), re.DOTALL)
    (tmp_path / "starter").mkdir()
    assert rubric_of(tmp_path, text).total == 10


def test_an_unknown_course_is_refused(tmp_path):
    with pytest.raises(OptionError, match="cs231n-2020"):
        rubric_of(tmp_path, "course = 'cs231n-1999'\n[points]\nrelu_forward = 1")


def test_every_known_name_has_parts():
    names = known_names()
    assert {"relu_forward", "adam", "FullyConnectedNet", "LinearClassifier.train"} <= set(names)
    assert all("strict" in parts_of(name) for name in names)
    assert parts_of("affine_backward") == ("gradient", "dx", "dw", "db", "shapes", "strict")


PARTS = """
[points]
softmax_loss = {value = 2, gradient = 3, stable = 4}
affine_forward = {value = 5, shapes = 6}
affine_backward = {dx = 10, dw = 20, db = 40, shapes = 80, gradient = 160}
relu_forward = 1000
relu_backward = {gradient = 2000, strict = 4000}
"""


@pytest.mark.parametrize(
    ("text", "points"),
    [
        (AFFINE + SOFTMAX, 330),
        (AFFINE + OVERFLOWING, 326),  # right for ordinary scores
        (AFFINE + SOFTMAX.replace("dx / n", "dx"), 327),
        (AFFINE + SOFTMAX.replace("return -", "return 1 - "), 328),
        (AFFINE.replace("axis=0", "axis=0, keepdims=True") + SOFTMAX, 330),  # (1, M): a caution
        (AFFINE.replace("db = dout.sum", "db = dout.mean") + SOFTMAX, 130),
        (AFFINE.replace("return dx, dw, db", "return dx, dw.T, db") + SOFTMAX, 70),
        (AFFINE.replace("w + b,", "w + 1 + b,") + SOFTMAX, 325),
        (AFFINE.replace("return x.r", "return 2 * x.r"), 316),
        ("def softmax_loss(x, y):\n    return 0.0, None\n", 0),  # a skeleton
        (SOFTMAX.replace("n = len(y)", "raise SystemExit"), 0),  # nothing was shown to be right
        ("", 0),
    ],
)
def test_parts_are_marked_by_themselves(tmp_path, text, points):
    rubric = rubric_of(tmp_path, PARTS)
    (tmp_path / "s.py").write_text("import numpy as np\n" + text)
    row = judge_one(rubric, tmp_path / "s.py")
    assert row.points(rubric) == points, row.records


def test_a_note_of_the_strict_contract_costs_its_part_only(tmp_path):
    rubric = rubric_of(tmp_path, PARTS)
    (tmp_path / "s.py").write_text(
        LAYERS.replace("    return dout * (x > 0)", "    dout[x <= 0] = 0\n    return dout")
    )
    row = judge_one(rubric, tmp_path / "s.py")
    assert row.record("relu_backward")["verdict"] == "right"
    assert row.points(rubric) == 3000
