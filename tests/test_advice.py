"""Advice in messages is tried: each is followed by a test in `advice`, and must end well."""

import ast
import re
from pathlib import Path

from advice import (
    arrivals,
    checks,
    clusters,
    commands,
    installs,
    interchange,
    kits,
    lab,
    mistakes,
    networks,
    numbers,
    owndata,
    precisions,
    students,
    trainings,
)
from advice.rows import ROWS

import handgrad

ROOT = Path(handgrad.__file__).parent
VERBS = (
    "ask|build|call|cast|check|choose|collect|continue|convert|copy|did you mean|draw|fetch|fill|finish|"
    "flatten|give|import|install|keep|leave|look|make|mark|measure|mend|move|name|number|pass|put|raise|remove|rename|run|say|"
    "scale|see|set|split|step|take|train|try|unpack|use|wrap|write"
)
ADVICE = re.compile(
    r"(; |, or |: |\. +|\? +|^if .*, )(it is one-hot: |if .*, )?(for a regression, )?"
    rf"(?i:{VERBS})\b(?! must| \w+ must)|"
    r"^(convert|give|look|pass|try|use|for a regression,) |pip install|: handgrad "
)
# verdicts of the checker and of notebooks are judged by their own tests
ELSEWHERE = (
    "checker/classifiers.py",
    "checker/hypotheses",
    "checker/known",
    "courses/notebook/diagnosis.py",
)


def pieces_of(path):
    """Yield the texts of a module, f-strings as they are written, but for docstrings, help and patterns."""
    tree = ast.parse(path.read_text())
    left_out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # docstrings
            left_out.add(node.value)
        if isinstance(node, ast.JoinedStr):
            left_out |= {part for part in ast.walk(node) if part is not node}
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            left_out |= set(node.args)  # patterns
        if isinstance(node, ast.Call):
            left_out |= {k.value for k in node.keywords if k.arg in ("help", "epilog")}
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    part.value
                    if isinstance(part, ast.Constant)
                    else "{" + ast.unparse(part.value) + "}"
                    for part in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def messages():
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if not place.startswith(ELSEWHERE):
            for line, text in pieces_of(path):
                # what is put in is no advice, nor is the name of the function at the start
                plain = re.sub(r"^[\w-]+: ", "", re.sub(r"\{[^{}]*\}", "0", text))
                if " " in plain and "\n" not in plain and ADVICE.search(plain):
                    yield f"{place}:{line}: {text}"


def test_all_advice_is_followed_somewhere():
    found = list(messages())
    assert len(found) > 60
    alone = [text for text in found if not any(piece in text for piece, _ in ROWS)]
    assert not alone, "no row of tests/advice follows:\n" + "\n".join(alone)
    gone = [piece for piece, _ in ROWS if not any(piece in text for text in found)]
    assert not gone, f"no message says any more: {gone}"


for module in (
    numbers,
    arrivals,
    networks,
    students,
    commands,
    interchange,
    trainings,
    precisions,
    mistakes,
    owndata,
    checks,
    installs,
    clusters,
    lab,
    kits,
):  # pytest finds them here by their names
    own = [test for _, test in ROWS if test.__module__ == module.__name__]
    globals().update({f"test_{test.__name__}": test for test in own})  # one order in all processes
archive, place = commands.archive, owndata.place
