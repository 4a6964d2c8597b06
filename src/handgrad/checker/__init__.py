"""The checker that names the bug: right, wrong, or not testable here, and what is probably wrong.

`check` judges a pair that is at hand, `check_path` what a file, folder or module defines;
`backward_of` and `check_with` mark pairs of one's own.  Evidence comes first, then the diagnosis.  The files:

What is judged
    ``api``, ``adapters``, ``stored``: things at hand, their forms, the gradients that they store
    ``discover``, ``by_name``, ``known/``: what a file defines, and the layers that courses know by name
    ``groups``: what is judged together, and by which source
    ``loading``, ``imports``, ``places``, ``standins``: importing a file as it is
    ``scripts``: lines in it that cannot run here
    ``guess``: its course
    ``written``, ``untold``, ``callees``: what is not written yet
    ``relics``: what Python 3 and NumPy no longer have
The evidence
    ``pairs``, ``beside``: forward and backward
    ``calling``, ``contracts``, ``expected``, ``probes``, ``slopes``: what these two use
    ``update_rules``, ``steps``; ``models``, ``model_truth``, ``model_checks``; ``networks`` (of objects)
    ``classifiers``, ``own_weights``, ``descent``, ``features``: assignment 1
    ``records``: what all of them collect
    ``course``: what only the strict contract judges
    ``guards``: tiny numbers in a loss that cost no points
The diagnosis
    ``diagnosis``: which hypothesis explains what came
    ``hypotheses/``: all of them, with an index
    ``guesses``, ``likely``: what each predicts, and which come first
    ``wording``, ``structure``, ``misshapen``, ``failures/``: the words
    ``reading``: the source at a glance
    ``repair``, ``reruns``: the one edit that makes it right
    ``edit``, ``edits``, ``edits_of_arrays``, ``edits_of_orders``, ``edits_of_terms``: what is tried
Running somebody's code
    ``undisturbed``: in this process
    ``apart``, ``spawned``, ``spawned_process``: an edit, in another process
    ``kept``, ``keeper``: a process that judges file after file
    ``worker``: what that process does
    ``jobs``: its limits on Windows
    ``reset``: how it is put back
    ``folder``: the files of a folder
A class
    ``rubric``: judging submissions
    ``points``: the rubric
    ``submissions``, ``notebooks``: what is handed in
    ``likeness``: which are alike
    ``results``: tables and pages
What is said
    ``report``, ``text``: in a terminal
    ``verdict_page``, ``heat``: the page
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
