"""The checker's judgement of a student's functions: ``python -m handgrad.courses.notebook.judging``.

The runner starts this as a process of its own, since a student's function may never end or take the
process with it.  Each function is judged on its own: one that is wrong is put aside for the library's,
with its partner, before what builds upon it is judged.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handgrad import courses
from handgrad.checker.by_name import Habits
from handgrad.checker.discover import check_module
from handgrad.checker.records import RIGHT, UNTESTED, WRONG, Raised, Verdict, error_of
from handgrad.checker.report import Report
from handgrad.checker.text import as_text
from handgrad.courses.notebook import stubs, student
from handgrad.courses.profiles import Profile


def judge(
    course: str,
    answers: dict[str, tuple[str, list[str], list[str]]],
    suspects: list[str],
    package: str | None = None,
) -> list[Verdict]:
    """Return the verdicts on the functions and classes `suspects`.

    Args:
        course: the profile's name.
        answers: module -> (path of the student's file, finished names, unfinished names), those that
            others build upon first.
        suspects: names of functions and classes; only what the student has finished is judged.
        package: the name under which a fork keeps the course's package.
    """
    profile = courses.use(course, utils=True, shadow=True, package=package)
    library = {module: importlib.import_module(module) for module in answers}
    stubs.install()
    student.install({module: (path, left) for module, (path, _, left) in answers.items()})
    verdicts: list[Verdict] = []
    for name, (path, finished, _) in answers.items():
        theirs = [function for function in finished if function in suspects]
        if not theirs:
            continue
        try:
            module = importlib.import_module(name)
        except Exception as error:
            reason = f"{Path(path).name} cannot be imported: {type(error).__name__}: {error}"
            verdicts += [Verdict(function, UNTESTED, reason=reason) for function in theirs]
            continue
        with_partners = list(dict.fromkeys([*map(_forward_of, theirs), *theirs]))
        restore = _count_from_zero(module, profile)
        found = check_module(module, with_partners, Habits(profile.dropout == "drop"))
        restore()
        found = [_as_asked(verdict) for verdict in found if verdict.function in theirs]
        verdicts += found
        for verdict in found:
            if verdict.verdict == WRONG:
                _put_aside(module, library[name], verdict.function)
    return verdicts


def _as_asked(verdict: Verdict) -> Verdict:
    """Return `verdict`, but right if only gradients in test mode are missing: no course asks for them."""
    wrong = [call for call in verdict.calls if any(call.wrong(key) for key in call.expected)]
    unasked = [
        call
        for call in wrong
        if "mode is test" in call.config.traits
        and all(isinstance(value, Raised) for value in call.got.values())
    ]
    if verdict.verdict != WRONG or not wrong or len(unasked) < len(wrong):
        return verdict
    if any(
        not cause.keys for cause in verdict.causes
    ):  # a broken contract, which is no matter of the mode
        return verdict
    calls = [call for call in verdict.calls if call not in unasked]
    errors = (
        {key: max(error_of(call, key) for call in calls) for key in verdict.errors} if calls else {}
    )
    return dataclasses.replace(
        verdict, verdict=RIGHT, errors=errors, causes=[], configurations=len(calls)
    )


def _forward_of(function: str) -> str:
    """Return the forward that belongs to a backward, as in affine_forward; else `function` itself."""
    if function.endswith("_alt"):
        function = function.removesuffix("_alt")
    return function.replace("_backward", "_forward")


def _count_from_zero(module: Any, profile: Profile) -> Callable[[], None]:
    """Let Adam of 2017 be called with t = 0, as the checker expects it; return what undoes that."""
    rule = vars(module).get("adam")
    if profile.adam_t == 0 or rule is None:
        return lambda: None

    @functools.wraps(rule)
    def from_zero(w: Any, dw: Any, config: Any = None) -> Any:
        config = {} if config is None else config
        config.setdefault("t", 0)
        return rule(w, dw, config)

    module.adam = from_zero
    return lambda: setattr(module, "adam", rule)


def _put_aside(module: Any, library: Any, function: str) -> None:
    """Put the library's function and its partners in place of the student's, wherever it is known."""
    stem = re.sub(r"_(forward|backward)\b", "_", _forward_of(function))
    for name, theirs in list(vars(module).items()):
        same_pair = (
            name == function or re.sub(r"_(forward|backward)\b", "_", _forward_of(name)) == stem
        )
        if not same_pair or not hasattr(library, name):
            continue
        package = module.__name__.partition(".")[0]
        for other in [m for n, m in sys.modules.items() if n.partition(".")[0] == package]:
            if vars(other).get(name) is theirs:
                setattr(other, name, getattr(library, name))


def main() -> None:
    """Read the arguments of `judge` as JSON from the standard input, write the verdicts to a file."""
    options = json.loads(sys.stdin.read())
    answer = Path(options.pop("answer"))
    verdicts = judge(**options)
    answer.write_text(
        json.dumps({"records": [v.as_dict() for v in verdicts], "text": as_text(Report(verdicts))}),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
