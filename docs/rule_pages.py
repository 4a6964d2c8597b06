"""A page for each update rule, made from its function: the step, why, a path, source, example, mistakes.

`page` is called by api_pages.py.  The formulas and the texts stand in rule_notes.toml; the mistakes are
those of the checker's catalogue.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import layer_pages
import matplotlib.pyplot as plt
import mistakes as planted
import numpy as np
from docstrings import heading
from matplotlib.figure import Figure

from handgrad import optim

HERE = Path(__file__).parent
NOTES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "rule_notes.toml").read_text("utf-8"))
STEPS = 40
TESTS = (
    ("six steps with the formula above, number by number, in every engine", "1e-13", "formulas"),
    ("1,000 steps with PyTorch's optimizer, two kinds of gradients", "1e-12", "against_torch"),
    ("float32 in, float32 out; what came in stays as it was; wrong settings are named", "exact", "rules"),
    ("L2 and decoupled decay, by the formula and beside PyTorch", "1e-12", "decays"),
)  # fmt: skip


def page(name: str, entry: Callable[[str, str, Any], str], images: Path) -> str:
    """Return the page of the update rule `name`; its picture is put into `images`."""
    note, rule = NOTES[name], optim.RULES[name]
    parts = [heading(name, "="), (inspect.getdoc(rule) or "").partition("\n\n")[0]]
    formulas = "\n\n".join(f".. math:: {one}" for one in note["step"].split(r" \qquad "))
    parts += [f"**A step**\n\n{formulas}", _picture(name, images)]
    parts += [heading("Why", "-"), note["why"].strip()]
    parts += [heading("Function", "-"), entry("handgrad.optim", name, rule)]
    parts += [heading("Settings and state", "-"), _settings(name)]
    parts += [
        heading("Example", "-"),
        layer_pages.example(note["example"], "handgrad.optim", [name]),
    ]
    parts += [heading("Source", "-"), _source(rule)]
    found = [*layer_pages.mistakes("optim", [name], ("forward",)), *planted.of(name)]
    if found:
        parts += [heading("Common mistakes", "-"), layer_pages.table(found)]
    parts += [heading("Tests", "-"), _tests(name)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _settings(name: str) -> str:
    """Name each setting with its default, and what the rule keeps in config from step to step."""
    rule: Any = optim.RULES[name]
    found = optim.settings_of(name)
    rows = [".. list-table::", "   :header-rows: 1", "   :widths: 40 60", ""]
    rows += ["   * - key of ``config``", "     - default"]
    rows += [f"   * - ``{key}``\n     - ``{value:g}``" for key, value in found.items()]
    rows += [f"   * - ``{key}``\n     - off" for key in optim.DECAYS if key not in found]
    rows += [f"   * - ``{key}`` (state)\n     - {_start(name, key)}" for key in rule.state]
    says = "``l2`` adds :math:`\\lambda w` to the gradient."
    return "\n".join(rows) + f"\n\n{says} ``weight_decay`` shrinks the weights beside the step."


def _start(name: str, key: str) -> str:
    return "0" if key == "t" else "zeros in the shape of w"


def _source(rule: Any) -> str:
    """Show the function without its docstring, and what it hands its work to."""
    module = inspect.getmodule(rule)
    path = Path(inspect.getfile(rule))
    text = _bare(rule)
    helpers = [name for name in ("_adam", "_step") if f"{name}(" in text]
    shown = "\n\n".join([text, *(_bare(getattr(module, name)) for name in helpers)])
    if "nesterov(" in shown:
        shown += "\n\n" + _bare(inspect.getmodule(optim.keys_of).nesterov)  # type: ignore[union-attr]
    if "averaged(" in shown:
        shown += "\n\n" + _bare(inspect.getmodule(optim.keys_of).averaged)  # type: ignore[union-attr]
    said = f"``{path.relative_to(path.parents[2]).as_posix()}``"
    return f"{said}\n\n.. code-block:: python\n\n{layer_pages.indented(shown)}"


def _bare(function: Any) -> str:
    source = inspect.getsource(function)
    head, mark, rest = source.partition('    """')
    return (head + rest.partition('"""\n')[2].lstrip("\n") if mark else source).rstrip()


def _tests(name: str) -> str:
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 60 20 20", ""]
    lines += ["   * - what is compared", "     - bound", "     - file of ``tests/optim``"]
    for what, bound, file in TESTS:
        if name != "muon" or file in ("rules", "decays"):
            lines += [f"   * - {what}", f"     - {bound}", f"     - ``test_{file}.py``"]
    if name == "muon":
        what = "the step with the formula; singular values with the polynomial"
        lines += [f"   * - {what}", "     - 1e-13", "     - ``test_muon.py``"]
    return "\n".join(lines)


def _picture(name: str, images: Path) -> str:
    """Draw the path on a valley beside the path of sgd; of muon, what it does to singular values."""
    figure = _values() if name == "muon" else _path(name)
    images.mkdir(parents=True, exist_ok=True)
    figure.savefig(images / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    said = figure.get_suptitle()
    return f".. image:: images/{name}.svg\n   :alt: {said}\n   :class: chart"


def walk(name: str, rate: float) -> np.ndarray:
    """Return the places of a rule on f(a, b) = 0.05 a^2 + b^2, from (-9, 2.5), the start among them."""
    rule, config, w = optim.get_rule(name), {"learning_rate": rate}, np.array([-9.0, 2.5])
    places = [w.copy()]
    for _ in range(STEPS):
        w, config = rule(w, np.array([0.1, 2.0]) * w, config)
        places.append(w.copy())
    return np.array(places)


def _path(name: str) -> Figure:
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8, 3), layout="constrained", width_ratios=(3, 2)
    )
    a, b = np.meshgrid(np.linspace(-10, 4, 141), np.linspace(-3.5, 3.5, 71))
    left.contour(a, b, 0.05 * a**2 + b**2, levels=12, cmap="Greys_r", linewidths=0.6)
    shown: Iterable[str] = dict.fromkeys(("sgd", name))
    for one in shown:
        places = walk(one, NOTES[one]["rate"])
        look = (
            {"color": "tab:blue", "ms": 3}
            if one == name
            else {"color": "grey", "ms": 2, "alpha": 0.6}
        )
        label = f"{one}, rate {NOTES[one]['rate']:g}"
        left.plot(*places.T, "o-", lw=1, **look, label=label)
        right.plot(
            0.05 * places[:, 0] ** 2 + places[:, 1] ** 2, lw=1.5, color=look["color"], label=label
        )
    left.plot(0, 0, "*", ms=12, color="tab:orange")
    left.set(xlabel="a", ylabel="b", title="the path")
    right.set(xlabel="step", ylabel="height (logarithmic)", yscale="log", title="the height")
    right.legend(fontsize=8)
    right.grid(alpha=0.3)
    figure.suptitle(f"{name} in a long valley, {STEPS} steps; the star is the lowest point")
    return figure


def _values() -> Figure:
    """Singular values of a momentum, and of the step that muon makes of it."""
    m = np.random.default_rng(0).standard_normal((24, 24)) @ np.diag(0.75 ** np.arange(24))
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for label, matrix in (
        ("momentum, divided by its norm", m / np.linalg.norm(m)),
        ("step", optim.orthogonal(m)),
    ):
        axes.plot(
            range(1, 25), np.linalg.svd(matrix, compute_uv=False), "o-", ms=3, lw=1, label=label
        )
    axes.set(xlabel="singular value, from the largest", ylabel="size (logarithmic)", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.suptitle("muon: the singular values of a momentum, and of the step")
    return figure
