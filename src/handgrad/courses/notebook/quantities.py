"""What a cell printed: every ``label: number``, and the statement that printed it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from handgrad.courses.notebook.read import parse

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)"
_SCALAR = re.compile(
    rf"^\(?'?\s*(?P<label>.*?\S)\s*(?P<sign>[:=：]|\s)\s*(?P<number>{_NUMBER})(?P<percent>\s*[%％])?\)?$",
    re.I,
)
_INNER = (
    re.compile(  # one of several figures on a line: "lr 1e-7 train accuracy: 0.3 val accuracy: 0.4"
        rf"(?P<label>[^\W\d_][\w'()\- ]*?)\s*(?P<sign>[:=：]?)\s*(?P<number>(?<![\w.]){_NUMBER})"
        r"(?P<percent>\s*[%％])?(?=[\s,;|]|$)(?!\s*/)",
        re.I,
    )
)
_TIMED = re.compile(rf"^(?P<label>[^:]*\S)\s*:\s*(?P<number>{_NUMBER})\s*(?:s|seconds|x)$", re.I)
_ALONE = re.compile(rf"^\(?(?P<number>{_NUMBER})\)?$", re.I)
_ARRAY = re.compile(r"^\s*(?P<label>[^:\[\]]+?)\s*[:=]\s*\[(?P<numbers>[^\[\]]*)\]?\s*$")
_STEP = re.compile(rf"\(?iteration\s+(\d+)\s*/\s*\d+\)?:?\s*loss:?\s*(?P<number>{_NUMBER})", re.I)
_EPOCH = re.compile(
    rf"\(epoch\s+\d+\s*/\s*\d+\)\s*train acc:\s*(?P<train>{_NUMBER});\s*val_acc:\s*(?P<val>{_NUMBER})",
    re.I,
)
ERROR = re.compile(  # in the languages of the courses' readers
    r"error|difference|\bdiff\b|误差|誤差|差异|差異|差值|오차|차이|ошибк|погрешност|разни[цч]"
    r"|fehler|abweichung|erreur|écart|errore|erro\b|diferen[cç]|desvio",
    re.I,
)
LOSS = re.compile(r"\bloss|损失|損失|손실", re.I)
ACCURACY = re.compile(r"accuracy|\b(?:train|val|test)?_?acc\b|准确率|準確率|精度|정확도", re.I)
_SETTING = re.compile(  # what a heading names, as in "Running check with reg = 3.14"
    r"(?:^|\b(?:with|for|at|using|of|the)\s|[\s,_(])(?:p|k|h|n|lr|reg|rate|rates|dropout|dropout_keep_ratio|keep_prob|"
    r"weight_scale|strength|sizes?|dims?|epochs?|iters?|iterations?|batch|seed|momentum|decay|steps?|"
    r"depth|layers?|folds?|bins?|samples|images|classes|features|neurons|units|filters|"
    r"学习率|正则化?|学習率)\s*$",
    re.I,
)
_NO_ACCURACY = re.compile(  # "learning rate of the best accuracy", "target accuracy"
    r"^\W*(?:(?:best|final|optimal|the)\s+)*(?:learning[ _]rate|rate|lr|reg\w*|weight|dropout|hidden|"
    r"epoch|iteration|step|num\w*|count|how many|k|seed|time|target|goal|threshold|chance)\b",
    re.I,
)
_TIME = re.compile(r"speedup|naive|fast|took|seconds|(?<!-)\btime\b", re.I)
_PIN = re.compile(r"^[\w.\-\[\]]+\s*[=<>~!]=\s*\d")  # "entrypoints==0.3", as pip lists it
_COUNT = re.compile(r"\b\d+\s*/\s*(?=\d)")
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
        drawn: whether it is of one place of a gradient, drawn by chance (`grad_check_sparse`).
    """

    label: str
    values: tuple[float, ...]
    kind: str
    line: int | None = None
    said: str = ""
    drawn: bool = False


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
        if _PIN.match(stripped):
            continue
        if match := _STEP.search(stripped):
            steps.append(float(match["number"]))
            continue
        if match := _EPOCH.search(stripped):
            epochs.append((float(match["train"]), float(match["val"])))
            continue
        position, printed = _where(templates, stripped, position)
        source_line = printed.line if printed else None
        several = [
            match
            for match in _INNER.finditer(stripped)
            if _is_named(match["label"] if match["sign"] else match["label"].split()[-1])
            and not _SETTING.search(match["label"])
        ]
        if match := _ARRAY.match(stripped):
            values = _floats(match["numbers"])
            if values:
                found.append(Quantity(match["label"].strip(), values, "other", source_line))
        elif (match := _ALONE.match(stripped)) and before.endswith((":", "：")):
            label = before.rstrip(":： ")
            found.append(_scalar(label, match["number"], "", source_line, said))
        elif (match := _TIMED.match(stripped)) and _TIME.search(match["label"]):
            values = (float(match["number"]),)
            found.append(Quantity(match["label"], values, "time", source_line))
        elif several and len(_INNER.findall(stripped)) > 1:
            drawn = stripped.startswith("numerical")
            for match in several:
                figure = _scalar(
                    match["label"], match["number"], match["percent"], source_line, said
                )
                found.append(replace(figure, drawn=drawn))
        elif (match := _SCALAR.match(stripped)) and re.search(r"[^\W\d_]", match["label"]):
            label = match["label"].rstrip(":：= ',")
            if _is_quantity(match) and not (printed and printed.heading and not _is_named(label)):
                found.append(_scalar(label, match["number"], match["percent"], source_line, said))
            else:
                for match in several:  # "val accuracy: 0.52 (epoch 3)"
                    percent = match["percent"]
                    found.append(
                        _scalar(match["label"], match["number"], percent, source_line, said)
                    )
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
    """Return each quantity with its label and how often that label came before.

    Counts in a label, as in "Got 136 / 500 correct", are figures too: they do not tell labels apart.
    """
    seen: Counter[str] = Counter()
    pairs = []
    for quantity in found:
        label = _COUNT.sub("n / ", quantity.label)
        pairs.append(((label, seen[label]), quantity))
        seen[label] += 1
    return pairs


