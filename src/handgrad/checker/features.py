"""Judging assignment 1's features of images: histograms of gradients and of hues, and their collection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker import diagnosis
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    UNTESTED,
    WRONG,
    Call,
    Config,
    Verdict,
    error_of,
    scales_of,
)
from handgrad.checker.repair import Rerun
from handgrad.checker.standins import lacking
from handgrad.checker.undisturbed import fresh, quiet, run, source_file, source_lines
from handgrad.checker.written import RESULT, unwritten
from handgrad.courses.shims import features as right

NAMES = ("extract_features", "hog_feature", "color_histogram_hsv")
KEY = "features"
GREYS = {  # weights of red, green and blue
    "the course's": (0.299, 0.587, 0.144),
    "the standard's, of which the course's file has 0.144 for 0.114": (0.299, 0.587, 0.114),
}


def judge(name: str, function: Callable[..., Any]) -> list[Verdict] | None:
    """Return the verdict on one of the three functions; None for another name."""
    if name not in NAMES or not callable(function):
        return None
    start = time.perf_counter()
    lines, first = source_lines(function)
    place: dict[str, Any] = {"file": source_file(function), "line": first if lines else None}
    if reason := unwritten(function, RESULT):
        return [Verdict(name, NOT_WRITTEN, reason=reason, **place)]

    def results(other: Callable[..., Any], call: Call) -> dict[str, Any]:
        return {KEY: run(other, *fresh((*call.arrays.values(), *call.options)))}

    cautions: list[str] = []
    with quiet():
        calls = []
        for config in _configs(name):
            call = Call(config)
            call.got = results(function, call)
            calls.append(call)
        missing = next(
            (one for call in calls for one in map(lacking, call.got.values()) if one), ""
        )
        if missing:
            return [Verdict(name, UNTESTED, reason=missing, **place)]
        for form in GREYS if name == "hog_feature" else [""]:
            for call in calls:
                call.expected = {KEY: _expected(name, call.config, GREYS.get(form))}
                call.scale = scales_of(call.expected)
            if not any(call.wrong(KEY) for call in calls):
                cautions = [f"rgb2gray has {form}"] if form.startswith("the standard") else []
                break
        else:
            for call in calls:
                call.expected = {KEY: _expected(name, call.config, None)}
                call.scale = scales_of(call.expected)
        layer = KnownLayer("", list, family="features")
        causes = diagnosis.explain(
            calls, [], layer, "forward", (lines, first), Rerun(function, results)
        )
    if causes and all(
        cause.name == "relic" for cause in causes
    ):  # the course's own file, of its time
        return [Verdict(name, UNTESTED, reason=causes[0].says, **place)]
    return [
        Verdict(
            name,
            WRONG if causes else RIGHT,
            {KEY: max(error_of(call, KEY) for call in calls)},
            causes,
            cautions=cautions,
            configurations=len(calls),
            seconds=time.perf_counter() - start,
            calls=calls,
            **place,
        )
    ]


def _configs(name: str) -> list[Config]:
    """Square images of the sizes of CIFAR-10 and others, whose sides are multiples of a cell.

    The course's own file transposes the cells, which only square images do not notice.
    """
    rng = np.random.default_rng(41)
    if name == "extract_features":
        images = rng.uniform(0, 255, (3, 8, 8, 3))
        return [
            Config("two features of three images", {"imgs": images}, ([_corner, _means],)),
            Config("one feature of one image", {"imgs": images[:1]}, ([_means],)),
        ]
    found = []
    for size in (32, 16, 24) if name == "hog_feature" else (32, 9, 6):
        image = np.floor(rng.uniform(0, 256, (size, size, 3)))
        found.append(Config(f"an image of {size} x {size}", {"im": image}))
    smooth = np.add.outer(np.arange(16.0) ** 2, 7.0 * np.arange(16.0))[..., None] % 256
    found.append(Config("a smooth image", {"im": smooth * np.array([1.0, 0.6, 0.3])}))
    if name == "color_histogram_hsv":
        image = np.floor(rng.uniform(0, 256, (8, 8, 3)))
        found.append(Config("4 bins", {"im": image}, (4,), traits=frozenset({"nbin is not 10"})))
    return found


def _corner(image: Any) -> Any:
    return np.array([image[0, 0, 0], image[1, 2, 1]])


def _means(image: Any) -> Any:
    return image.mean(axis=(0, 1))


def _expected(name: str, config: Config, grey: tuple[float, ...] | None) -> Any:
    if name == "extract_features":
        return right.extract_features(config.arrays["imgs"], *config.options)
    image = config.arrays["im"]
    if name == "hog_feature":
        return right.hog_feature(image if grey is None else image @ np.array(grey))
    return right.color_histogram_hsv(image, *config.options)
