"""A random search over learning rate and regularisation, then a finer one around its best.

Every trial of the searches has one seed.  The best of a search is the luckiest of many too, so both are
trained again, as long as each other and from other seeds, before they are compared.

Optuna draws the points (extra ``tune``), as `handgrad tune` does for searches of one's own.
"""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

import numpy as np

from handgrad.experiments.seeds import sample
from handgrad.experiments.study import Record, Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, UNRANKED, best_val, compared, percent
from handgrad.optional import library

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COARSE, FINE = "coarse", "fine"
LR, REG = (-6.0, 0.0), (-5.0, 1.0)  # powers of ten
AGAIN = {COARSE: "best of coarse", FINE: "best of fine"}
AROUND = 0.5  # powers of ten each way, of the fine search around the best of the coarse one


def _drawn(
    seed: int, number: int, lr: tuple[float, float], reg: tuple[float, float]
) -> list[tuple[float, float]]:
    """Return `number` learning rates and regularisations, as Optuna's random sampler draws them."""
    optuna = library("optuna", "the study coarse-to-fine", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    ranges = {
        name: optuna.distributions.FloatDistribution(10**low, 10**high, log=True)
        for name, (low, high) in {"lr": lr, "reg": reg}.items()
    }
    asked = [study.ask(ranges).params for _ in range(number)]
    return [(float(f"{p['lr']:.3g}"), float(f"{p['reg']:.3g}")) for p in asked]


def _search(
    setting: Setting, stage: str, number: int, lr: tuple[float, float], reg: tuple[float, float]
) -> list[Trial]:
    drawn = np.random.SeedSequence([setting.seed, stage == FINE]).generate_state(1)[0]
    trials = []
    for i, (rate, strength) in enumerate(_drawn(int(drawn), number, lr, reg), start=1):
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
        trials.append(Trial(f"{stage} {i}", spec))
    return trials


def _trials(setting: Setting) -> list[Trial]:
    return _search(setting, COARSE, setting.few(30, 4), LR, REG)


def _more(setting: Setting, results: Results) -> list[Trial]:
    if not _stage(results, FINE):
        lr, reg = (
            (log10(value) - AROUND, log10(value) + AROUND)
            for value in settings_of(results, _best(results, COARSE))
        )
        return _search(setting, FINE, setting.few(20, 3), lr, reg)
    if setting.seeds == 1 or AGAIN[FINE] in results:
        return []
    solver = results.spec(_best(results, FINE))["solver"]
    trials = []
    for stage, name in AGAIN.items():
        spec: Record = dict(results.spec(_best(results, stage)))
        spec["solver"] = {**spec["solver"], "num_epochs": solver["num_epochs"]}
        for number in range(1, 1 + setting.seeds):
            seed = setting.numbered(number)
            trials.append(Trial(name, {**spec, "seed": seed}, seed))
    return trials


def _stage(results: Results, stage: str) -> dict[str, float]:
    """Return the trials of a search: name -> best validation accuracy."""
    return {name: best_val(results[name][0]) for name in results if name.startswith(stage)}


def _best(results: Results, stage: str) -> str:
    accuracy = _stage(results, stage)
    return max(accuracy, key=accuracy.__getitem__)


def settings_of(results: Results, name: str) -> tuple[float, float]:
    """Return the learning rate and the regularisation of a trial."""
    spec = results.spec(name)
    return spec["solver"]["optim_config"]["learning_rate"], spec["model"]["reg"]


def _draw(results: Results) -> Figure:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    from handgrad.report.figures import new_figure

    figure = new_figure(10, 4.6)
    figure.suptitle("Random search over learning rate and regularisation: coarse, then fine")
    accuracy = {**_stage(results, COARSE), **_stage(results, FINE)}
    low, high = min(accuracy.values()), max(accuracy.values())
    for axes, stage in zip(figure.subplots(1, 2), (COARSE, FINE), strict=True):
        names = list(_stage(results, stage))
        points = [settings_of(results, name) for name in names]
        dots = axes.scatter(
            [rate for rate, _ in points],
            [reg for _, reg in points],
            c=[100 * accuracy[name] for name in names],
            vmin=100 * low,
            vmax=100 * high,
            cmap="viridis",
            s=60,
            edgecolors="black",
            linewidths=0.5,
        )
        rate, reg = settings_of(results, _best(results, stage))
        axes.scatter([rate], [reg], s=220, facecolors="none", edgecolors="red", linewidths=1.5)
        title = f"{stage.capitalize()}: {len(names)} trials"
        if AGAIN[stage] in results:
            again = sample(results[AGAIN[stage]], best_val)
            title += f"\nits choice from {len(again.values)} other seeds: {percent(again)}"
        axes.set(title=title, xlabel="learning rate", ylabel="strength of the regularisation",
                 xscale="log", yscale="log")  # fmt: skip
        if stage == FINE:
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
                axis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.25)
        axes.margins(0.08)
    figure.colorbar(
        dots, ax=figure.axes, label="validation accuracy (%) of one seed; choices are ringed"
    )
    return figure


def _sentences(results: Results) -> tuple[str, str]:
    def found(stage: str) -> tuple[int, str, str]:
        accuracy = _stage(results, stage)
        rate, reg = settings_of(results, _best(results, stage))
        reach = f"{100 * min(accuracy.values()):.1f} to {100 * max(accuracy.values()):.1f} %"
        return (
            len(accuracy),
            reach,
            f"a learning rate of {rate:.2g} and a regularisation of {reg:.2g}",
        )

    number, reach, choice = found(COARSE)
    others, later, refined = found(FINE)
    first = (
        f"The {number} trials of the coarse search, one seed each, reach {reach}, and it chooses {choice}; "
        f"the {others} of the fine one around that reach {later}, and it chooses {refined}."
    )
    if AGAIN[FINE] not in results:
        return first, UNRANKED
    coarse, fine = (sample(results[AGAIN[stage]], best_val) for stage in (COARSE, FINE))
    epochs = results.spec(AGAIN[FINE])["solver"]["num_epochs"]
    second = (
        f"Trained again for {epochs} {'epoch' if epochs == 1 else 'epochs'} from {len(fine.values)} other "
        f"seeds, the choice of the fine search reaches {compared(fine, coarse)} the choice of the coarse "
        f"one ({percent(fine)} against {percent(coarse)})."
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
        "learning rate": lambda group: (
            f"{group['spec']['solver']['optim_config']['learning_rate']:.3g}"
        ),
        "regularisation": lambda group: f"{group['spec']['model']['reg']:.3g}",
        **TRAINING_COLUMNS,
    },
    needs="optuna",
)
