"""What a cell printed: every ``label: number``, and the statement that printed it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handgrad.courses.notebook.read import parse

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)"
_SCALAR = re.compile(
    rf"^\(?'?\s*(?P<label>.*?\S)\s*(?P<sign>[:=]|\s)\s*(?P<number>{_NUMBER})\)?$", re.I
)
_TIMED = re.compile(rf"^(?P<label>[^:]*\S)\s*:\s*(?P<number>{_NUMBER})\s*(?:s|seconds|x)$", re.I)
_ALONE = re.compile(rf"^\(?(?P<number>{_NUMBER})\)?$", re.I)
_ARRAY = re.compile(r"^\s*(?P<label>[^:\[\]]+?)\s*[:=]\s*\[(?P<numbers>[^\[\]]*)\]?\s*$")
_STEP = re.compile(rf"\(?iteration\s+(\d+)\s*/\s*\d+\)?:?\s*loss:?\s*(?P<number>{_NUMBER})", re.I)
_EPOCH = re.compile(
    rf"\(epoch\s+\d+\s*/\s*\d+\)\s*train acc:\s*(?P<train>{_NUMBER});\s*val_acc:\s*(?P<val>{_NUMBER})",
    re.I,
)
ERROR = re.compile(r"error|difference|\bdiff\b", re.I)
_TIME = re.compile(r"speedup|naive|fast|took|seconds|(?<!-)\btime\b", re.I)
_WILD = r".*?"


@dataclass(frozen=True)
class Quantity:
    """One printed figure.

    Attributes:
        label: what stands before it, as in "dx error".
        values: one number, or those of a printed row.
        kind: "error", "loss", "accuracy", "log" (a training log), "time" or "other".
        line: which line of the cell's source printed it; None if a library did.
        said: a sentence about bounds that was printed before it.
    """

    label: str
    values: tuple[float, ...]
    kind: str
    line: int | None = None
    said: str = ""


def printed_text(outputs: Sequence[Any]) -> str:
    """Return what a cell printed to its standard output, and the value of its last expression."""
    parts = []
    for output in outputs:
        if output.output_type == "stream" and output.get("name") == "stdout":
            parts.append(output.text)
        elif output.output_type == "execute_result" and "text/plain" in output.data:
            parts.append(output.data["text/plain"] + "\n")
    return "".join(part if isinstance(part, str) else "".join(part) for part in parts)


def quantities(source: str, text: str) -> list[Quantity]:
    """Return the figures in `text`, which the cell `source` printed, in their order."""
    found: list[Quantity] = []
    steps: list[float] = []
    epochs: list[tuple[float, float]] = []
    templates = _templates(source)
    position, said, before = -1, "", ""
    for line in _joined(text):
        stripped = line.strip()
        if not stripped:
            said = before = ""
            continue
        if match := _STEP.search(stripped):
            steps.append(float(match["number"]))
            continue
        if match := _EPOCH.search(stripped):
            epochs.append((float(match["train"]), float(match["val"])))
            continue
        position, source_line = _where(templates, stripped, position)
        if match := _ARRAY.match(stripped):
            values = _floats(match["numbers"])
            if values:
                found.append(Quantity(match["label"].strip(), values, "other", source_line))
        elif (match := _ALONE.match(stripped)) and before.endswith(":"):
            label = before.rstrip(": ")
            found.append(_scalar(label, match["number"], source_line, said))
        elif (match := _TIMED.match(stripped)) and _TIME.search(match["label"]):
            values = (float(match["number"]),)
            found.append(Quantity(match["label"], values, "time", source_line))
        elif (match := _SCALAR.match(stripped)) and re.search(r"[A-Za-z]", match["label"]):
            if _is_quantity(match):
                label = match["label"].rstrip(":= ',")
                found.append(_scalar(label, match["number"], source_line, said))
        elif ERROR.search(stripped) and re.search(r"\d", stripped):
            said = stripped  # "difference should be less than 1e-9:"
        before = stripped
    if steps:
        found.append(Quantity(f"training losses ({len(steps)})", tuple(steps), "log"))
    if epochs:
        for name, column in (("train", 0), ("val", 1)):
            values = tuple(epoch[column] for epoch in epochs)
            found.append(Quantity(f"{name} accuracies ({len(epochs)})", values, "log"))
        for name, column in (("training", 0), ("validation", 1)):  # the Solver keeps the best
            best = max(epoch[column] for epoch in epochs)
            found.append(Quantity(f"best {name} accuracy", (best,), "accuracy"))
    return found


def numbered(found: Sequence[Quantity]) -> list[tuple[tuple[str, int], Quantity]]:
    """Return each quantity with its label and how often that label came before."""
    seen: Counter[str] = Counter()
    pairs = []
    for quantity in found:
        pairs.append(((quantity.label, seen[quantity.label]), quantity))
        seen[quantity.label] += 1
    return pairs


def _is_quantity(match: re.Match[str]) -> bool:
    """Return whether "label number" is a figure: it has a colon, or its label names one."""
    if match["label"].lower().startswith("running"):  # "Running check with reg = 3.14"
        return False
    named = ERROR.search(match["label"]) or re.search(r"loss|accuracy", match["label"], re.I)
    return ":" in (match["label"] + match["sign"])[-2:] or "=" in match["sign"] or bool(named)


def _scalar(label: str, number: str, line: int | None, said: str) -> Quantity:
    kind = "other"
    if ERROR.search(label):
        kind = "error"
    elif _TIME.search(label):
        kind = "time"
    elif re.search(r"loss", label, re.I):
        kind = "loss"
    elif re.search(r"accuracy|\bacc\b", label, re.I):
        kind = "accuracy"
    return Quantity(label, (float(number),), kind, line, said)


def _joined(text: str) -> list[str]:
    """Return the lines of `text`, those of an array that runs over several joined into one."""
    lines: list[str] = []
    depth = 0
    for line in text.splitlines():
        if depth > 0 and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
        depth = max(0, depth + line.count("[") - line.count("]"))
        if depth and len(lines[-1]) > 20_000:
            depth = 0
    return lines


def _floats(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        return ()


def _templates(source: str) -> list[tuple[int, re.Pattern[str], int]]:
    """Return (line, pattern of what it prints, letters that are fixed) of every print in `source`."""
    tree = parse(source)
    if tree is None:
        return []
    found = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ):
            pattern = r"\s*".join(_pattern(argument) for argument in node.args)
            fixed = len(re.sub(r"\\.|\.\*\?|\W", "", pattern))
            if fixed:
                found.append((node.lineno, re.compile(rf"^\s*{pattern}\s*$"), fixed))
    return sorted(found, key=lambda item: item[0])


def _pattern(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value.strip())
    if isinstance(node, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else _WILD
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        text, gap = node.left, r"%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]"
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
    ):
        text, gap = node.func.value, r"\{[^{}]*\}"
    else:
        return _WILD
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return _WILD.join(re.escape(part) for part in re.split(gap, text.value.strip()))
    return _WILD


def _where(
    templates: Sequence[tuple[int, re.Pattern[str], int]], line: str, position: int
) -> tuple[int, int | None]:
    """Return (which template printed `line`, its line in the source), going on from `position`."""
    fits = [i for i, (_, pattern, _) in enumerate(templates) if pattern.match(line)]
    if not fits:
        return position, None
    best = max(templates[i][2] for i in fits)
    fits = [i for i in fits if templates[i][2] == best]
    later = [i for i in fits if i > position]
    chosen = later[0] if later else fits[0]
    return chosen, templates[chosen][0]
