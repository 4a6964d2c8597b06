"""A random search over learning rate and regularisation, then a finer one around its best."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

import numpy as np

from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, best_val, compared, percent, ranked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COARSE, FINE = "coarse", "fine"
LR, REG = (-6.0, 0.0), (-5.0, 1.0)  # powers of ten
AROUND = 0.5  # powers of ten each way, of the fine search around the best of the coarse one


def _search(
    setting: Setting, stage: str, number: int, lr: tuple[float, float], reg: tuple[float, float]
) -> list[Trial]:
    rng = np.random.default_rng([setting.seed, stage == FINE])
    trials = []
    for i in range(number):
        rate, strength = (float(f"{10 ** rng.uniform(*limits):.3g}") for limits in (lr, reg))
        model = {"name": "StudyNet", "conv_params": [], "hidden_dims": [100], "reg": strength}
        spec = training(
            setting.dataset,
            images=setting.few(4000, 100),
            model=model,
            lr=rate,
            epochs=setting.few(3 if stage == COARSE else 6, 1),
            batch=setting.few(100, 50),
            seed=setting.seed,
        )
        trials.append(Trial(f"{stage} {i + 1}", spec))
    return trials


def _trials(setting: Setting) -> list[Trial]:
    return _search(setting, COARSE, setting.few(30, 4), LR, REG)


def _more(setting: Setting, results: Results) -> list[Trial]:
    if any(name.startswith(FINE) for name in results):
        return []
    best = ranked({name: best_val(results[name]) for name in results})[0]
    lr, reg = (
        (log10(value) - AROUND, log10(value) + AROUND) for value in settings_of(results, best)
    )
    return _search(setting, FINE, setting.few(20, 3), lr, reg)


def settings_of(results: Results, name: str) -> tuple[float, float]:
    """Return the learning rate and the regularisation of a trial."""
    spec = results.spec(name)
    return spec["solver"]["optim_config"]["learning_rate"], spec["model"]["reg"]


def _draw(results: Results) -> Figure:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    from handgrad.report.figures import new_figure

    figure = new_figure(10, 4.6)
    figure.suptitle("Random search over learning rate and regularisation: coarse, then fine")
    low = min(best_val(results[name]) for name in results)
    high = max(best_val(results[name]) for name in results)
    best = ranked({name: best_val(results[name]) for name in results})[0]
    for axes, stage in zip(figure.subplots(1, 2), (COARSE, FINE), strict=True):
        names = [name for name in results if name.startswith(stage)]
        points = [settings_of(results, name) for name in names]
        dots = axes.scatter(
            [rate for rate, _ in points],
            [reg for _, reg in points],
            c=[100 * best_val(results[name]) for name in names],
            vmin=100 * low,
            vmax=100 * high,
            cmap="viridis",
            s=60,
            edgecolors="black",
            linewidths=0.5,
        )
        if best in names:
            rate, reg = settings_of(results, best)
            axes.scatter([rate], [reg], s=220, facecolors="none", edgecolors="red", linewidths=1.5)
        axes.set(title=f"{stage.capitalize()}: {len(names)} trials", xlabel="learning rate",
                 ylabel="strength of the regularisation", xscale="log", yscale="log")  # fmt: skip
        if stage == FINE:
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
                axis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.25)
        axes.margins(0.08)
    figure.colorbar(dots, ax=figure.axes, label="best validation accuracy (%); the best is ringed")
    return figure


def _sentences(results: Results) -> tuple[str, str]:
    accuracy = {name: best_val(results[name]) for name in results}
    coarse = ranked({n: value for n, value in accuracy.items() if n.startswith(COARSE)})
    fine = ranked({n: value for n, value in accuracy.items() if n.startswith(FINE)})
    rate, reg = settings_of(results, coarse[0])
    first = (
        f"The coarse search found {percent(accuracy[coarse[0]])} at a learning rate of {rate:.2g} and a "
        f"regularisation of {reg:.2g}; its worst trial has {percent(accuracy[coarse[-1]])}."
    )
    rate, reg = settings_of(results, fine[0])
    second = (
        f"The fine one found {compared(accuracy[fine[0]] - accuracy[coarse[0]])} that: "
        f"{percent(accuracy[fine[0]])} at {rate:.2g} and {reg:.2g}; even its worst trial has "
        f"{percent(accuracy[fine[-1]])}."
        if accuracy[fine[-1]] > accuracy[coarse[-1]]
        else f"The fine one found {compared(accuracy[fine[0]] - accuracy[coarse[0]])} that: "
        f"{percent(accuracy[fine[0]])} at {rate:.2g} and {reg:.2g}."
    )
    return first, second


STUDY = Study(
    name="coarse-to-fine",
    title="Random search, coarse to fine",
    source="CS231n, Neural Networks part 3; assignment 1, two_layer_net",
    trials=_trials,
    more=_more,
    draw=_draw,
    sentences=_sentences,
    columns={
        "learning rate": lambda trial: (
            f"{trial['spec']['solver']['optim_config']['learning_rate']:.3g}"
        ),
        "regularisation": lambda trial: f"{trial['spec']['model']['reg']:.3g}",
        **TRAINING_COLUMNS,
    },
)
