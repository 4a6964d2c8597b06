"""The checker that names the bug: right, wrong, or not testable here, and what is probably wrong.

`check` judges a pair that is at hand, `check_path` what a file, folder or module defines;
`backward_of` and `check_with` mark pairs of one's own.  Evidence comes first (`pairs`, `slopes`,
`contracts`), then the diagnosis (`diagnosis`, `hypotheses`, `repair`).
"""

from handgrad.checker.api import backward_of, check, check_with
from handgrad.checker.discover import check_path
from handgrad.checker.loading import CheckError
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    UNTESTED,
    WRONG,
    Cause,
    Verdict,
)
from handgrad.checker.report import Report

__all__ = [
    "NOT_WRITTEN",
    "RIGHT",
    "UNTESTED",
    "WRONG",
    "Cause",
    "CheckError",
    "Report",
    "Verdict",
    "backward_of",
    "check",
    "check_path",
    "check_with",
]
