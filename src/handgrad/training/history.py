"""The history of a run, read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handgrad.errors import DataError


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a ``history.jsonl``; a last line cut off by a crash is left out.

    Raises DataError if there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise DataError(f"report: there is no {path.name} in {path.parent}; is it a run folder?")
    records = []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise DataError(f"report: {path} line {number} is not JSON: {error}") from None
    return records
