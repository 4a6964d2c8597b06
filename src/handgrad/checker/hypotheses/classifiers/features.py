"""Mistakes of the features of images: what is counted, in which bin, and how it is normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call
from handgrad.courses.shims.features import (
    CELL,
    DIRECTIONS,
    color_histogram_hsv,
    hue_saturation_value,
    rgb2gray,
)

KEY = "features"


def _hog(
    size: Callable[[Any, Any], Any] = np.hypot,
    angle: Callable[[Any, Any], Any] = lambda dx, dy: np.degrees(np.arctan2(dy, dx + 1e-15)) + 90,
    width: float = 180 / DIRECTIONS,
    turned: bool = True,
    cell: Callable[[Any], Any] = lambda cells: cells.mean(axis=(1, 3)),
    count: Callable[[Any], Any] = lambda sizes: sizes,
) -> Callable[[Call], dict[str, Any]]:
    """Predict a histogram of gradients with one of its steps done wrong."""

    def predict(call: Call) -> dict[str, Any]:
        if "im" not in call.arrays or np.size(call.expected[KEY]) % DIRECTIONS:
            return {}
        image = rgb2gray(call.arrays["im"])
        dx, dy = np.zeros(image.shape), np.zeros(image.shape)
        dx[:, :-1], dy[:-1] = np.diff(image, axis=1), np.diff(image, axis=0)
        directions, sizes = angle(dx, dy), count(size(dx, dy))
        side = len(image) // CELL
        found = np.zeros((side, side, DIRECTIONS))
        for i in range(DIRECTIONS):
            here = (directions > 0) & (directions >= width * i) & (directions < width * (i + 1))
            means = cell(np.where(here, sizes, 0).reshape(side, CELL, side, CELL))
            found[:, :, i] = means.T if turned else means
        return {KEY: found.ravel()}

    return predict


def _hues(
    channel: int = 0, change: Callable[[Any, Call], Any] = lambda histogram, call: histogram
) -> Callable[[Call], dict[str, Any]]:
    """Predict a histogram of colours: of another channel, or changed afterwards."""

    def predict(call: Call) -> dict[str, Any]:
        bins = call.options[0] if call.options else 10
        if "im" not in call.arrays or np.shape(call.expected[KEY]) != (bins,):
            return {}
        image = call.arrays["im"]
        right = color_histogram_hsv(image, bins)
        if channel:
            values = hue_saturation_value(image / 255)[..., channel] * 255
            right = np.histogram(values, np.linspace(0, 255, bins + 1))[0] / np.size(values)
        return {KEY: change(right, call)}

    return predict


def _pixels(call: Call) -> int:
    return int(np.prod(np.shape(call.arrays["im"])[:2]))


FORWARD = [
    Hypothesis("root_missing", "the size of a gradient lacks its square root: sqrt(gx^2 + gy^2)",
               _hog(size=lambda dx, dy: dx**2 + dy**2), r"\*\*|mag"),
    Hypothesis("size_of_one_axis", "the size of a gradient is gx alone: sqrt(gx^2 + gy^2)",
               _hog(size=lambda dx, dy: np.abs(dx)), r"mag|sqrt"),
    Hypothesis("size_of_one_axis", "the size of a gradient is gy alone: sqrt(gx^2 + gy^2)",
               _hog(size=lambda dx, dy: np.abs(dy)), r"mag|sqrt"),
    Hypothesis("size_summed", "the size of a gradient is |gx| + |gy|: it must be sqrt(gx^2 + gy^2)",
               _hog(size=lambda dx, dy: np.abs(dx) + np.abs(dy)), r"abs|mag"),
    Hypothesis("axes_swapped", "gx and gy are exchanged in arctan2: it takes (gy, gx)",
               _hog(angle=lambda dx, dy: np.degrees(np.arctan2(dx, dy + 1e-15)) + 90), r"arctan"),
    Hypothesis("quarter_turn", "the angle lacks its + 90 degrees: half of the directions count nowhere",
               _hog(angle=lambda dx, dy: np.degrees(np.arctan2(dy, dx + 1e-15))), r"arctan|90"),
    Hypothesis("radians", "the angle is in radians, the bins are in degrees",
               _hog(angle=lambda dx, dy: np.arctan2(dy, dx + 1e-15) + 90), r"arctan"),
    Hypothesis("bin_width", "a bin is 40 degrees wide, not 20: the angles go from 0 to 180",
               _hog(width=360 / DIRECTIONS), r"360|orientations"),
    Hypothesis("counted", "gradients are counted, not summed by their sizes",
               _hog(count=lambda sizes: (sizes > 0).astype(float)), r"where|mag"),
    Hypothesis("counted", "gradients are counted, those of size 0 too, not summed by their sizes",
               _hog(count=np.ones_like), r"where|mag"),
    Hypothesis("sum_for_mean", "a cell holds the sum of its gradients, not their mean",
               _hog(cell=lambda cells: cells.sum(axis=(1, 3))), r"uniform|sum"),
    Hypothesis("largest_for_mean", "a cell holds its largest gradient, not their mean",
               _hog(cell=lambda cells: cells.max(axis=(1, 3))), r"max"),
    Hypothesis("transposed", "the cells are not transposed, as they are in the course's file",
               _hog(turned=False), r"orientation_histogram\[|\.T"),
    Hypothesis("other_channel", "the histogram is of the saturation (channel 1), not of the hue (channel 0)",
               _hues(channel=1), r"hsv|histogram"),
    Hypothesis("other_channel", "the histogram is of the value (channel 2), not of the hue (channel 0)",
               _hues(channel=2), r"hsv|histogram"),
    Hypothesis("not_normalized", "the histogram holds counts: with normalized=True its sum must be 1",
               _hues(change=lambda histogram, call: histogram * _pixels(call)), r"histogram|density"),
    Hypothesis("density", "the histogram holds densities: multiply them by the width of a bin",
               _hues(change=lambda histogram, call: histogram * len(histogram) / 255), r"diff|histogram"),
    Hypothesis("largest_one", "the histogram is divided by its largest number: its sum must be 1",
               _hues(change=lambda histogram, call: histogram / histogram.max()), r"max"),
    Hypothesis("reversed", "the bins are in the wrong order",
               _hues(change=lambda histogram, call: histogram[::-1]), r"::-1"),
    Hypothesis("cumulative", "the histogram is summed up from bin to bin",
               _hues(change=lambda histogram, call: np.cumsum(histogram)), r"cumsum"),
]  # fmt: skip
BACKWARD: list[Hypothesis] = []
