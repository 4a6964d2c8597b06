"""The courses' "fast layers" cells: the same layers by plain loops, by arrays, and compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad import engines, layers
from handgrad.experiments.study import Record, Results, Setting, Study, Trial
from handgrad.experiments.words import listing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PASSES = ("conv forward", "conv backward", "max pool forward", "max pool backward")
CLOSE = 1e-10  # relative difference from the naive engine's result


def _trials(setting: Setting) -> list[Trial]:
    return [
        Trial(
            f"{what}, {engine}",
            {
                "pass": what,
                "engine": engine,
                "images": setting.few(20, 1),
                "size": setting.few(31, 7),
                "seed": setting.seed,
            },
        )
        for what in PASSES
        for engine in engines.available()
    ]


def _job(spec: Mapping[str, Any]) -> Callable[[str], list[np.ndarray]]:
    """Return a function from an engine's name to the results of the pass, in float64."""
    rng = np.random.default_rng(spec["seed"])
    x = rng.standard_normal((spec["images"], 3, spec["size"], spec["size"]))
    w, b = rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)
    conv = spec["pass"].startswith("conv")
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}

    def forward(engine: str) -> tuple[np.ndarray, Any]:
        if conv:
            return layers.conv_forward(x, w, b, {"stride": 2, "pad": 1}, engine=engine)
        return layers.max_pool_forward(x, pool_param, engine=engine)

    if spec["pass"].endswith("forward"):
        return lambda engine: [forward(engine)[0]]
    out, cache = forward(spec["engine"])
    dout = rng.standard_normal(out.shape)
    caches = {spec["engine"]: cache}

    def backward(engine: str) -> list[np.ndarray]:
        if engine not in caches:
            caches[engine] = forward(engine)[1]
        pair = layers.conv_backward if conv else layers.max_pool_backward
        result = pair(dout, caches[engine])
        return list(result) if isinstance(result, tuple) else [result]

    return backward


def _run(spec: Mapping[str, Any]) -> Record:
    """Compare with the naive engine, then time: the median of several calls, in seconds."""
    job, engine = _job(spec), spec["engine"]
    error = 0.0
    if engine != "naive":
        for ours, naive in zip(job(engine), job("naive"), strict=True):
            error = max(error, float(np.abs(ours - naive).max() / np.abs(naive).max()))
    times: list[float] = []
    while not times or (sum(times) < 0.5 and len(times) < 50):
        start = perf_counter()
        job(engine)
        times.append(perf_counter() - start)
    return {"seconds": median(times), "calls": len(times), "error": error}


def _draw(results: Results) -> Figure:
    from handgrad.report.figures import COLOURS, new_figure

    figure = new_figure(10, 4.4)
    axes = figure.subplots()
    names = _engines(results)
    width = 0.8 / len(names)
    for number, engine in enumerate(names):
        times = [1000 * results[f"{what}, {engine}"][0]["seconds"] for what in PASSES]
        places = np.arange(len(PASSES)) + (number - (len(names) - 1) / 2) * width
        bars = axes.bar(places, times, 0.92 * width, color=COLOURS[number], label=engine)
        axes.bar_label(bars, [f"{t:,.0f}" if t >= 1000 else f"{t:.3g}" for t in times], fontsize=8)
    images, size = (results.spec(f"{PASSES[0]}, naive")[key] for key in ("images", "size"))
    axes.set(title=f"Time of a call on {images} images of 3 x {size} x {size}, float64, one thread",
             ylabel="time (ms), logarithmic", yscale="log")  # fmt: skip
    axes.set_xticks(range(len(PASSES)), PASSES)
    axes.margins(y=0.12)
    axes.grid(axis="y", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=len(names), frameon=False, title="engine")
    return figure


def _round(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"


def _engines(results: Results) -> list[str]:
    return list(dict.fromkeys(name.rpartition(", ")[2] for name in results))


def _sentences(results: Results) -> tuple[str, str]:
    fast = [engine for engine in _engines(results) if engine != "naive"]
    parts = []
    for engine in fast:
        ratios = [
            results[f"{what}, naive"][0]["seconds"] / results[f"{what}, {engine}"][0]["seconds"]
            for what in PASSES
        ]
        pace = "as fast as the plain loops"
        parts.append(
            f"the {engine} engine is {_round(min(ratios))} to {_round(max(ratios))} times {pace}"
        )
    error = max(results[name][0]["error"] for name in results)
    verdict = "the same results" if error < CLOSE else "NOT the same results: something is wrong"
    second = (
        f"All give {verdict}; the largest difference from the plain loops is {error:.1g} of the largest "
        f"number in a result."
    )
    text = listing(parts)
    return f"{text[:1].upper()}{text[1:]}.", second


STUDY = Study(
    name="naive-against-fast",
    title="Plain loops against fast layers",
    source="CS231n assignment 2, ConvolutionalNetworks (fast layers)",
    trials=_trials,
    run=_run,
    draw=_draw,
    sentences=_sentences,
    columns={
        "time": lambda group: f"{1000 * group['records'][0]['seconds']:.3g} ms",
        "calls": lambda group: str(group["records"][0]["calls"]),
        "difference": lambda group: f"{group['records'][0]['error']:.1g}",
    },
    alone=True,
    seeds=1,
)
