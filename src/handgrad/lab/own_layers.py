"""Files with layers of one's own: judged by the checker whenever they are saved."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handgrad.errors import OptionError
from handgrad.lab.verdicts import CHECKING

if TYPE_CHECKING:
    from handgrad.lab.judging import Judged, Judging

_LONGEST = 60_000  # characters of a file that are shown


class OwnLayers:
    """The files that the lab was pointed at, and what the checker said of them as they are now.

    A file's verdicts: state ("right", "wrong", "checking", "unknown" where nothing could be judged), and
    functions with name, verdict, line, what is wrong and where; layers, the names of its ``@nn.layer`` pairs,
    each with the import path that a network names it by.
    """

    def __init__(self, files: list[Path]) -> None:
        """Watch `files`; OptionError for one that is no Python file."""
        self.files: dict[str, Path] = {}
        for file in files:
            path = file.resolve()
            if path.suffix != ".py" or not path.is_file():
                raise OptionError(f"lab: --layers must be the path of a Python file, got {file}")
            self.files[path.name] = path
        self._judging: Judging | None = None
        if self.files:  # the checker takes a while to import
            from handgrad.lab.judging import Judging

            self._judging = Judging(list(self.files.values()))

    @property
    def stamp(self) -> int:
        """Another number than before says that a file was saved, or that a function got its verdict."""
        return self._judging.look() if self._judging else 0

    def verdicts(self, wait: float = 0.0) -> list[dict[str, Any]]:
        """Return what the checker says of each file by now, or when all is judged, `wait` seconds at most."""
        if self._judging is None:
            return []
        self._judging.wait(wait)
        return [_verdict(name, self._judging.files[path]) for name, path in self.files.items()]

    def paths(self) -> set[str]:
        """Return the import paths of all layers."""
        return {layer["path"] for verdict in self.verdicts() for layer in verdict["layers"]}

    def close(self) -> None:
        """End the process that judges."""
        if self._judging is not None:
            self._judging.close()


def _verdict(name: str, judged: Judged) -> dict[str, Any]:
    problem = judged.problem
    try:
        source = judged.path.read_text("utf-8")[:_LONGEST]
    except (OSError, ValueError) as error:
        source, problem = "", f"{name} cannot be read: {error}"
    functions = [_function(record) for record in judged.functions()]
    verdicts = [f["verdict"] for f in functions]
    state = "unknown"
    if "WRONG" in verdicts:
        state = "wrong"
    elif CHECKING in verdicts:
        state = "checking"
    elif "right" in verdicts:
        state = "right"
    return {
        "file": name,
        "state": state if problem is None else "unknown",
        "problem": problem,
        "functions": functions,
        "layers": _layers(judged.path, source, functions),
        "source": source,
        "seconds": round(judged.seconds, 2),
        "again": judged.again,
        "groups": len(judged.grouped.groups),
    }


def _function(found: dict[str, Any]) -> dict[str, Any]:
    causes = found.get("causes") or []
    first = causes[0] if causes else {}
    return {
        "name": found.get("function", ""),
        "verdict": found.get("verdict", ""),
        "says": first.get("says") or found.get("reason", ""),
        "worst": first.get("worst", ""),
        "line": first.get("line") or found.get("line"),
        "errors": found.get("errors", {}),
    }


def _layers(path: Path, source: str, functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ``@nn.layer`` pairs by reading the text: nothing of the file runs in this process."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    known = {f["name"]: f for f in functions}
    verdicts = {name: f["verdict"] for name, f in known.items()}
    found, backwards = [], {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            text = ast.unparse(decorator)
            if text.split("(")[0] in ("nn.layer", "layer", "handgrad.nn.layer"):
                found.append((node.name, node.lineno))
            elif text.endswith(".backward"):
                backwards[text.removesuffix(".backward")] = node.name
    rows = []
    for name, line in found:
        judged = [verdicts.get(name, ""), verdicts.get(backwards.get(name, ""), "")]
        state = "wrong" if "WRONG" in judged else "right" if judged == ["right"] * 2 else "unknown"
        state = "checking" if CHECKING in judged else state
        bugs = [
            known[f] for f in (name, backwards.get(name)) if verdicts.get(f or "") == "WRONG" and f
        ]
        says = f"{bugs[0]['says']} (line {bugs[0]['line']})" if bugs else ""
        rows.append(
            {
                "name": name,
                "path": f"{path.stem}:{name}",
                "line": line,
                "state": state,
                "says": says,
            }
        )
    return rows
