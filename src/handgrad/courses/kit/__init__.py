"""A course to hand out: chapters, exercises with their tests, a rubric, and solutions.

The solutions in files/ hold the exercises, too: what stands between a line ``# TODO: ...`` and a line
``# END`` is left out of the students' files.
"""

from __future__ import annotations

import shutil
from os import PathLike
from pathlib import Path

from handgrad.errors import DataError

FILES = Path(__file__).parent / "files"
MODULES = ("dense.py", "network.py", "rules.py", "norms.py", "images.py")

__all__ = ["exercise", "write_course", "write_exercises"]


def exercise(solution: str, name: str = "a solution") -> str:
    """Return the exercise of a solution: a marked block becomes its TODO and NotImplementedError.

    Args:
        solution: source text, with lines ``# TODO: ...`` and ``# END`` around what is to be written.
        name: what a message calls the text.

    Raises:
        DataError: a block does not end, or ends without a beginning.

    >>> print(exercise("def double(x):\\n    # TODO: a line\\n    out = 2 * x\\n    # END\\n    return out"))
    def double(x):
        # TODO: a line
        raise NotImplementedError
        return out
    """
    kept: list[str] = []
    begun = 0
    for number, line in enumerate(solution.splitlines(), start=1):
        mark = line.strip()
        if mark.startswith("# TODO"):
            if begun:
                raise DataError(
                    f"{name}: the TODO of line {begun} has no # END before line {number}"
                )
            begun = number
            indent = line[: len(line) - len(line.lstrip())]
            kept += [line, f"{indent}raise NotImplementedError"]
        elif mark == "# END":
            if not begun:
                raise DataError(f"{name}: the # END of line {number} has no TODO before it")
            begun = 0
        elif not begun:
            kept.append(line)
    if begun:
        raise DataError(f"{name}: the TODO of line {begun} has no # END")
    return "\n".join(kept) + ("\n" if solution.endswith("\n") else "")


def write_exercises(solutions: str | PathLike[str], student: str | PathLike[str]) -> list[Path]:
    """Write the exercise of each Python file in `solutions` into the folder `student`.

    Returns:
        The files that were written.

    Raises:
        DataError: there is no Python file, a block is not closed, or a file is there that differs.

    >>> write_exercises('my-course/solutions', 'student')  # doctest: +SKIP
    """
    sources = sorted(Path(solutions).glob("*.py"))
    if not sources:
        raise DataError(f"course exercises: no Python file in {solutions}")
    texts = {}
    for source in sources:
        target = Path(student) / source.name
        text = exercise(source.read_text("utf-8"), str(source))
        if target.exists() and target.read_text("utf-8") != text:
            raise DataError(
                f"course exercises: {target} is there and differs; move it away, or name another folder"
            )
        texts[target] = text
    Path(student).mkdir(parents=True, exist_ok=True)
    for target, text in texts.items():
        target.write_text(text, "utf-8")
    return list(texts)


def write_course(folder: str | PathLike[str]) -> Path:
    """Write a course into a new folder: chapters, student/, solutions/, rubric.toml and README.md.

    Args:
        folder: the folder to make; one that is there must be empty.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds something already.

    >>> write_course('my-course')  # doctest: +SKIP
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"course new: {folder} is there already; name a new folder")
    solutions = folder / "solutions"
    solutions.mkdir(parents=True)
    shutil.copytree(FILES / "chapters", folder / "chapters")
    for name in ("README.md", "rubric.toml"):
        shutil.copy(FILES / name, folder / name)
    for name in MODULES:
        shutil.copy(FILES / name, solutions / name)
    write_exercises(solutions, folder / "student")
    for place in (solutions, folder / "student"):
        shutil.copy(FILES / "test_exercises.py", place)
    return folder
