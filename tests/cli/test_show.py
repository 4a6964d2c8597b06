"""What is printed of a measurement with very many classes."""

import io

import numpy as np
import pytest
from rich.console import Console

from handgrad.cli.show import MATRIX, show_evaluation
from handgrad.report.figures import confusion_figure


def printed(confusion):
    confusion = np.asarray(confusion)
    counts = confusion.sum(axis=1)
    right = confusion.diagonal()
    evaluation = {
        "class_names": [f"class {k}" for k in range(len(counts))],
        "confusion": confusion.tolist(),
        "per_class": [r / n if n else None for r, n in zip(right, counts, strict=True)],
        "accuracy": right.sum() / counts.sum(),
        "count": int(counts.sum()),
        "split": "test",
        "loss": 1.5,
    }
    file = io.StringIO()
    show_evaluation(Console(file=file, width=80), evaluation)
    return file.getvalue()


def test_few_classes_are_a_matrix():
    text = printed(np.eye(MATRIX, dtype=int) * 3)
    assert "rows are true classes" in text
    assert f"class {MATRIX - 1}" in text


def test_of_many_classes_the_worst_are_shown():
    confusion = np.eye(MATRIX + 180, dtype=int) * 9
    confusion[150, 3], confusion[150, 4] = 5, 2
    confusion[7, 189] = 1
    confusion[11] = 0
    text = printed(confusion)
    rows = [line.split() for line in text.splitlines() if line.lstrip().startswith("class ")]
    assert len(rows) == MATRIX
    assert " ".join(rows[0]) == "class 150 16 56.2 % class 3 (5)"
    assert " ".join(rows[1]) == "class 7 10 90.0 % class 189 (1)"
    assert "Of 190 classes the 10 with the most mistakes" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "Accuracy on the test rows:" in text


@pytest.mark.parametrize("count", [10, 40, 41, 400])
def test_the_picture_of_a_matrix_stays_small(count):
    figure = confusion_figure(np.eye(count, dtype=int), [f"class {k}" for k in range(count)])
    width, height = figure.get_size_inches()
    assert width <= 14
    assert height <= 13
    axes = figure.axes[0]
    assert len(axes.texts) == (count if count <= 40 else 0)
    assert [t.get_text() for t in axes.get_yticklabels()][:2] == [
        "class 0",
        f"class {-(-count // 40)}",
    ]
