"""A page for each layer, made from its file: formulas, derivation, source, example, picture, mistakes.

`pages` is called by api_pages.py.  The formulas in LaTeX and the examples stand in layer_notes.toml; the
pictures are drawn by layer_pictures.py; the mistakes are those of the checker's catalogue.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import layer_pictures
import matplotlib.pyplot as plt
import mistakes as planted
from docstrings import as_rst, heading

from handgrad import layers, nn
from handgrad.checker import hypotheses

HERE = Path(__file__).parent
ROOT = HERE.parent
LONG = 100  # characters of LaTeX; longer formulas are put on several lines
SHAPE = re.compile(r"\(\d?[A-Z][\w, .*/'+-]*\)|the shape of \w+")  # in a docstring
FAMILIES = {  # of the checker's hypotheses
    "max_pool": "pool",
    "softmax_loss": "loss",
    "svm_loss": "loss",
    "spatial_batchnorm": "batchnorm",
    "spatial_groupnorm": "groupnorm",
}
NOTES: dict[str, dict[str, str]] = tomllib.loads((HERE / "layer_notes.toml").read_text("utf-8"))


def files() -> dict[str, list[str]]:
    """Return the public names of each file of layers."""
    found: dict[str, list[str]] = {}
    for name in layers.__all__:
        module = inspect.unwrap(getattr(layers, name)).__module__
        found.setdefault(module.rpartition(".")[2], []).append(name)
    return dict(sorted(found.items()))


def page(file: str, names: list[str], entry: Callable[[str, str, Any], str], images: Path) -> str:
    """Return the page of the layer in `file`; its picture is put into `images`."""
    module = importlib.import_module(f"handgrad.layers.{file}")
    note = NOTES.get(file, {})
    doc = inspect.getdoc(module) or ""
    first, _, rest = doc.partition("\n\n")
    parts = [heading(file, "="), as_rst(first)]
    for title, key in (("Forward", "forward"), ("Backward", "backward")):
        if key in note:
            formulas = note[key].split(r" \qquad ") if len(note[key]) > LONG else [note[key]]
            parts.append("\n\n".join([f"**{title}**", *(f".. math:: {one}" for one in formulas)]))
    if note:
        parts.append(_shapes(file, names))
    if "picture" in note:
        parts.append(_picture(file, note["picture"], images))
    if rest:
        parts += [heading("Derivation", "-"), as_rst(rest)]
    parts += [heading("Functions", "-")]
    parts += [entry("handgrad.layers", name, getattr(layers, name)) for name in names]
    if "example" in note:
        parts += [heading("Example", "-"), example(note["example"], "handgrad.layers", names)]
    parts += [heading("Source", "-"), _source(module)]
    family = FAMILIES.get(file, file if file in hypotheses.FAMILIES else "")
    found = [*mistakes(family, names), *planted.of(file)]
    if found:
        parts += [heading("Common mistakes", "-"), table(found)]
    used = _used(names)
    if used:
        parts += [heading("Used by", "-"), used]
    parts += [heading("Tests", "-"), _tests(file, names)]
    return "\n\n".join(part for part in parts if part) + "\n"


def indented(text: str) -> str:
    """Indent the lines of a directive's content."""
    return "\n".join(f"   {line}".rstrip() for line in text.splitlines())


def _shapes(file: str, names: list[str]) -> str:
    """Draw what goes in and comes out, with the shapes of the docstring."""
    function = getattr(layers, names[0])
    for name in names:
        if name.endswith(("_forward", "_loss")):
            function = getattr(layers, name)
    doc = inspect.getdoc(function) or ""
    args = re.search(r"\nArgs:\n(.*?)(\n\n|\Z)", doc, re.S)
    returns = re.search(r"\nReturns:\n(.*?)(\n\n|\Z)", doc, re.S)
    if not args or not returns:
        return ""
    inputs = []
    for line in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8,}.*)*)", args.group(1), re.M):
        shape = SHAPE.search(line[1])
        if shape and "_param" not in line[0]:
            inputs += [(name.strip(), shape.group()) for name in line[0].split(",")]
    out = SHAPE.search(returns.group(1))
    outputs = (
        [("loss", "a number"), ("dx", "the shape of x")]
        if file.endswith("loss")
        else [("out", out.group() if out else "")]
    )
    return ".. raw:: html\n\n" + indented(_drawing(function.__name__, inputs, outputs))


