"""The figures of a report, each a matplotlib Figure made from plain records."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from handgrad.report.grid import visualize_grid
from handgrad.report.letters import missing_letters, say_missing, take_from_other_fonts

Record = Mapping[str, Any]

BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#E69F00", "#009E73", "#777777", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "#8C6D31", "#000000")
STYLES = ("-", "--", ":")
_CLASSES = 40  # of which each has its name and numbers in a confusion matrix


class Drawing(Figure):
    """A figure that notebooks show by themselves, where pyplot has not set that up."""

    def _repr_png_(self) -> bytes:
        return png(self, self.dpi)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches that belongs to no window."""
    figure = Drawing(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def smooth(values: Sequence[float] | np.ndarray, weight: int) -> np.ndarray:
    """Return the mean of each value and its `weight` - 1 predecessors (fewer at the start)."""
    sums = np.cumsum(np.concatenate([[0.0], np.asarray(values, float)]))
    ends = np.arange(1, len(sums))
    starts = np.maximum(ends - weight, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def training_figure(history: Sequence[Record]) -> Figure:
    """Loss of every step, and training and validation accuracy of every epoch."""
    steps = [record for record in history if record["kind"] == "step"]
    epochs = [record for record in history if record["kind"] == "epoch"]
    figure = new_figure(10, 3.8)
    loss_axes, accuracy_axes = figure.subplots(1, 2)

    iterations = np.array([record["iteration"] for record in steps])
    losses = np.array([record["loss"] for record in steps], float)
    window = max(1, len(losses) // 50)
    thin = slice(None, None, max(1, len(losses) // 2000))
    faint = {"alpha": 0.3, "lw": 0.8} if window > 1 else {"lw": 1.8}
    loss_axes.plot(iterations[thin], losses[thin], color=BLUE, label="each step", **faint)
    if window > 1:
        means = smooth(losses, window)[thin]
        label = f"mean of {window} steps"
        loss_axes.plot(iterations[thin], means, color=BLUE, lw=1.8, label=label)
    loss_axes.set(title="Training loss", xlabel="iteration", ylabel="loss (nats an image)")
    loss_axes.set_ylim(bottom=0)

    has_losses = [record for record in epochs if record.get("val_loss") is not None]
    if has_losses:
        at, values = zip(*((r["iteration"], r["val_loss"]) for r in has_losses), strict=True)
        loss_axes.plot(at, values, "o-", ms=3.5, color=ORANGE, label="validation")
    loss_axes.set_title("Loss")
    _draw_metric(accuracy_axes, epochs)
    _finish(loss_axes, "upper right")
    _finish(accuracy_axes, "lower right")
    return figure


def _draw_metric(axes: Any, epochs: Sequence[Record]) -> None:
    """Draw the accuracies of the epochs, or the metric that stands in their place."""
    key = "acc" if epochs and "val_acc" in epochs[-1] else "metric"
    for part, name, colour in (("train", "training", ORANGE), ("val", "validation", BLUE)):
        found = [r for r in epochs if r.get(f"{part}_{key}") is not None]
        scale = 100 if key == "acc" else 1
        values = [scale * r[f"{part}_{key}"] for r in found]
        axes.plot([r["epoch"] for r in found], values, "o-", ms=3.5, color=colour, label=name)
    if key == "acc":
        axes.set(title="Accuracy", xlabel="epoch", ylabel="accuracy (%)")
        axes.set_ylim(0, 102)
    else:
        name = epochs[-1].get("metric", "metric") if epochs else "metric"
        axes.set(title=name.replace("_", " "), xlabel="epoch", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def filters_figure(weights: np.ndarray, image_shape: tuple[int, int, int]) -> Figure | None:
    """First-layer weights as a grid of images, or None where they are no images.

    weights: (F, C, HH, WW) of a convolution, or (D, M) of an affine layer on images of D numbers.
    """
    if weights.ndim == 2 and weights.shape[0] == np.prod(image_shape):
        weights = weights.T.reshape(-1, *image_shape)
    if weights.ndim != 4 or weights.shape[1] > 4:
        return None
    count = min(len(weights), 100)
    images = weights[:count].transpose(0, 2, 3, 1)
    if images.shape[3] not in (1, 3):
        images = images.mean(axis=3, keepdims=True)
    zoom = max(1, 24 // images.shape[1])  # so that the lines between the images are thin
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    grid = visualize_grid(images, ubound=1.0, padding=2)
    grid = np.broadcast_to(grid, (*grid.shape[:2], 3)).copy()
    is_image = visualize_grid(np.zeros_like(images), ubound=1.0, padding=2, constant=1.0) > 0
    grid[~is_image[..., 0]] = to_rgb(
        BLUE
    )  # lines between images, whose edges may be black or white
    figure = new_figure(5, 5.3)
    axes = figure.subplots()
    axes.imshow(grid, interpolation="nearest")
    axes.set_title(
        f"First-layer weights: {count} of {len(weights)} filters, each stretched to full range",
        fontsize=9,
    )
    axes.axis("off")
    return figure


def confusion_figure(confusion: np.ndarray, class_names: Sequence[str]) -> Figure:
    """The confusion matrix: rows are the true classes, colours the share of the row.

    Of more than 40 classes only some are named, and there are no numbers.
    """
    confusion, class_names = np.asarray(confusion), [_plain(name) for name in class_names]
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count = len(class_names)
    size = 2.4 + 0.26 * min(count, _CLASSES)  # its numbers can be read at half a page's width
    figure = new_figure(size + 0.8, size)
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    ticks = range(0, count, -(-count // _CLASSES))
    if count <= _CLASSES:
        for (row, column), number in np.ndenumerate(confusion):
            if number:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(number), ha="center", va="center", color=colour, fontsize=9
                )
    axes.set_xticks(ticks, [class_names[k] for k in ticks], rotation=45, ha="right")
    axes.set_yticks(ticks, [class_names[k] for k in ticks])
    axes.set(title="Confusion matrix (number of images)", xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, label="share of the true class (%)", shrink=0.8)
    return figure


def predictions_figure(
    examples: Sequence[Record], class_names: Sequence[str], title: str
) -> Figure:
    """Images with their most probable classes; the true class is green, the others grey."""
    class_names, short = ([_plain(name, most) for name in class_names] for most in (30, 14))
    columns, cell, line, top = 4, 2.75, 1.75, 0.4  # all in inches
    rows = -(-len(examples) // columns)
    figure = new_figure(columns * cell, line * rows + top)
    figure.set_layout_engine("none")
    # One pair of axes for all: each pair takes longer to draw than what stands in it.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_autoscale_on(False)
    axes.axis("off")
    axes.set(xlim=(0, columns * cell), ylim=(line * rows + top, 0))
    axes.text(columns * cell / 2, top / 2, title, ha="center", va="center", fontsize=12)
    side, width, step = 1.3, 1.3, 0.36  # of a picture, of the bars (125 %) and from one to the next
    for number, example in enumerate(examples):
        row, column = divmod(number, columns)
        left, upper = column * cell + 0.03, row * line + top + 0.28
        picture = _decode(example["png"])
        high, wide = side * np.array(picture.shape[:2]) / max(picture.shape[:2])
        centre, middle = left + side / 2, upper + side / 2
        place = (centre - wide / 2, centre + wide / 2, middle + high / 2, middle - high / 2)
        axes.imshow(picture, cmap="gray", interpolation="nearest", extent=place, aspect="auto")
        heading = f"{class_names[example['true']]} (no. {example['index']})"
        axes.text(left, upper - 0.06, heading, va="bottom", fontsize=8)
        probabilities = np.asarray(example["probabilities"])
        best = np.argsort(-probabilities, kind="stable")[:3]
        bars = left + side + 0.06
        for k, at in zip(best, upper + 0.24 + step * np.arange(len(best)), strict=True):
            share = probabilities[k] * width / 1.25
            colour = GREEN if k == example["true"] else GREY
            bar = Rectangle((bars, at - 0.135), share, 0.27, color=colour, alpha=0.5, lw=0)
            axes.add_patch(bar)
            text = f"{short[k]}  {100 * probabilities[k]:.1f} %"
            axes.text(bars + 0.03, at, text, va="center", fontsize=8)
    return figure


def classes_figure(rows: Sequence[tuple[str, np.ndarray]], title: str) -> Figure:
    """A row of images for each class; rows: (class name, images (n, H, W, C) in [0, 1])."""
    columns = max(len(images) for _, images in rows)
    figure = new_figure(1.5 + 0.62 * columns, 0.4 + 0.62 * len(rows))
    figure.suptitle(title)
    cells = figure.subplots(len(rows), columns, squeeze=False)
    for axes in cells.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for row, (name, images) in zip(cells, rows, strict=True):
        row[0].set_ylabel(_plain(name), rotation=0, ha="right", va="center")
        for axes, image in zip(row, images, strict=False):
            axes.imshow(np.clip(image.squeeze(), 0, 1), cmap="gray", vmin=0, vmax=1)
    return figure


def layers_figure(history: Sequence[Record]) -> Figure | None:
    """Spread and zeros of the activations, and size of the gradients, per layer and epoch."""
    records = [record for record in history if record["kind"] == "layers"]
    if not records:
        return None
    epochs = [record["epoch"] for record in records]
    figure = new_figure(11, 4.2)
    std_axes, zero_axes, gradient_axes = figure.subplots(1, 3)
    panels = (
        (std_axes, "layers", "std", 1, "Activations: spread", "standard deviation", "log"),
        (zero_axes, "layers", "zeros", 100, "Activations: zeros", "share of zeros (%)", "linear"),
        (gradient_axes, "gradients", "norm", 1, "Weight gradients", "Euclidean norm", "log"),
    )
    for axes, group, key, unit, title, label, scale in panels:
        names = list(records[-1].get(group, {}))
        if group == "gradients":
            names = [name for name in names if name in _weights(history, names)]
        for number, name in enumerate(names):
            values = [
                unit * record.get(group, {}).get(name, {}).get(key, np.nan) for record in records
            ]
            style = STYLES[number // len(COLOURS) % len(STYLES)]
            axes.plot(epochs, values, style, marker="o", ms=3, label=_plain(name),
                      color=COLOURS[number % len(COLOURS)])  # fmt: skip
        axes.set(title=title, xlabel="epoch", ylabel=label, yscale=scale)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=8, frameon=False
            )
    return figure


def _weights(history: Sequence[Record], names: Sequence[str]) -> Sequence[str]:
    """Return the parameters that the network calls weights; all of them in runs that do not say it."""
    start = next((record for record in history if record["kind"] == "start"), {})
    return start.get("weights") or names


def png(figure: Figure, dpi: float = 110, boxes: set[str] | None = None) -> bytes:
    """Return `figure` as the bytes of a PNG file, with letters that its font lacks from other fonts.

    Those that no font has are boxes: they are put into the set `boxes`, or else warned of.
    """
    data, lacked = _drawn(figure, dpi)
    if lacked and take_from_other_fonts(figure, lacked):
        data, lacked = _drawn(figure, dpi)
    if boxes is None:
        say_missing(lacked)
    else:
        boxes |= lacked
    return data


def pngs(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Return `png` of each figure, and clear it; letters that no font has are warned of once."""
    pictures, boxes = {}, set[str]()
    for name, figure in figures.items():
        pictures[name] = png(figure, boxes=boxes)
        figure.clear()  # a picture needs a few megabytes; there are up to ten
    say_missing(boxes)
    return pictures


def _drawn(figure: Figure, dpi: float) -> tuple[bytes, set[str]]:
    """Return the bytes of a PNG file, and the letters that are boxes in it."""
    buffer = io.BytesIO()
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        canvas.print_png(buffer, metadata={"Software": None})  # savefig would draw it twice
    return buffer.getvalue(), missing_letters(said)


def _plain(name: str, most: int = 30) -> str:
    """Return `name` so that it fits a figure, and matplotlib finds no mathematics between dollars."""
    short = name if len(name) <= most else name[: most - 1] + "…"
    return short.replace("$", r"\$")


def _finish(axes: Any, place: str) -> None:
    axes.grid(alpha=0.25)
    axes.legend(loc=place, fontsize=9, framealpha=0.9)


def _decode(text: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def range_figure(found: Any) -> Any:
    """Return a figure of the losses over the rates, with the suggestion, of a `RangeTest`."""
    made = new_figure(7, 4.2)
    axes = made.subplots()
    axes.plot(found.rates, found.losses, color=BLUE, lw=0.8, alpha=0.35, label="each step")
    axes.plot(found.rates, found.smoothed, color=BLUE, lw=1.8, label="smoothed")
    label = f"suggestion {found.suggestion:.2g}"
    axes.axvline(found.suggestion, color=ORANGE, lw=1.5, ls="--", label=label)
    top = max(float(found.smoothed[0]), float(np.median(found.losses))) * 1.6
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="Learning-rate range test")
    axes.set_ylim(min(0.0, float(found.losses.min())), top)
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=9)
    return made
