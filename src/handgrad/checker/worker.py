"""The process that judges one submission: ``python -m handgrad.checker.worker`` (see `rubric`).

It limits its memory, its time and the size of files, and refuses, by an audit hook that Python code
cannot remove, to write outside of its scratch folder, to start processes and to use the network.
This keeps a careless submission from harm; it is no prison for a hostile one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
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
    "os.spawn", "os.kill", "os.killpg", "socket.connect", "socket.bind", "socket.sendto",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Judge the submission and write the answer; arguments: see `rubric.judge_one`."""
    folder, answer, dropout, memory, seconds = arguments
    from handgrad.checker import check_path
    from handgrad.checker.page import records_of

    _limit(int(memory), int(seconds))
    with open(answer, "w", encoding="utf-8") as file:  # noqa: PTH123 - before the guard is up
        sys.addaudithook(_guard(Path(folder).resolve()))
        result: dict[str, Any] = {"records": [], "problem": ""}
        try:
            result["records"] = records_of(check_path(folder, drops=dropout == "drop"))
        except MemoryError:
            result["problem"] = "out of memory"
        except BaseException as error:
            result["problem"] = str(error) or type(error).__name__
        file.write(json.dumps(result).replace(folder + os.sep, ""))


def _limit(memory: int, seconds: int) -> None:
    """Limit memory, processor time and the size of files, where the system can."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    for kind, value in (
        (resource.RLIMIT_AS, memory * _MEBI),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 64 * _MEBI),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def _caller() -> str:
    """The file whose code led to an audit event."""
    return sys._getframe(2).f_code.co_filename


def _guard(folder: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """Return a hook that refuses what reaches out of `folder`."""
    from handgrad.checker import apart

    inside = str(folder) + os.sep

    def is_inside(path: Any) -> bool:
        if isinstance(path, int):
            return True  # a file that is open already
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(inside)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.fork", "os.kill") and _caller() == apart.__file__:
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
