"""Judging one submission, or one file of a folder, within limits; `keeper` is the process that does it.

It limits its memory, its time and the size of files, and refuses, by an audit hook that Python code
cannot remove, to write outside of its scratch folder, to start processes and to use the network.
This keeps a careless submission from harm; it is no prison for a hostile one.
"""

from __future__ import annotations

import builtins
import contextlib
import faulthandler
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

from handgrad.checker import apart, jobs, likeness, spawned, standins
from handgrad.checker.discover import Options, check_path, judge_file
from handgrad.checker.report import Report
from handgrad.checker.scripts import Forbidden
from handgrad.checker.verdict_page import records_of

_MEBI = 1 << 20
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "shutil.rmtree", "shutil.move",
}  # fmt: skip
_REFUSED = {
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn",
    "os.spawn", "os.startfile", "os.kill", "os.killpg", "socket.connect", "socket.bind",
    "socket.sendto", "_winapi.CreateProcess",
}  # fmt: skip
_guarded: list[str] = []  # the folder that may be written to; "": anything may be
_input = builtins.input
JUDGING = "check_module"  # the function in a trace that tells judging from importing


def judge(task: dict[str, Any], keeps: bool = False) -> None:
    """Judge a submission, or a file, and write the answer, line by line.

    keeps: whether the process goes on to other tasks.  task: what `rubric` and `folder` send:

    ``path``                 what is judged
    ``folder``               of a submission: all that it may write to; absent: no guard
    ``inside``               where the code lies that a problem names
    ``answer``, ``trace``    the files that the answer, and a trace of a crash, are written to
    ``memory``, ``seconds``  the limits
    ``functions``            of a submission: those whose structure is read for comparison
    ``check``                the keywords of `check_path`, or of `Options` for a file
    """
    folder = Path(task["folder"]).resolve() if task.get("folder") else None
    _limit(int(task["memory"]), task["seconds"], keeps)
    with open(task["answer"], "w", encoding="utf-8") as file, open(task["trace"], "w") as trace:  # noqa: PTH123 - before the guard is up
        faulthandler.enable(trace)
        faulthandler.dump_traceback_later(task["seconds"], file=trace, exit=True)

        def write(**line: Any) -> None:
            file.write(json.dumps(_inside(line, folder) if folder else line) + "\n")
            file.flush()

        try:
            if folder is not None:
                write(sources=likeness.read_sources(folder, task["functions"]))
                spawned.guard(str(folder))
                guard_process(folder)
            write(**_judged(task, folder))
        finally:
            if keeps:
                faulthandler.cancel_dump_traceback_later()
                faulthandler.disable()
                release_process()


