"""What a convolution can do: two filters written by hand turn a photograph grey and find its edges."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.data import read_image
from handgrad.experiments.study import Record, Results, Setting, Study, Trial
from handgrad.layers import conv_forward

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 200
GREY = (0.3, 0.6, 0.1)  # of red, green and blue
EDGES = (
    (1.0, 2.0, 1.0),
    (0.0, 0.0, 0.0),
    (-1.0, -2.0, -1.0),
)  # of the blue channel: horizontal ones


def photograph() -> Path:
    """Return the picture that matplotlib ships: Rear Admiral Grace Hopper, US Navy, public domain."""
    from matplotlib.cbook import get_sample_data

    return Path(get_sample_data("grace_hopper.jpg", asfileobj=False))


def filters() -> tuple[np.ndarray, np.ndarray]:
    """Return w (2, 3, 3, 3) and b (2,): the grey filter, and the edge filter, whose zero is 128."""
    w = np.zeros((2, 3, 3, 3))
    w[0, :, 1, 1] = GREY
    w[1, 2] = EDGES
    return w, np.array([0.0, 128.0])


def _trials(setting: Setting) -> list[Trial]:
    path = (setting.image or photograph()).resolve()
    size = setting.few(SIZE, 40)
    read_image(path, (3, size, size))  # a file that is no picture is refused before anything runs
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return [Trial(path.name, {"image": str(path), "sha256": digest, "size": size})]


def _run(spec: Mapping[str, Any]) -> Record:
    """Filter the picture; return the picture and both results, rounded to whole numbers."""
    image = read_image(spec["image"], (3, spec["size"], spec["size"]))
    w, b = filters()
    out, _ = conv_forward(image[None].astype(np.float64), w, b, {"stride": 1, "pad": 1})
    grey, edges = np.rint(out[0]).astype(int)
    return {"image": image.tolist(), "grey": grey.tolist(), "edges": edges.tolist()}


def _draw(results: Results) -> Figure:
    from handgrad.report.figures import new_figure

    figure = new_figure(10, 3.9)
    (name,) = results
    figure.suptitle(f"Two filters of one convolution on {name}")
    (record,) = results[name]
    image = np.asarray(record["image"], np.uint8).transpose(1, 2, 0)
    edges = np.asarray(record["edges"])
    reach = np.abs(edges - 128).max()
    photo, grey, edge = figure.subplots(1, 3)
    photo.imshow(image, interpolation="nearest")
    photo.set_title("The picture", fontsize=10)
    grey.imshow(record["grey"], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    grey.set_title("Filter 1: 0.3 red + 0.6 green + 0.1 blue", fontsize=10)
    shown = edge.imshow(
        edges, cmap="gray", vmin=128 - reach, vmax=128 + reach, interpolation="nearest"
    )
    edge.set_title("Filter 2: horizontal edges of the blue channel", fontsize=10)
    figure.colorbar(shown, ax=edge, label="output (128 where there is no edge)", shrink=0.8)
    for axes in (photo, grey, edge):
        axes.set(xticks=[], yticks=[])
    return figure


def _sentences(results: Results) -> tuple[str, str]:
    (name,) = results
    (record,) = results[name]
    red, green, blue = np.asarray(record["image"], float)
    grey, edges = np.asarray(record["grey"], float), np.abs(np.asarray(record["edges"]) - 128.0)
    formula = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    worst = np.abs(grey - formula).max()
    first = (
        f"The first filter looks at single pixels: its output {'is' if worst < 0.51 else 'is not'} the "
        f"weighted mean of the three colours, to within {worst:.1f} grey levels of 255."
    )
    strongest = np.sort(edges.ravel())[::-1]
    tenth = strongest[: max(1, len(strongest) // 10)].sum() / max(strongest.sum(), 1e-12)
    second = (
        f"The second answers where brightness changes downwards: a tenth of the pixels make "
        f"{100 * tenth:.0f} % of its response"
        + (
            ", the edges; elsewhere it stays near 128."
            if tenth > 0.3
            else ", so there are no clear edges."
        )
    )
    return first, second


STUDY = Study(
    name="image-filters",
    title="Image processing by convolution",
    source="CS231n assignment 2, ConvolutionalNetworks",
    trials=_trials,
    run=_run,
    draw=_draw,
    sentences=_sentences,
    columns={
        "mean grey": lambda group: f"{np.mean(group['records'][0]['grey']):.1f}",
        "strongest edge": lambda group: (
            f"{np.abs(np.subtract(group['records'][0]['edges'], 128)).max():d}"
        ),
    },
    seeds=1,
)
