"""The study page: what was searched, what mattered, how the search went, and the best configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.files import atomic_write
from handgrad.report.page import document, picture, table
from handgrad.tuning.methods import PRUNERS, SAMPLERS
from handgrad.tuning.settings import Settings
from handgrad.tuning.storage import hidden, quiet_optuna, silent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE = """
td, th { padding-right: 1.2rem; } .wide { overflow-x: auto; } .wide img { min-width: 40rem; }
tr.best td { font-weight: bold; } tr.failed td, tr.pruned td { color: var(--faint); }
"""
_MOST_LINES = 300  # trials in the figure of parallel coordinates
_BELOW = -0.12  # where a trial stands that lacks a setting


def write_page(study: Any, settings: Settings) -> Path:
    """Write ``study.html`` and its figures, and ``best.toml``, into the folder of the search."""
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    trials = [t for t in study.get_trials(False) if t.state.name != "WAITING"]
    done = [t for t in trials if t.state.name == "COMPLETE"]
    best = best_of(done, settings.direction)
    parts = [f"<h1>{escape(settings.name)}: a search</h1>", _numbers(trials, best, settings)]
    if best is not None:
        text = best_config(best, settings)
        atomic_write(folder / "best.toml", text.encode())
        figures = {
            "history": ("How the search went", history_figure(trials, settings)),
            "importance": ("What mattered", importance_figure(study, done, settings)),
            "coordinates": ("The trials, side by side", coordinates_figure(done, settings)),
        }
        for name, (heading, figure) in figures.items():
            parts += _section(folder, name, heading, figure)
        parts += [
            "<h2>The best configuration</h2>",
            _how_to_train(folder),
            f"<pre>{escape(text)}</pre>",
        ]
    parts += ["<h2>All trials</h2>", _table_of(trials, best, settings)]
    parts += ["<h2>Provenance</h2>", table(_provenance(settings))]
    path = folder / "study.html"
    atomic_write(
        path, document(f"{settings.name}: a search", parts, _STYLE).encode(errors="replace")
    )
    return path


def best_of(done: Sequence[Any], direction: str) -> Any:
    """Return the best of the trials that were trained to their end, the first of several; None of none."""
    sign = 1 if direction == "maximize" else -1
    return max(done, key=lambda t: (sign * t.value, -t.number), default=None)


def best_config(best: Any, settings: Settings) -> str:
    """Return the configuration of the best trial as TOML."""
    chosen = settings.made_space().ask(Finished(best), settings.config)
    made = settings.run_config().with_overrides({**chosen, "name": f"{settings.name}-best"})
    return made.to_toml()


class Finished:
    """Suggests what a finished trial has."""

    def __init__(self, trial: Any) -> None:
        """`trial`: of Optuna."""
        self._params = trial.params

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the trial's own."""
        return self._params[name]

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> Any:
        """Return the trial's own."""
        return self._params[name]

    suggest_int = suggest_float