def _judged(task: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return records, remarks, and the problem that kept others from coming; the course, for a file."""
    result: dict[str, Any] = {"records": [], "remarks": [], "problem": ""}
    before = set(sys.modules)
    try:
        if folder is None:
            judged = judge_file(Path(task["path"]), Options(**task["check"]))
            result["records"] = records_of(Report(judged.verdicts))
            result["guessed"], result["notes"] = judged.guessed, judged.notes
        else:
            report = check_path(task["path"], **task["check"])
            result["records"], result["remarks"] = records_of(report), report.remarks
    except MemoryError as error:
        result |= {
            "problem": f"out of memory{_place(error, Path(task['inside']))}",
            "again": _judges(error),
        }
    except KeyboardInterrupt as error:
        says = f"it raises KeyboardInterrupt{_place(error, Path(task['inside']))}"
        result |= {"problem": says, "again": _judges(error)}
    except BaseException as error:
        says = str(error) or type(error).__name__
        result |= {"problem": says.removeprefix("check: "), "again": _judges(error)}
    installed = standins.LIBRARIES | sys.stdlib_module_names | {"numpy"}
    new = (name for name in sys.modules.keys() - before if name.partition(".")[0] in installed)
    result["libraries"] = sorted(new)
    return result


def guard_process(folder: Path) -> None:
    """Refuse what reaches out of the folder, and what would wait for a person."""
    if not _guarded:
        sys.addaudithook(_guard())  # for as long as the process lives
    _guarded[:] = [str(folder.resolve()) + os.sep]
    builtins.input = _no_input


def release_process() -> None:
    """Refuse no longer, until the next `guard_process`."""
    if _guarded:
        _guarded[:] = [""]
    builtins.input = _input


def _no_input(prompt: object = "") -> str:
    raise EOFError("input() waits for typing, and a check has no keyboard")


def _judges(error: BaseException) -> bool:
    """Whether it came while a function was judged: then the others can still be."""
    return any(frame.name == JUDGING for frame in traceback.extract_tb(error.__traceback__))


def _place(error: BaseException, folder: Path) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if folder in Path(frame.filename).parents
    ]
    if not frames:
        return ""
    names = [frame.name for frame in frames if not frame.name.startswith("<")]
    where = f"in {names[-1]}" if names else "while it was imported"
    return f" {where} ({frames[-1].filename}:{frames[-1].lineno})"


def _inside(value: Any, folder: Path) -> Any:
    """Take the copy's own path out of every text: the submission's files are named from its top."""
    if isinstance(value, str):
        for top in (str(folder) + os.sep, str(folder)):
            value = value.replace(top, "" if top.endswith(os.sep) else "the submission")
        return value
    if isinstance(value, dict):
        found = {key: _inside(one, folder) for key, one in value.items()}
        if isinstance(found.get("file"), str):
            found["file"] = found["file"].replace(os.sep, "/")
        return found
    if isinstance(value, list | tuple):
        return [_inside(one, folder) for one in value]
    return value


def can_limit_memory() -> bool:
    """Whether a process's memory can be limited: macOS keeps no such limit, Windows does by job objects."""
    try:
        import resource
    except ImportError:
        return jobs.can_limit()
    return hasattr(resource, "RLIMIT_AS") and sys.platform != "darwin"


def _limit(memory: int, seconds: float, keeps: bool) -> None:
    """Limit memory, processor time and the size of files, where the system can.

    keeps: whether other tasks come after this one: then the limits can be raised again.
    """
    # the clock comes first; this ends what escaped it
    time = int(process_time() + 2 * seconds) + 5
    try:
        import resource
    except ImportError:
        jobs.limit(memory * _MEBI, time)
        return
    for kind, value in (
        ("RLIMIT_AS", memory * _MEBI),
        ("RLIMIT_CPU", time),
        ("RLIMIT_FSIZE", 64 * _MEBI),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            number = getattr(resource, kind)
            resource.setrlimit(number, (value, resource.getrlimit(number)[1] if keeps else value))


def _caller() -> str:
    """The file whose code led to an audit event, but for the standard library's `subprocess`."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == subprocess.__file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename


def _guard() -> Callable[[str, tuple[Any, ...]], None]:
    """Return a hook that refuses what reaches out of the folder that is guarded."""
    own = {"os.fork": apart, "os.kill": apart, "subprocess.Popen": spawned,
           "os.posix_spawn": spawned, "_winapi.CreateProcess": spawned}  # fmt: skip

    def is_inside(path: Any) -> bool:
        if isinstance(path, int):
            return True  # a file that is open already
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(_guarded[0])

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not _guarded[0]:
            return
        if event in own and _caller() == own[event].__file__:
            return  # the checker's own, for edits of the code that may crash
        if event in _REFUSED:
            raise Forbidden(f"a submission may not use {event}")
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in (mode or "") for letter in "wax+") or (flags or 0) & _WRITING
            if writes and path is not None and not is_inside(path) and path != os.devnull:
                raise Forbidden(f"a submission may not write to {path}")
        elif event in _CHANGING and not all(
            is_inside(path) for path in arguments if isinstance(path, str | bytes | os.PathLike)
        ):
            raise Forbidden(f"a submission may not use {event} outside of its folder")

    return hook
