"""Files with layers of one's own: judged by the checker whenever they are saved."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from handgrad.errors import OptionError

LIMIT = (
    150  # seconds for the checker: a course's whole layers.py, on a machine that has other work too
)
_LONGEST = 60_000  # characters of a file that are shown


class OwnLayers:
    """The files that the lab was pointed at, and what the checker said of them as they are now.

    A file's verdicts: state ("right", "wrong", "unknown" where nothing could be judged), and functions with
    name, verdict, line, what is wrong and where; layers, the names of its ``@nn.layer`` pairs, each with the
    import path that a network names it by.
    """

    def __init__(self, files: list[Path]) -> None:
        """Watch `files`; OptionError for one that is no Python file."""
        self.files: dict[str, Path] = {}
        for file in files:
            path = file.resolve()
            if path.suffix != ".py" or not path.is_file():
                raise OptionError(f"lab: --layers must be the path of a Python file, got {file}")
            self.files[path.name] = path
        self._judged: dict[str, tuple[int, dict[str, Any]]] = {}
        self._lock = Lock()

    @property
    def stamp(self) -> tuple[int, ...]:
        """The times of the files: another one says that one was saved."""
        return tuple(_time(path) for path in self.files.values())

    def verdicts(self) -> list[dict[str, Any]]:
        """Return what the checker says of each file; it runs where a file was saved since."""
        with self._lock:
            return [self._verdict(name, path) for name, path in self.files.items()]

    def paths(self) -> set[str]:
        """Return the import paths of all layers."""
        return {layer["path"] for verdict in self.verdicts() for layer in verdict["layers"]}

    def _verdict(self, name: str, path: Path) -> dict[str, Any]:
        stamp = _time(path)
        kept = self._judged.get(name)
        if kept is None or kept[0] != stamp:
            kept = stamp, _judge(name, path)
            self._judged[name] = kept
        return kept[1]


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _judge(name: str, path: Path) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        source = path.read_text("utf-8")[:_LONGEST]
    except (OSError, ValueError) as error:
        source = ""
        problem: str | None = f"{name} cannot be read: {error}"
    else:
        problem = None
    report: dict[str, Any] = {}
    if problem is None:
        report, problem = _checked(path)
    functions = [_function(f) for f in report.get("functions", []) if isinstance(f, dict)]
    verdicts = [f["verdict"] for f in functions]
    state = "unknown"
    if "WRONG" in verdicts:
        state = "wrong"
    elif "right" in verdicts:
        state = "right"
    return {
        "file": name,
        "state": state if problem is None else "unknown",
        "problem": problem,
        "functions": functions,
        "layers": _layers(path, source, functions),
        "source": source,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _checked(path: Path) -> tuple[dict[str, Any], str | None]:
    command = [sys.executable, "-m", "handgrad", "check", str(path), "--json"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=path.parent
        )
    except subprocess.TimeoutExpired:
        return {}, f"the checker took more than {LIMIT} s"
    with suppress(ValueError):
        found = json.loads(done.stdout)
        if isinstance(found, dict):
            return found, None
    lines = done.stderr.strip().splitlines()
    return {}, lines[-1][:400] if lines else "the checker said nothing"


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
    import ast

    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    verdicts = {f["name"]: f["verdict"] for f in functions}
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
        rows.append({"name": name, "path": f"{path.stem}:{name}", "line": line, "state": state})
    return rows
