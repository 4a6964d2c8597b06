"""``make coverage-native``: which lines of the C++ code the native engine's tests run.

    python native/coverage.py FOLDER

FOLDER holds the objects of a build with HANDGRAD_COVERAGE, and beside them what the tests counted.  A line
counts as run where it is in any instruction set and any instance of its template.  It prints a table by
file with the lines that nothing runs, and ends with status 1 where less than 95 % of all lines ran.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
ENOUGH = 95  # percent of the lines

Lines = dict[str, dict[int, bool]]


def counted(folder: Path) -> Lines:
    """Return of each file of ours its lines, and whether each was run."""
    found: Lines = defaultdict(dict)
    for data in sorted(folder.rglob("*.gcda")):
        command = ["gcov", "--json-format", "--stdout", data.name]
        done = subprocess.run(command, cwd=data.parent, capture_output=True, text=True, check=True)
        for report in done.stdout.splitlines():
            add(found, json.loads(report))
    return found


def add(found: Lines, report: dict) -> None:
    """Add one report of gcov to the lines."""
    for file in report["files"]:
        path = Path(report["current_working_directory"], file["file"]).resolve()
        if path.is_relative_to(NATIVE):
            lines = found[str(path.relative_to(NATIVE))]
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, False) or line["count"] > 0


def ranges(numbers: list[int]) -> str:
    """Return line numbers as text.

    >>> ranges([3, 4, 5, 9])
    '3-5, 9'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def share(lines: Lines) -> tuple[int, int]:
    """Return how many lines ran, and how many there are."""
    every = [ran for file in lines.values() for ran in file.values()]
    return sum(every), len(every)


def table(lines: Lines) -> str:
    """Return a table in Markdown: file, lines, percent, lines that nothing runs."""
    rows = ["| file | lines | run | not run |", "|---|---|---|---|"]
    for name in sorted(lines):
        ran, count = share({name: lines[name]})
        missing = ranges([number for number, was in lines[name].items() if not was])
        rows.append(f"| {name} | {count} | {100 * ran / count:.1f} % | {missing} |")
    return "\n".join(rows)


def main(folder: str) -> int:
    """Print the table, record the figure of goal 38, and return 1 where too little ran."""
    lines = counted(Path(folder))
    if not lines:
        sys.exit(f"{folder} holds no counts; run: make coverage-native")
    ran, count = share(lines)
    percent = 100 * ran / count
    print(table(lines))
    print(
        f"{ran:,} of {count:,} lines of C++ ({percent:.1f} %) are run by the native engine's tests"
    )
    sys.path.insert(0, str(NATIVE.parent / "tests"))
    from goals import record

    figure = f"{percent:.1f} % of {count:,} lines of C++ run by the native engine's tests"
    record(38, figure, test="make coverage-native", passed=percent >= ENOUGH)
    return 0 if percent >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
