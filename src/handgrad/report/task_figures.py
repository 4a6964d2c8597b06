"""The figures of an evaluation that belong to a task: curves, calibration, residuals, importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from handgrad.report.figures import BLUE, ORANGE, new_figure

_LABELLED = 10  # curves that have a line in the legend
_BARS = 25
_GREY = "#999999"


def curves_figure(evaluation: Mapping[str, Any]) -> Figure | None:
    """The ROC and precision-recall curves of the classes."""
    curves = evaluation.get("curves") or {}
    if not curves:
        return None
    figure = new_figure(10, 4.4)
    roc, precision = figure.subplots(1, 2)
    roc.plot([0, 1], [0, 1], color=_GREY, lw=0.8, ls="--")
    names = evaluation["class_names"]
    for i, (number, pair) in enumerate(curves.items()):
        label = _short(names[int(number)]) if i < _LABELLED else None
        style = {"lw": 1.5, "alpha": 0.9 if len(curves) <= _LABELLED else 0.4, "label": label}
        if len(curves) == 1:
            style["color"] = BLUE
        roc.step(*pair["roc"], where="post", **style)
        precision.plot(*pair["precision_recall"], **style)
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    precision.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    for axes in (roc, precision):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        axes.grid(alpha=0.3)
    roc.legend(fontsize=7, loc="lower right", title="class, against the rest", title_fontsize=7)
    return figure


def calibration_figure(evaluation: Mapping[str, Any]) -> Figure | None:
    """The share of right rows against how sure the network was of them."""
    rows = evaluation.get("reliability")
    if not rows:
        return None
    sure, right, counts = (np.array(column) for column in zip(*rows, strict=True))
    figure = new_figure(5, 4.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_GREY, lw=0.8, ls="--", label="as sure as right")
    axes.plot(sure, right, color=BLUE, lw=1, alpha=0.6)
    axes.scatter(
        sure, right, s=10 + 200 * counts / counts.max(), color=BLUE, label="rows (area: how many)"
    )
    axes.set(
        title="Calibration", xlabel="probability of the prediction", ylabel="share of right rows",
        xlim=(-0.02, 1.05), ylim=(-0.02, 1.05),
    )  # fmt: skip
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)  # no place inside is always free
    return figure


def regression_figure(evaluation: Mapping[str, Any]) -> Figure | None:
    """Prediction against truth, and the residuals, of each target."""
    if "predictions" not in evaluation:
        return None
    predictions, targets = np.array(evaluation["predictions"]), np.array(evaluation["targets"])
    names: Sequence[str] = evaluation["target_names"][:6]
    figure = new_figure(10, 4 * len(names))
    grid = figure.subplots(len(names), 2, squeeze=False)
    for t, name in enumerate(names):
        true, said = targets[:, t], predictions[:, t]
        left, right = grid[t]
        ends = [min(true.min(), said.min()), max(true.max(), said.max())]
        left.plot(ends, ends, color=_GREY, lw=0.8, ls="--")
        left.scatter(true, said, s=9, color=BLUE, alpha=0.5)
        left.set(
            title=f"{_short(name)}: prediction against truth", xlabel="truth", ylabel="prediction"
        )
        left.grid(alpha=0.3)
        right.hist(said - true, bins=min(40, 5 + len(true) // 10), color=ORANGE)
        right.axvline(0.0, color=_GREY, lw=0.8)
        right.set(title="Residuals", xlabel="prediction - truth", ylabel="rows")
    return figure


def importance_figure(evaluation: Mapping[str, Any]) -> Figure | None:
    """How much the loss grows when a column is shuffled."""
    found = [(n, v) for n, v in (evaluation.get("importances") or {}).items() if np.isfinite(v)]
    if not found:
        return None
    found = found[:_BARS][::-1]
    figure = new_figure(6, 1.2 + 0.26 * len(found))
    axes = figure.subplots()
    axes.barh([_short(name) for name, _ in found], [value for _, value in found], color=BLUE)
    axes.axvline(0.0, color=_GREY, lw=0.8)
    axes.set(title="Importance of columns", xlabel="growth of the loss when the column is shuffled")
    return figure


def saliency_figure(examples: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Figure | None:
    """Images, and below each the size of the gradient of the predicted class's score at each pixel."""
    import base64
    import io

    from PIL import Image

    shown = [example for example in examples if "saliency" in example][:8]
    if not shown:
        return None
    figure = new_figure(1.25 * len(shown), 3.0)
    grid = figure.subplots(2, len(shown), squeeze=False)
    for column, example in enumerate(shown):
        for row, key in enumerate(("png", "saliency")):
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(example[key]))))
            axes = grid[row][column]
            axes.imshow(picture, cmap="gray" if row == 0 else "magma", interpolation="nearest")
            axes.axis("off")
        grid[0][column].set_title(_short(names[example["predicted"]]), fontsize=8)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "..."
