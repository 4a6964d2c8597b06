"""Finding what can be checked: in a file, in a folder, behind ``package.module:function``."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from handgrad.checker import api, classifiers, models, networks, pairs, rules
from handgrad.checker.calling import Pair
from handgrad.checker.known import by_function
from handgrad.checker.known.layer import Layer
from handgrad.checker.loading import CheckError, loaded
from handgrad.checker.records import UNTESTED, Report, Verdict

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


def check_path(target: str, *, drops: bool = False, only: str = "", strict: bool = False) -> Report:
    """Check a file, all files of a folder, or one function (and its partner) of a module.

    Args:
        target: a path, or "package.module:function".
        drops: dropout's p is the probability of dropping, as in the courses before 2018.
        only: check the pair of this function only.
        strict: judge the library's contract too, not only the courses'.

    Raises:
        CheckError: there is nothing at `target`, or nothing that the checker knows, or a file
            cannot be imported; the message names the line.
    """
    path = Path(target)
    if not path.exists() and ":" in target:
        place, _, only = target.rpartition(":")
        if not Path(place).exists():
            return _check_module(place, only, drops, strict)
        path = Path(place)
    if not path.exists():
        raise CheckError(f"check: there is no file or folder {target}")
    files = [path] if path.is_file() else _files_of(path)
    verdicts: list[Verdict] = []
    for file in files:
        try:
            with loaded(file) as module:
                verdicts += check_module(module, _defined(file), drops, only, strict)
        except CheckError as error:  # of a folder, the other files can still be checked
            if path.is_file():
                raise
            reason = str(error).removeprefix("check: ")
            verdicts.append(Verdict(file.name, UNTESTED, reason=reason, file=str(file)))
    if not verdicts:
        raise CheckError(
            f"check: {target} defines {f'no {only}' if only else 'nothing that the checker knows'}; "
            "mark pairs of your own with @handgrad.checker.backward_of(forward, inputs)"
        )
    return Report(verdicts)


def _check_module(name: str, only: str, drops: bool, strict: bool) -> Report:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise CheckError(f"check: {name} cannot be imported: {error}") from None
    names = [only] if only else _defined(Path(module.__file__ or ""))
    known = [n for n in vars(module) if only or n in names]
    verdicts = check_module(module, known, drops, only, strict)
    if not verdicts:
        raise CheckError(f"check: {name} has no {only or 'function'} that the checker knows")
    return Report(verdicts)


def check_module(
    module: ModuleType,
    names: Iterable[str],
    drops: bool = False,
    only: str = "",
    strict: bool = False,
) -> list[Verdict]:
    """Judge everything known among the `names` of a module, in their order."""
    defined = {name: getattr(module, name, None) for name in names}
    verdicts: list[Verdict] = []
    for name, thing in defined.items():
        partners = _partners(name, defined)
        marked = getattr(thing, "__handgrad_pair__", None)
        if marked:
            partners = [getattr(marked[0], "__name__", "")]
        if only and only not in (name, *partners):
            continue
        found = by_function(name)
        described = vars(thing).get("__handgrad_check__") if hasattr(thing, "__dict__") else None
        if marked:
            forward, inputs, options = marked
            report = api.check(forward, thing, inputs, options=options, strict=strict)
            verdicts += report.verdicts
        elif described:
            verdicts += api.check(thing, **described, drops=drops, strict=strict).verdicts
        elif not callable(thing):
            continue
        elif found is None:
            verdicts += judge_named(name, thing, drops, strict) or []
        elif found[1] == "forward":
            layer = with_meaning(found[0], drops, strict)
            if layer.loss:
                verdicts += pairs.judge(api.loss_pair(thing, layer))
            else:
                backwards: dict[str, Any] = {partner: defined[partner] for partner in partners}
                verdicts += pairs.judge(Pair(thing, backwards, name, layer))
        elif not any(name in _partners(other, defined) for other in defined):
            verdicts.append(
                Verdict(name, UNTESTED, reason=f"the module has no {found[0].forward[0]}")
            )
    return verdicts


def judge_named(name: str, thing: Any, drops: bool, strict: bool = False) -> list[Verdict] | None:
    """Judge an update rule or a model by its name; None if the checker does not know it."""
    if name in rules.NAMES:
        return [rules.judge(name, thing, strict)]
    if networks.is_network(thing):
        return [networks.judge(name, thing)]
    verdicts = classifiers.judge(name, thing)
    if verdicts is not None:
        return verdicts
    if name in models.NAMES:
        return [models.judge(name, thing, drops, strict)]
    return None


def with_meaning(layer: Layer, drops: bool, strict: bool = False) -> Layer:
    """Return the layer with dropout's p read as the probability of dropping, and the contract to judge."""
    drops = drops and layer.name == "dropout"
    if (drops, strict) == (layer.drops, layer.strict):
        return layer
    return replace(layer, drops=drops, strict=strict, cache={})


def _partners(name: str, defined: dict[str, Any]) -> list[str]:
    """The backward functions that go with the forward `name`."""
    found = by_function(name)
    if found is None or found[1] != "forward":
        return []
    layer = found[0]
    variant = name.removeprefix(layer.name + "_forward")
    wanted = [layer.name + "_backward" + variant]
    wanted += [other for other in layer.backward if other.endswith("_alt")]
    return [other for other in wanted if callable(defined.get(other))]


def _files_of(folder: Path) -> list[Path]:
    """The Python files of a folder that define something known."""
    files = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if any(part in _SKIPPED or part.startswith(".") for part in parts):
            continue
        try:
            names = _defined(path)
        except CheckError:
            names = ["?"]  # a file that cannot be read is reported when it is loaded
        if any(map(_is_known, names)) or "?" in names or _marks_pairs(path):
            files.append(path)
    if not files:
        raise CheckError(f"check: no Python file in {folder} defines a function of the courses")
    return files


def _defined(path: Path) -> list[str]:
    """Names of the functions and classes that a file defines, in its order."""
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except SyntaxError as error:
        raise CheckError(f"check: {path}:{error.lineno}: {error.msg}") from None
    except (OSError, ValueError) as error:
        raise CheckError(f"check: {path} cannot be read: {error}") from None
    return list(dict.fromkeys(_names_in(tree.body)))


def _names_in(body: list[ast.stmt]) -> Iterator[str]:
    """Names of functions and classes, and of what is made by a call or a lambda."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda | ast.Call):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from _names_in([*node.body, *node.orelse, *getattr(node, "finalbody", [])])


def _is_known(name: str) -> bool:
    others = (*rules.NAMES, *models.NAMES, *classifiers.NAMES)
    return bool(by_function(name)) or name in others


def _marks_pairs(path: Path) -> bool:
    """Whether the file describes pairs of its own."""
    text = path.read_text("utf-8", errors="replace")
    return "backward_of" in text or "check_with" in text
