"""The forms that the studies' figures share: curves over time, and results against a quantity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.experiments.seeds import sample
from handgrad.experiments.study import Record, Results
from handgrad.experiments.words import best_val, final_loss, final_train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Measure = Callable[[Record], float]
Series = Mapping[str, Sequence[tuple[float, Sequence[Record]]]]

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


def curves(results: Results, title: str) -> Figure:
    """Training loss of every step, training and validation accuracy of every epoch, a line a trial.

    A line is the mean over the seeds, in a band of one standard deviation to each side.
    """
    from matplotlib.ticker import MaxNLocator

    from handgrad.report.figures import new_figure

    figure = new_figure(11, 4.4)
    figure.suptitle(title + band_note(results.seeds))
    loss, train, val = figure.subplots(1, 3)
    for number, name in enumerate(results):
        records, style = results[name], look(number)
        losses = [smoothed(record) for record in records]
        draw_line(loss, range(1, 1 + max(map(len, losses))), losses, name, style)
        for axes, key in ((train, "train_acc"), (val, "val_acc")):
            accuracies = [100 * np.asarray(record[key]) for record in records]
            epochs = range(max(map(len, accuracies)))
            draw_line(axes, epochs, accuracies, name, {**style, "marker": "o", "ms": 3})
    loss.set(title="Training loss (smoothed)", xlabel="iteration", ylabel="loss (nats an image)")
    train.set(title="Training accuracy", xlabel="epoch", ylabel=ACCURACY_LABEL)
    val.set(title="Validation accuracy", xlabel="epoch", ylabel=ACCURACY_LABEL)
    _keep_in_view(loss, [smoothed(record) for name in results for record in results[name]])
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


def band_note(seeds: int) -> str:
    """Return the words behind a title that say what line and band are, "" for one seed."""
    return f"\nmean of {seeds} seeds, in a band of ± one standard deviation" if seeds > 1 else ""


def draw_line(
    axes: Axes,
    places: Sequence[float],
    runs: Sequence[Sequence[float] | np.ndarray],
    label: str,
    style: Mapping[str, Any],
) -> None:
    """Draw the mean of `runs` over `places`, in a light band of their standard deviation.

    A run that ended early, because it diverged, counts as far as it goes.
    """
    values = np.full((len(runs), len(places)), np.nan)
    for row, run in zip(values, runs, strict=True):
        row[: len(run)] = run
    of_each = [sample(column[~np.isnan(column)].tolist(), float) for column in values.T]
    mean = np.array([of.mean if of.values else np.nan for of in of_each])
    spread = np.array([of.spread for of in of_each])
    axes.plot(places, mean, label=label, **{"lw": 1.4, **style})
    if len(runs) > 1:
        axes.fill_between(
            places, mean - spread, mean + spread, color=style["color"], alpha=0.18, lw=0
        )


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

    series: label -> [(value of the quantity, records of its seeds)].  panels: title -> (axis label,
    measure).  A line is the mean over the seeds, in a band of one standard deviation to each side.
    """
    from handgrad.report.figures import new_figure

    figure = new_figure(3.7 * len(panels) if len(panels) > 2 else 9, 4.2)
    seeds = min(len(records) for points in series.values() for _, records in points)
    figure.suptitle(title + band_note(seeds))
    all_axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, (heading, (ylabel, measure)) in zip(all_axes, panels.items(), strict=True):
        for number, (label, points) in enumerate(series.items()):
            values = [x for x, _ in points]
            runs = [[measure(r) for r in of] for of in zip(*(of for _, of in points), strict=True)]
            draw_line(axes, values, runs, label, {**look(number), "marker": "o", "ms": 4})
        axes.set(title=heading, xlabel=xlabel, ylabel=ylabel)
        if log:
            axes.set_xscale("log")
        heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
        low, high = np.nanmin(heights), np.nanmax(heights)
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