def history_figure(trials: Sequence[Any], settings: Settings) -> Figure:
    """The value of each trial in its order, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    from handgrad.report.figures import BLUE, GREY, ORANGE, new_figure

    figure = new_figure(10, 3.8)
    axes = figure.subplots()
    for state, colour, mark in (("COMPLETE", BLUE, "o"), ("PRUNED", GREY, "x")):
        own = [t for t in trials if t.state.name == state and t.value is not None]
        label = "trained to the end" if state == "COMPLETE" else "stopped early: its last value"
        if own:
            axes.scatter(
                [t.number for t in own], [t.value for t in own], c=colour, marker=mark, s=26,
                label=label,
            )  # fmt: skip
    done = [t for t in trials if t.state.name == "COMPLETE"]
    better = np.maximum if settings.direction == "maximize" else np.minimum
    axes.step(
        [t.number for t in done],
        better.accumulate([t.value for t in done]),
        where="post",
        color=ORANGE,
        label="best so far",
    )
    axes.set(xlabel="trial", ylabel=_value_label(settings))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    # above the axes, where it hides no trial
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9)
    return figure


def importance_figure(study: Any, done: Sequence[Any], settings: Settings) -> Figure | None:
    """How much each setting explains of the values (PED-ANOVA); None where that cannot be told."""
    from handgrad.report.figures import BLUE, new_figure

    names = [one.name for one in settings.made_space().ranges]
    shared = [name for name in names if all(name in t.params for t in done)]
    varied = [name for name in shared if len({t.params[name] for t in done}) > 1]
    if len(done) < 4 or len(varied) < 2:
        return None
    try:
        with silent():
            found = quiet_optuna().importance.get_param_importances(study, params=varied)
    except (ValueError, RuntimeError, ImportError):  # too few trials, or all of one value
        return None
    if not np.isfinite(list(found.values())).all():
        return None
    figure = new_figure(10, 0.8 + 0.38 * len(found))
    axes = figure.subplots()
    labels = list(found)[::-1]
    bars = axes.barh(labels, [found[name] for name in labels], color=BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
    axes.set(
        xlabel="share of what is explained (PED-ANOVA)", xlim=(0, 1.08 * max(found.values()) or 1)
    )
    axes.grid(alpha=0.25, axis="x")
    return figure


def coordinates_figure(done: Sequence[Any], settings: Settings) -> Figure:
    """Parallel coordinates: a line a trial, an axis a setting, the value last; the best ones on top."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from handgrad.report.figures import new_figure

    sign = 1 if settings.direction == "maximize" else -1
    shown = sorted(done, key=lambda t: sign * t.value)[-_MOST_LINES:]
    ranges = settings.made_space().ranges
    figure = new_figure(max(10, 1.7 * (len(ranges) + 1)), 4.6)
    axes = figure.subplots()
    places = [_Scale.of(one, shown) for one in ranges]
    values = [t.value for t in shown]
    places.append(_Scale(_value_label(settings), min(values), max(values)))
    low, high = np.quantile(values, (0.1, 0.9) if sign > 0 else (0.0, 0.9))
    high = max(values) if sign > 0 else high
    colours = ScalarMappable(Normalize(low, high + 1e-12), "viridis" if sign > 0 else "viridis_r")
    for t in shown:
        line = [
            scale.height(t.params.get(one.name))
            for one, scale in zip(ranges, places[:-1], strict=True)
        ]
        line.append(places[-1].height(t.value))
        axes.plot(range(len(line)), line, color=colours.to_rgba(t.value), lw=1.3, alpha=0.75)
    for x, scale in enumerate(places):
        scale.draw(axes, x)
    axes.set_xticks(range(len(places)), [_wrapped(scale.label) for scale in places], fontsize=8)
    axes.set_xlim(-0.25, len(places) - 0.6)
    axes.set_ylim(-0.16, 1.06)
    axes.set_yticks([])
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    return figure


class _Scale:
    """One of the parallel axes: from a value to a height in [0, 1]."""

    def __init__(
        self, label: str, low: float, high: float, log: bool = False, names: Any = None
    ) -> None:
        self.label, self._low, self._high, self._log, self._names = label, low, high, log, names
        self._lacks = False

    @classmethod
    def of(cls, one: Any, trials: Sequence[Any]) -> _Scale:
        if one.kind == "choice":
            names = [_text(value) for value in one.ends()]
            return cls(one.name, 0, max(len(names) - 1, 1), names=names)
        return cls(one.name, one.options["low"], one.options["high"], one.is_log)

    def height(self, value: Any) -> float:
        """Return the height of `value`, below the axis where a trial does not have it."""
        if value is None:
            self._lacks = True
            return _BELOW
        if self._names is not None:
            return self._names.index(_text(value)) / self._high
        low, high, x = self._low, self._high, value
        if self._log:
            low, high, x = np.log(low), np.log(high), np.log(x)
        return float((x - low) / (high - low)) if high > low else 0.5

    def draw(self, axes: Axes, x: int) -> None:
        axes.plot([x, x], [0, 1], color="#444444", lw=1, zorder=0)
        if self._names is not None:
            marks = [(i / self._high, name) for i, name in enumerate(self._names)]
        else:
            marks = [(0.0, f"{self._low:.4g}"), (1.0, f"{self._high:.4g}")]
        if self._lacks:
            marks.append((_BELOW, "not set"))
        for y, text in marks:
            axes.annotate(_short(text), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8,
                          bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6})  # fmt: skip


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _short(text: str) -> str:
    return (text if len(text) <= 18 else text[:17] + "…").replace("$", r"\$")