def _drawing(name: str, inputs: list[tuple[str, str]], outputs: list[tuple[str, str]]) -> str:
    rows = max(len(inputs), len(outputs), 1)
    height = 34 * rows + 12
    middle = height / 2

    def boxes(found: list[tuple[str, str]], x: int) -> Iterable[str]:
        for k, (title, shape) in enumerate(found):
            y = middle + 34 * (k - (len(found) - 1) / 2)
            yield (
                f'<rect x="{x}" y="{y - 14}" width="190" height="28" rx="5" fill="none" '
                'stroke="currentColor" opacity=".5"/>'
                f'<text x="{x + 95}" y="{y + 5}" text-anchor="middle" fill="currentColor">'
                f"<tspan font-weight='bold'>{escape(title)}</tspan> {escape(shape)}</text>"
            )
            ends = (x + 190, y, 250, middle) if x < 200 else (450, middle, x, y)
            yield '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="currentColor" opacity=".5"/>'.format(
                *ends
            )

    said = ", ".join(f"{title} {shape}" for title, shape in inputs)
    given = ", ".join(f"{title} {shape}" for title, shape in outputs)
    return (
        f'<svg viewBox="0 0 700 {height}" role="img" style="max-width: 44em; font: 14px sans-serif" '
        f'aria-label="{escape(name)} takes {escape(said)} and returns {escape(given)}">'
        f"{''.join(boxes(inputs, 5))}"
        f'<rect x="250" y="{middle - 18}" width="200" height="36" rx="8" fill="#2a78c2"/>'
        f'<text x="350" y="{middle + 5}" text-anchor="middle" fill="white">{escape(name)}</text>'
        f"{''.join(boxes(outputs, 505))}</svg>"
    )


def _picture(file: str, kind: str, images: Path) -> str:
    """Draw a layer.  The dark turns charts; of pictures, which it must leave as they are, there are two."""
    images.mkdir(parents=True, exist_ok=True)
    looks = {"": "chart"}
    if kind in layer_pictures.PHOTOS:
        looks = {"": "photo only-light", "-dark": "photo only-dark"}
    made = []
    for end, look in looks.items():
        with plt.rc_context(layer_pictures.DARK if end else {}):
            figure = getattr(layer_pictures, kind)(file)
            path = images / f"{file}{end}.svg"
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)
        said = (figure.get_suptitle() or figure.axes[0].get_title()).splitlines()[0]
        made.append(f".. image:: images/{path.name}\n   :alt: {said}\n   :class: {look}")
    return "\n\n".join(made)


def example(code: str, home: str, names: list[str]) -> str:
    """Show an example of names of the module `home`, and what it prints; it is run here."""
    used = [name for name in names if re.search(rf"\b{name}\b", code)]
    head = f"import numpy as np\nfrom {home} import {', '.join(used)}\n\n"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(head + code.strip(), {})
    shown = f".. code-block:: python\n\n{indented(head + code.strip())}"
    return f"{shown}\n\n.. code-block:: text\n   :class: printed\n\n{indented(printed.getvalue().rstrip())}"


def _source(module: ModuleType) -> str:
    """Show the arithmetic of a layer; where it is another layer's, the functions that call that."""
    text = Path(inspect.getfile(module)).read_text("utf-8")
    start = re.search(r"^(class \w*Saved|# The arithmetic|@vectorized)", text, re.M)
    start = start or re.search(r"^def ", text, re.M)
    path = Path(inspect.getfile(module))
    said = f"``{path.relative_to(path.parents[2]).as_posix()}``, where the checks stand, too."
    if not start:
        return said
    return f"{said}\n\n.. code-block:: python\n\n{indented(text[start.start() :].rstrip())}"


