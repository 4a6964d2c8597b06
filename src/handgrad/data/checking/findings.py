"""What a check of data found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

LEVELS: Final = ("serious", "look", "note")
"""How much a finding matters: the result will be wrong; it may be; good to know."""
SHOWN: Final = 20  # names of rows in a finding


@dataclass(frozen=True)
class DataFinding:
    """One thing that was found.

    Attributes:
        level: one of `LEVELS`.
        title: a few words.
        text: what was found.
        advice: what to do.
        rows: the names of at most `SHOWN` of the rows or columns it is about.
        pictures: pairs (name, image (C, H, W) uint8) to show.

    >>> DataFinding('warning', 'a small class', '3 rows', 'collect more').title
    'a small class'
    """

    level: str
    title: str
    text: str
    advice: str
    rows: tuple[str, ...] = ()
    pictures: tuple[tuple[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON, without its pictures."""
        return {
            "level": self.level,
            "title": self.title,
            "text": self.text,
            "advice": self.advice,
            "rows": list(self.rows),
        }


@dataclass
class DataCheck:
    """The facts and findings of a data set.

    Attributes:
        facts: name -> text.
        classes: name -> rows of each part.
        columns: a dictionary for each column of a table.

    >>> DataCheck('photos').findings
    []
    """

    name: str
    facts: dict[str, str] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    columns: list[dict[str, str]] = field(default_factory=list)
    findings: list[DataFinding] = field(default_factory=list)

    def add(
        self,
        level: str,
        title: str,
        text: str,
        advice: str,
        rows: Sequence[Any] = (),
        pictures: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Add a finding."""
        named = tuple(str(row) for row in rows[:SHOWN])
        self.findings.append(DataFinding(level, title, text, advice, named, tuple(pictures)))

    @property
    def is_serious(self) -> bool:
        """Whether training on the data as they are would give a wrong result, or none."""
        return any(finding.level == "serious" for finding in self.findings)

    def has(self, title: str) -> bool:
        """Whether there is a finding called `title`."""
        return any(finding.title == title for finding in self.findings)

    def sort(self) -> None:
        """Put what matters most in front."""
        self.findings.sort(key=lambda finding: LEVELS.index(finding.level))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        return {
            "name": self.name,
            "facts": dict(self.facts),
            "classes": {name: dict(counts) for name, counts in self.classes.items()},
            "columns": list(self.columns),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def several(names: Sequence[Any], most: int = 3) -> str:
    """Return some of `names` as a text.

    >>> several(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def counted(counts: Mapping[str, int], what: str) -> str:
    """Return counts as a text."""
    return ", ".join(f"{count:,} {what} {name}" for name, count in counts.items())
