"""The verdicts of one check, with an exit code, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from handgrad.checker.records import RIGHT, WRONG, Verdict
from handgrad.checker.text import as_text


@dataclass
class Report:
    """The verdicts of one check.  True if nothing is wrong and something was right.

    remarks: what was assumed, such as the course; by_file: whether the text names each file.

    >>> bool(Report([Verdict("relu_forward", RIGHT)])), bool(Report([Verdict("f", WRONG)]))
    (True, False)
    """

    verdicts: list[Verdict]
    remarks: list[str] = field(default_factory=list)
    by_file: bool = False

    def __bool__(self) -> bool:
        return self.exit_code == 0

    def __getitem__(self, function: str) -> Verdict:
        for verdict in self.verdicts:
            if verdict.function == function:
                return verdict
        raise KeyError(function)

    def __str__(self) -> str:
        return as_text(self)

    @property
    def exit_code(self) -> int:
        """0: all that is written and testable is right; 1: something is wrong; 2: nothing was tested."""
        found = {verdict.verdict for verdict in self.verdicts}
        return 1 if WRONG in found else 0 if RIGHT in found else 2

    def as_dict(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return {
            "exit_code": self.exit_code,
            "remarks": self.remarks,
            "functions": [verdict.as_dict() for verdict in self.verdicts],
        }
