"""The forms that the studies' figures share: curves over time, and results against a quantity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.experiments.study import Record, Results
from handgrad.experiments.words import best_val, final_loss, final_train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Measure = Callable[[Record], float]
Series = Mapping[str, Sequence[tuple[float, Record]]]

ACCURACY_LABEL = "accuracy (%)"
ACCURACY = {
    "Best validation accuracy": (ACCURACY_LABEL, lambda record: 100 * best_val(record)),
    "Training accuracy at the end": (ACCURACY_LABEL, lambda record: 100 * final_train(record)),
}
LOSS = {"Training loss at the end": ("loss (nats an image)", final_loss)}


def look(number: int) -> dict[str, Any]:
    """Return the colour and the style of line `number`, different for the first 24."""
    from handgrad.report.figures import COLOURS, STYLES

    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[number // len(COLOURS) % len(STYLES)],
    }


def curves(results: Results, title: str, names: Sequence[str] | None = None) -> Figure:
    """Training loss of every step, training and validation accuracy of every epoch, a line a trial."""
    from matplotlib.ticker import MaxNLocator

    from handgrad.report.figures import new_figure

    figure = new_figure(11, 4.4)
    figure.suptitle(title)
    loss, train, val = figure.subplots(1, 3)
    for number, name in enumerate(names or list(results)):
        draw_run(loss, train, val, results[name], name, look(number))
    loss.set(title="Training loss (smoothed)", xlabel="iteration", ylabel="loss (nats an image)")
    train.set(title="Training accuracy", xlabel="epoch", ylabel=ACCURACY_LABEL)
    val.set(title="Validation accuracy", xlabel="epoch", ylabel=ACCURACY_LABEL)
    _keep_in_view(loss, [smoothed(results[name]) for name in names or list(results)])
    for axes in (train, val):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    share_height(train, val)
    legend_below(figure, loss)
    return figure


def smoothed(record: Record) -> np.ndarray:
    """Return the losses, each the mean of itself and those before it, a tenth of an epoch or more."""
    from handgrad.report.figures import smooth

    losses = record["loss"]
    return smooth(losses, max(1, record["steps"] // 10, len(losses) // 50))


def draw_run(
    loss: Axes, train: Axes, val: Axes, record: Record, label: str, style: Mapping[str, Any]
) -> None:
    """Draw one training into the three panels of `curves`."""
    losses = smoothed(record)
    loss.plot(np.arange(1, len(losses) + 1), losses, label=label, lw=1.4, **style)
    for axes, key in ((train, "train_acc"), (val, "val_acc")):
        accuracies = 100 * np.asarray(record[key])
        axes.plot(np.arange(len(accuracies)), accuracies, marker="o", ms=3, label=label, **style)


def sweep(
    series: Series,
    title: str,
    xlabel: str,
    panels: Mapping[str, tuple[str, Measure]],
    *,
    log: bool = False,
    ticks: Sequence[float] = (),
) -> Figure:
    """What came out against a quantity: a panel for each measure, a line for each series.

    series: label -> [(value of the quantity, record)].  panels: title -> (axis label, measure).
    """
    from handgrad.report.figures import new_figure

    figure = new_figure(3.7 * len(panels) if len(panels) > 2 else 9, 4.2)
    figure.suptitle(title)
    all_axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, (heading, (ylabel, measure)) in zip(all_axes, panels.items(), strict=True):
        for number, (label, points) in enumerate(series.items()):
            values = [x for x, _ in points]
            results = [measure(record) for _, record in points]
            axes.plot(values, results, marker="o", ms=4, label=label, **look(number))
        axes.set(title=heading, xlabel=xlabel, ylabel=ylabel)
        if log:
            axes.set_xscale("log")
        low, high = axes.dataLim.intervaly
        if ylabel != ACCURACY_LABEL and high > 100 * low > 0:
            axes.set_yscale("log")
        if ticks:
            axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        axes.grid(alpha=0.25)
    share_height(*(a for a, (ylabel, _) in zip(all_axes, panels.values(), strict=True)
                   if ylabel == ACCURACY_LABEL))  # fmt: skip
    legend_below(figure, all_axes[0])
    return figure


def share_height(*panels: Axes) -> None:
    """Give accuracies one scale, so that heights can be compared between the panels."""
    limits = [axes.dataLim.intervaly for axes in panels]
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    margin = max(0.06 * (high - low), 1)
    for axes in panels:
        axes.set_ylim(max(-1, low - margin), min(103, high + margin))
        axes.grid(alpha=0.25)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Name the lines of `axes` below all panels, where the legend covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    length = sum(len(label) + 8 for label in labels)
    rows = ceil(length / (13 * figure.get_figwidth()))
    columns = ceil(len(labels) / max(rows, 1))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=9, frameon=False
    )


def _keep_in_view(axes: Axes, lines: Sequence[np.ndarray]) -> None:
    """Start the losses at 0; what rises beyond twice the common start is cut off."""
    starts = [line[0] for line in lines if len(line)]
    tops = [line.max() for line in lines if len(line)]
    if tops:
        axes.set_ylim(0, 1.05 * min(max(tops), 2 * float(np.median(starts))))
    axes.grid(alpha=0.25)