def _wrapped(name: str) -> str:
    return name.replace("$", r"\$").replace(".", ".\n").replace(" when ", "\nwhen ")


def _value_label(settings: Settings) -> str:
    return f"validation {settings.metric.replace('_', ' ')}"


def _section(folder: Path, name: str, heading: str, figure: Any) -> list[str]:
    from handgrad.report.figures import png

    if figure is None:
        text = "It takes four trials that were trained to their end, and two settings, to tell."
        return [f"<h2>{heading}</h2>", f"<p>{text}</p>"]
    data = png(figure)
    (folder / "figures").mkdir(exist_ok=True)
    atomic_write(folder / "figures" / f"{name}.png", data)
    return [
        f"<h2>{heading}</h2>",
        f'<div class="wide"><img alt="{heading}" src="{picture(data)}"></div>',
    ]


def _numbers(trials: Sequence[Any], best: Any, settings: Settings) -> str:
    count = {state: sum(t.state.name == state for t in trials)
             for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")}  # fmt: skip
    rows = []
    if best is not None:
        rows.append((f"{best.value:.4g}", f"best {_value_label(settings)} (trial {best.number})"))
    for state, what in (("COMPLETE", "trained to the end"), ("PRUNED", "stopped early"),
                        ("FAIL", "failed"), ("RUNNING", "under way")):  # fmt: skip
        if count[state]:
            rows.append((str(count[state]), f"trials {what}"))
    items = "".join(f"<li><b>{escape(value)}</b>{escape(what)}</li>" for value, what in rows)
    return f'<ul class="numbers">{items}</ul>'


def _how_to_train(folder: Path) -> str:
    command = f"handgrad train --config {folder / 'best.toml'}"
    return f"<p>Train it with <code>{escape(command)}</code>.</p>"


def _table_of(trials: Sequence[Any], best: Any, settings: Settings) -> str:
    names = [one.name for one in settings.made_space().ranges]
    heads = "".join(
        f"<th>{escape(h)}</th>"
        for h in ("trial", "state", settings.metric, "epochs", *names, "reason")
    )
    rows = []
    words = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "under way"}
    for t in trials:
        state = words.get(t.state.name, t.state.name.lower())
        value = "" if t.value is None else f"{t.value:.4f}"
        epochs = max(t.intermediate_values, default=0)
        params = [
            f"{p:.4g}" if isinstance(p := t.params.get(n, ""), float) else _text(p) for n in names
        ]
        cells = (str(t.number), state, value, str(epochs), *params, t.user_attrs.get("reason", ""))
        kind = "best" if best is not None and t.number == best.number else state
        rows.append(
            f'<tr class="{kind}">{"".join(f"<td>{escape(str(c))}</td>" for c in cells)}</tr>'
        )
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(rows)}</table></div>'


def _provenance(settings: Settings) -> Mapping[str, str]:
    from importlib.metadata import version

    def named(name: str, names: Mapping[str, str], options: Mapping[str, Any]) -> str:
        own = ", ".join(f"{key} = {value}" for key, value in options.items())
        return f"{name} (optuna's {names.get(name, name)})" + (f", {own}" if own else "")

    return {
        "sampler": named(settings.sampler, SAMPLERS, settings.sampler_options),
        "pruner": named(settings.pruner, PRUNERS, settings.pruner_options),
        "seed": str(settings.seed),
        "storage": hidden(settings.url),
        "handgrad": version("handgrad"),
        "optuna": version("optuna"),
    }
