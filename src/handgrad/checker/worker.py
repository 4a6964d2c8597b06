"""The process that judges one submission: ``python -m handgrad.checker.worker`` (see `rubric`).

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
from typing import Any

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
JUDGING = "check_module"  # the function in a trace that tells judging from importing


def main(arguments: list[str]) -> None:
    """Judge the submission and write the answer, line by line; arguments: see `rubric`."""
    task = json.loads(arguments[0])
    from handgrad.checker import apart, check_path, likeness, spawned
    from handgrad.checker.page import records_of

    folder = Path(task["folder"]).resolve()
    _limit(int(task["memory"]), task["seconds"])
    with open(task["answer"], "w", encoding="utf-8") as file, open(task["trace"], "w") as trace:  # noqa: PTH123 - before the guard is up
        faulthandler.enable(trace)
        faulthandler.dump_traceback_later(task["seconds"], file=trace, exit=True)

        def write(**line: Any) -> None:
            file.write(json.dumps(_inside(line, folder)) + "\n")
            file.flush()

        write(sources=likeness.read_sources(folder, task["functions"]))
        spawned.guard(str(folder))
        guard_process(folder)
        result: dict[str, Any] = {"records": [], "remarks": [], "problem": ""}
        try:
            report = check_path(
                str(folder),
                drops=task["drops"],
                course=task["course"],
                strict=task["strict"],
                only=task["only"],
            )
            result["records"], result["remarks"] = records_of(report), report.remarks
        except MemoryError as error:
            result |= {"problem": f"out of memory{_place(error, folder)}", "again": _judges(error)}
        except BaseException as error:
            says = str(error) or type(error).__name__
            result |= {"problem": says.removeprefix("check: "), "again": _judges(error)}
        write(**result)
        apart._exit(0)  # threads of the submission that never end are not waited for


def guard_process(folder: Path) -> None:
    """Refuse what reaches out of the folder, and name what would end or stop the process."""
    sys.addaudithook(_guard(folder.resolve()))
    os._exit = _named_exit  # type: ignore[assignment]
    builtins.input = _no_input


def _named_exit(code: int = 0) -> Any:
    raise SystemExit(f"os._exit, exit code {code}")


def _no_input(prompt: object = "") -> str:
    raise EOFError("input() waits for somebody to type, and nobody is there")


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
    """Whether a process's memory can be limited: not on Windows, and macOS keeps no such limit."""
    try:
        import resource
    except ImportError:
        return False
    return hasattr(resource, "RLIMIT_AS") and sys.platform != "darwin"


def _limit(memory: int, seconds: float) -> None:
    """Limit memory, processor time and the size of files, where the system can."""
    try:
        import resource
    except ImportError:
        return
    time = int(2 * seconds) + 5  # the clock comes first; this ends what escaped it
    for kind, value in (
        ("RLIMIT_AS", memory * _MEBI),
        ("RLIMIT_CPU", time),
        ("RLIMIT_FSIZE", 64 * _MEBI),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, kind), (value, value))


def _caller() -> str:
    """The file whose code led to an audit event, but for the standard library's `subprocess`."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == subprocess.__file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename


def _guard(folder: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """Return a hook that refuses what reaches out of `folder`."""
    from handgrad.checker import apart, spawned

    inside = str(folder) + os.sep
    own = {"os.fork": apart, "os.kill": apart, "subprocess.Popen": spawned,
           "os.posix_spawn": spawned, "_winapi.CreateProcess": spawned}  # fmt: skip

    def is_inside(path: Any) -> bool:
        if isinstance(path, int):
            return True  # a file that is open already
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(inside)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in own and _caller() == own[event].__file__:
            return  # the checker's own, for edits of the code that may crash
        if event in _REFUSED:
            raise PermissionError(f"a submission may not use {event}")
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in (mode or "") for letter in "wax+") or (flags or 0) & _WRITING
            if writes and path is not None and not is_inside(path) and path != os.devnull:
                raise PermissionError(f"a submission may not write to {path}")
        elif event in _CHANGING and not all(
            is_inside(path) for path in arguments if isinstance(path, str | bytes | os.PathLike)
        ):
            raise PermissionError(f"a submission may not use {event} outside of its folder")

    return hook


if __name__ == "__main__":
    main(sys.argv[1:])