def mistakes(
    family: str, names: list[str], sides: Iterable[str] = ("forward", "backward")
) -> Iterable[tuple[str, str, str]]:
    """Yield the right piece of code, the wrong one, and what the checker says."""
    says: dict[str, str] = {}
    for side in sides:
        for hypothesis in hypotheses.of(family, side):
            says.setdefault(hypothesis.name, hypothesis.says)
    rows: list[tuple[str, str, str]] = []
    for group in _catalogue():
        if rows:
            break
        for bug in group:
            plain = bug.function.removesuffix("_naive")
            name = next((name for name in bug.names if name in says), None)
            told = says[name].format_map(_Any()) if name else bug.words and f"*{bug.words}*"
            if plain in names and told and "\n" not in bug.old + bug.new:
                change = f"``{bug.old.strip()}`` → ``{bug.new.strip() or '(left out)'}``"
                rows.append((plain, change, told))
    return rows


class _Any(dict[str, str]):
    """Words for what the checker would fill in: the name of a gradient."""

    def __missing__(self, key: str) -> str:
        return "the gradient" if key == "key" else key


def table(rows: list[tuple[str, str, str]]) -> str:
    """Show mistakes: where, the right piece of code with the wrong one, and the symptom."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 40 40", ""]
    for row in [
        ("in", "right → wrong", "what `handgrad check` says, or *what shows*"),
        *dict.fromkeys(rows),
    ]:
        for k, cell in enumerate(row):
            lines.append(
                f"   {'* -' if k == 0 else '  -'} {cell.replace('|', chr(92) + '|') if k != 1 else cell}"
            )
    return "\n".join(lines)


def _used(names: list[str]) -> str:
    """Link the layer objects whose docstrings name one of these functions, and the tutorials that do."""
    said = []
    objects = [name for name in nn.__all__ if isinstance(getattr(nn, name), type)]
    linked = [
        f":py:class:`handgrad.nn.{name}`"
        for name in objects
        if any(f"`{function}`" in (inspect.getdoc(getattr(nn, name)) or "") for function in names)
    ]
    if linked:
        said.append(f"As a layer object: {', '.join(linked)}.")
    pages = [
        f":doc:`/tutorials/{path.stem}`"
        for path in sorted((HERE / "tutorials").glob("*.md"))
        if any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for name in names)
    ]
    if pages:
        said.append(f"In the tutorials: {', '.join(pages)}.")
    return "\n\n".join(said)


def _from_tests(name: str) -> ModuleType:
    """Import a module of the tests, which are no package."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "checker")]
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[:2]


@functools.cache
def _catalogue() -> list[list[Any]]:
    """The planted bugs of the checker's tests, by group; the groups behind the first are of other styles."""
    catalogue = _from_tests("catalogue")
    groups = ("assignments_bugs", "windows_bugs", "loops_bugs")
    fresh = [_from_tests(f"checker.students.{name}").ROWS for name in groups]
    made = [
        [
            catalogue.Bug(f, old, new, tuple(names.split("|")), words=words)
            for f, old, new, names, words in rows
        ]
        for rows in fresh
    ]
    return [catalogue.CATALOGUE, *made]


BOUNDS = (
    ("what is compared", "bound"),
    ("backward with the complex step of forward: the whole Jacobian, in float64", "1e-12"),
    ("every engine with the plain loops, in float64", "1e-12"),
    ("any strides, byte orders and alignments with contiguous arrays", "100 eps"),
    ("the arguments after a call with those before it", "the same bits"),
    (
        "batches without a row, hostile shapes and numbers",
        "an answer, or an error that names the argument",
    ),
)


def _tests(file: str, names: list[str]) -> str:
    """Say in how many configurations the functions are tried, and within which bounds."""
    cases_of = _from_tests("contract.cases").cases_of
    calls = [n.removesuffix("_forward") for n in names if n.endswith(("_forward", "_loss"))]
    counts = [f"{count} of ``{name}``" for name in calls if (count := len(cases_of(name)))]
    parts = []
    if counts:
        table = [".. list-table::", "   :header-rows: 1", "   :widths: 60 40", ""]
        table += [f"   * - {what}\n     - {bound}" for what, bound in BOUNDS]
        said = f"``tests/contract`` tries these configurations: {', '.join(counts)}."
        parts += [said, "\n".join(table)]
    own = ROOT / "tests" / "layers" / f"test_{file}.py"
    if own.exists():
        tests = len(re.findall(r"^def test_", own.read_text("utf-8"), re.M))
        parts.append(f"``tests/layers/{own.name}`` holds {tests} tests of this file alone.")
    return "\n\n".join(parts)