def _is_named(label: str) -> bool:
    """Return whether `label` says that an error, a loss or an accuracy follows."""
    return any(pattern.search(label) for pattern in (ERROR, LOSS, ACCURACY))


def _is_quantity(match: re.Match[str]) -> bool:
    """Return whether "label number" is a figure: it has a colon, or its label names one.

    A heading, as "Running check with reg = 3.14", names a setting; "loss shape: (3, 4)" is cut off.
    """
    label = match["label"].rstrip(":：= ',")
    if label.lower().startswith("running") or label.endswith(tuple("/+-*<>,;")):
        return False
    if any(label.count(a) != label.count(b) for a, b in ("()", "[]", "{}")):
        return False
    colon = any(sign in (match["label"] + match["sign"])[-2:] for sign in ":：")
    if _SETTING.search(label) and not (colon and _is_named(label)):
        return False
    return colon or "=" in match["sign"] or _is_named(label)


def _scalar(label: str, number: str, percent: str | None, line: int | None, said: str) -> Quantity:
    value = float(number)
    kind = "other"
    if ERROR.search(label):
        kind = "error"
    elif _TIME.search(label):
        kind = "time"
    elif LOSS.search(label):
        kind = "loss"
    elif ACCURACY.search(label) and not _NO_ACCURACY.search(label):
        if percent or (1.0 < value <= 100.0 and "." in number):
            kind, value = "accuracy", value / 100.0
        elif 0.0 <= value <= 1.0:
            kind = "accuracy"
    return Quantity(label, (value,), kind, line, said)


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


class _Print(NamedTuple):
    """A print of a cell: its line, the pattern of what it prints, how many letters of that are fixed.

    `heading` says that it prints nothing but texts and variables of loops, as "Running tests with p = 0.3".
    """

    line: int
    pattern: re.Pattern[str]
    fixed: int
    heading: bool


def _templates(source: str) -> list[_Print]:
    """Return every print in `source`, in order."""
    tree = parse(source)
    if tree is None:
        return []
    looped = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.For)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    }
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
                parts = [part for argument in node.args for part in ast.walk(argument)]
                names = {part.id for part in parts if isinstance(part, ast.Name)}
                heading = bool(names) and names <= looped
                heading = heading and not any(isinstance(part, ast.Subscript) for part in parts)
                pattern_ = re.compile(rf"^\s*{pattern}\s*$")
                found.append(_Print(node.lineno, pattern_, fixed, heading))
    return sorted(found, key=lambda item: item.line)


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


def _where(templates: Sequence[_Print], line: str, position: int) -> tuple[int, _Print | None]:
    """Return (place of the print that printed `line`, that print), going on from `position`."""
    fits = [i for i, printed in enumerate(templates) if printed.pattern.match(line)]
    if not fits:
        return position, None
    best = max(templates[i].fixed for i in fits)
    fits = [i for i in fits if templates[i].fixed == best]
    later = [i for i in fits if i > position]
    chosen = later[0] if later else fits[0]
    return chosen, templates[chosen]
