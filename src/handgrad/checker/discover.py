"""Finding what can be checked: in a file, in a folder, behind ``package.module:function``."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker import (
    api,
    pairs,
    repair,
    spawned,
)
from handgrad.checker import relics as relics_of
from handgrad.checker.apart import named_exit
from handgrad.checker.by_name import COMMON, NAMES, Habits, judge_named, with_meaning
from handgrad.checker.calling import Pair, loss_pair
from handgrad.checker.guess import guess_course
from handgrad.checker.imports import search_path
from handgrad.checker.known import by_function
from handgrad.checker.known.table import forget_truths
from handgrad.checker.loading import CheckError, loaded
from handgrad.checker.records import UNTESTED, WRONG, Verdict
from handgrad.checker.report import Report
from handgrad.checker.reset import as_before
from handgrad.checker.standins import NotHere, lacking
from handgrad.checker.undisturbed import source_file
from handgrad.courses.profiles import get_profile

_EDITS = 1.2  # seconds of processor time for the edits of one file
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


def check_path(
    target: str,
    *,
    drops: bool | None = None,
    only: str = "",
    course: str | None = None,
    strict: bool = False,
) -> Report:
    """Check a file, all files of a folder, or one function (and its partner) of a module.

    Only what these files define is judged, whatever else has their names.

    Args:
        target: a path, "package.module", or either with ":function" behind it.
        drops: dropout's p is the probability of dropping, as in the courses before 2018; None: as the
            course, or a guess from the files, has it.
        only: check the pair of this function only.
        course: the course and generation, one of `handgrad.courses.PROFILES`; it answers the imports
            of the course's modules that are not there.
        strict: judge the library's contract too, not only the courses'.

    Raises:
        CheckError: there is nothing at `target`, or nothing that the checker knows, or a file
            cannot be imported; the message names the line.
        OptionError: there is no such course.

    >>> check_path('my_layers.py').exit_code  # doctest: +SKIP
    """
    profile = None if course is None else get_profile(course)
    path, name = found_at(target)
    only = name or only
    if path is None:
        return _check_installed(target.partition(":")[0], only, Habits.of(profile, drops, strict))
    if path.suffix.lower() != ".py" and path.is_file():
        more = "; a folder of zip files or notebooks is judged with --rubric"
        judged_elsewhere = path.suffix.lower() in (".zip", ".ipynb")
        raise CheckError(f"check: {target} is no Python file{more if judged_elsewhere else ''}")
    options = Options(drops, only, course, strict)
    if path.is_file():
        return joined(target, only, [judge_file(path, options)])
    judged = []
    for file in files_of(path):
        with as_before(forget_truths):
            try:
                judged.append(judge_file(file, options))
            except MemoryError:
                raise
            except Exception as error:  # the other files can still be checked
                kind = "" if isinstance(error, CheckError) else f"{type(error).__name__}: "
                judged.append(not_judged(file, f"{kind}{error}"))
    return joined(target, only, judged)


class Options(NamedTuple):
    """How files are judged: what the caller of `check_path` said."""

    drops: bool | None = None
    only: str = ""
    course: str | None = None
    strict: bool = False


class Judged(NamedTuple):
    """What came of one file: verdicts, the course that was guessed with its remark, what was stood in for."""

    file: Path
    verdicts: list[Verdict]
    guessed: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()


def judge_file(file: Path, options: Options) -> Judged:
    """Judge what one file defines; CheckError if it cannot be imported."""
    drops, only, course, strict = options
    profile = None if course is None else get_profile(course)
    with (
        named_exit(),
        _numpy_kept(file),
        loaded(file, profile) as found,
        repair.at_most(_EDITS),
    ):
        guess = guess_course(found.place) if profile is None else None
        habits = Habits.of(guess.profile if guess else profile, drops, strict)
        with spawned.judging(file, habits.drops, course, strict):
            verdicts = check_module(
                found.module, defined_in(file), habits, only, [found.place.file]
            )
    guessed = (guess.profile.name, guess.remark) if guess else None
    return Judged(file, verdicts, guessed, tuple(found.notes))


@contextlib.contextmanager
def _numpy_kept(file: Path) -> Iterator[None]:
    """Say so where judging fails because the file replaced functions of NumPy that the checker calls."""
    before = dict(vars(np))
    try:
        yield
    except (CheckError, MemoryError):
        raise
    except Exception:
        now = vars(np)
        names = [f"np.{name}" for name, value in before.items() if now.get(name) is not value]
        now.update(before)
        if not names:
            raise
        raise CheckError(
            f"check: {file} replaces {', '.join(names[:3])}, with which the checker computes: "
            "leave NumPy as it is"
        ) from None


def not_judged(file: Path, reason: str) -> Judged:
    """What is said of a file of a folder that could not be judged."""
    reason = reason.removeprefix("check: ")
    return Judged(file, [Verdict(file.name, UNTESTED, reason=reason, file=str(file))])


def joined(target: str, only: str, files: Iterable[Judged]) -> Report:
    """Return the report on some files; CheckError if none defines anything that is known."""
    report = Report([], by_file=True)
    noted: dict[str, list[str]] = {}  # files by what was stood in for
    for one in files:
        report.verdicts += one.verdicts
        if not one.verdicts:
            continue
        if one.guessed and not any(one.guessed[0] in remark for remark in report.remarks):
            report.remarks.append(one.guessed[1])
        for note in one.notes:
            noted.setdefault(note, []).append(one.file.name)
    if not report.verdicts:
        raise CheckError(
            f"check: {target} defines {f'no {only}' if only else 'nothing that the checker knows'}; "
            "mark pairs of your own with @handgrad.checker.backward_of(forward, inputs)"
        )
    report.remarks += [f"{note} ({', '.join(names)})" for note, names in noted.items()]
    return report


def found_at(target: str) -> tuple[Path | None, str]:
    """Return the file or folder that `target` names, and the function; None for an installed module."""
    if Path(target).exists():
        return Path(target).absolute(), ""
    place, colon, name = target.rpartition(":") if ":" in target else (target, "", "")
    if colon and Path(place).exists():
        return Path(place).absolute(), name
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", place):
        file = search_path(place, [""])
        if file is not None:
            return file.absolute(), name
        if colon or ("." in place and not place.endswith(".py")):
            return None, name
    raise CheckError(f"check: there is no file or folder {place}")


def _check_installed(name: str, only: str, habits: Habits) -> Report:
    """Check a module that is found by its name alone."""
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise CheckError(f"check: {name} cannot be imported: {error}") from None
    file = getattr(module, "__file__", None)
    if not file or not Path(file).exists():
        raise CheckError(f"check: {name} has no file that could be judged")
    names = [only] if only else defined_in(Path(file))
    names = [name for name in vars(module) if only or name in names]
    verdicts = check_module(module, names, habits, only, [Path(file).absolute().parent])
    if not verdicts:
        raise CheckError(f"check: {name} has no {only or 'function'} that the checker knows")
    return Report(verdicts, by_file=True)


def check_module(
    module: ModuleType,
    names: Iterable[str],
    habits: Habits = COMMON,
    only: str = "",
    homes: Sequence[Path] = (),
) -> list[Verdict]:
    """Judge everything known among the `names` of a module, in their order.

    homes: files or folders; what comes from elsewhere is not judged.
    """
    defined = {name: getattr(module, name, None) for name in names}
    drops, strict = habits.drops, habits.strict
    by_hand = any(
        known and (known[1] == "backward" or known[0].loss) for known in map(by_function, defined)
    )
    verdicts: list[Verdict] = []
    for name, thing in defined.items():
        partners = partners_of(name, defined)
        marked = getattr(thing, "__handgrad_pair__", None)
        if marked:
            partners = [getattr(marked[0], "__name__", "")]
        if only and only not in (name, *partners):
            continue
        found = by_function(name)
        described = vars(thing).get("__handgrad_check__") if hasattr(thing, "__dict__") else None
        known = found or name in NAMES
        elsewhere = _elsewhere(thing, homes) if known and callable(thing) else ""
        if marked:
            forward, inputs, options = marked
            report = api.check(forward, thing, inputs, options=options, strict=strict)
            verdicts += report.verdicts
        elif described:
            verdicts += api.check(thing, **described, drops=drops, strict=strict).verdicts
        elif not callable(thing):
            continue
        elif elsewhere:
            reason = f"it comes from {elsewhere}, not from this file"
            verdicts.append(Verdict(name, UNTESTED, reason=reason, file=str(homes[0])))
        elif found is None:
            verdicts += judge_named(name, thing, habits) or []
        elif found[1] == "forward" and not found[0].fits(thing):
            continue  # a student's own word for something else
        elif found[1] == "forward" and "torch" in vars(module) and not by_hand:
            reason = "it works on PyTorch's tensors, which need no backward"
            verdicts.append(Verdict(name, UNTESTED, reason=reason, file=source_file(thing)))
        elif found[1] == "forward":
            if "torch" in getattr(getattr(thing, "__code__", None), "co_names", ()):
                thing.whole_numbers = False  # PyTorch differentiates no integers
            layer = with_meaning(found[0], drops, strict)
            layer = replace(layer.meant(thing), strict=strict) if layer.meant else layer
            if layer.loss:
                verdicts += pairs.judge(loss_pair(thing, layer))
            else:
                backwards: dict[str, Any] = {
                    partner: defined[partner]
                    for partner in partners
                    if not _elsewhere(defined[partner], homes)
                }
                verdicts += pairs.judge(Pair(thing, backwards, name, layer))
        elif not any(name in partners_of(other, defined) for other in defined):
            reason = f"the module has no {found[0].forward[0]}"
            file = str(getattr(module, "__file__", None) or "")
            verdicts.append(Verdict(name, UNTESTED, reason=reason, file=file))
    return [_testable(verdict) for verdict in verdicts]


def _elsewhere(thing: Any, homes: Sequence[Path]) -> str:
    """Return the file that a function comes from, if that is none of `homes` nor below; else ""."""
    file = source_file(thing)
    if not file or not homes:
        return ""
    path = Path(file).absolute()
    if any(home == path or home in path.parents for home in homes):
        return ""
    library = Path(__file__).parents[1]
    return f"handgrad ({path.name})" if library in path.parents else str(path)


def _testable(verdict: Verdict) -> Verdict:
    """What failed for want of a library, or of something compiled, is not wrong."""
    if verdict.verdict != WRONG:
        return verdict
    values = [value for call in verdict.calls for value in call.got.values()]
    missing = [reason for reason in map(lacking, values) if reason]
    for cause in verdict.causes:
        found = re.search(rf"{NotHere.__name__}: (.*?)(?: \(line \d+\)|$)", cause.says)
        missing += [found[1]] if found else []
    if not missing:
        return verdict
    return replace(verdict, verdict=UNTESTED, causes=[], errors={}, reason=missing[0])


def partners_of(name: str, defined: dict[str, Any]) -> list[str]:
    """The backward functions that go with the forward `name`."""
    found = by_function(name)
    if found is None or found[1] != "forward":
        return []
    wanted = [name.replace("_forward", "_backward", 1)]
    for other in found[0].backward:  # a forward of its own has a cache of its own
        if other.endswith("_alt") and other.replace("_backward", "_forward", 1) not in defined:
            wanted.append(other)
    return [other for other in wanted if callable(defined.get(other))]


def files_of(folder: Path) -> list[Path]:
    """The Python files of a folder that define something known."""
    files = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if any(part in _SKIPPED or part.startswith(".") for part in parts):
            continue
        try:
            names = defined_in(path)
        except CheckError:  # reported when it is loaded
            text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
            names = re.findall(r"^(?:def|class)\s+(\w+)", text, re.MULTILINE)
        if any(map(_is_known, names)) or marks_pairs(path):
            files.append(path)
    if not files:
        raise CheckError(f"check: no Python file in {folder} defines a function of the courses")
    return files


def defined_in(path: Path) -> list[str]:
    """Names of the functions and classes that a file defines, in its order."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
        relics_of.refuse_old_pairs(tree, str(path))
    except SyntaxError as error:
        raise CheckError(f"check: {relics_of.of_syntax(error)}") from None
    except (OSError, ValueError) as error:
        raise CheckError(f"check: {path} cannot be read: {error}") from None
    return list(dict.fromkeys(_names_in(tree.body)))


def _names_in(body: list[ast.stmt]) -> Iterator[str]:
    """Names of functions and classes, of what is made by a call or a lambda, and other names for them."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(
            node.value, ast.Lambda | ast.Call | ast.Name
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from _names_in([*node.body, *node.orelse, *getattr(node, "finalbody", [])])


def _is_known(name: str) -> bool:
    return bool(by_function(name)) or name in NAMES


def marks_pairs(path: Path) -> bool:
    """Whether the file describes pairs of its own."""
    text = path.read_text("utf-8", errors="replace")
    return "backward_of" in text or "check_with" in text
