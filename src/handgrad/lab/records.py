"""The lines of a history: objects of JSON, one a line."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

Record = dict[str, Any]


def _none(name: str) -> None:
    """Return None for NaN and infinity, which JSON does not have."""


def records_of(lines: bytes) -> list[Record]:
    """Return the objects in `lines` of JSON; what is none is left out.

    >>> records_of(b'{"iteration": 1}\\nnonsense\\n')
    [{'iteration': 1}]
    """
    listed = lines.splitlines()
    with suppress(ValueError, RecursionError):
        found = json.loads(b"[" + b",".join(listed) + b"]", parse_constant=_none)
        return [record for record in found if isinstance(record, dict)]
    records = []
    for line in listed:
        with suppress(ValueError, RecursionError):
            record = json.loads(line, parse_constant=_none)
            if isinstance(record, dict):
                records.append(record)
    return records
