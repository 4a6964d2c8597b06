"""Run a course's notebook as it was written, and judge what it prints.

    from handgrad.courses.notebook import run_notebook
    result = run_notebook("BatchNormalization.ipynb", data_dir="~/data")
    print(result.broken)

`run_notebook` reads the file, chooses the profile, runs the cells in a kernel of their own in a temporary
folder, and compares every printed error with the bound in the notebook's own text and with the output
that the file holds.
"""

from handgrad.courses.notebook.results import CellResult, NotebookResult
from handgrad.courses.notebook.run import run_notebook
from handgrad.courses.notebook.verdict import Finding

__all__ = ["CellResult", "Finding", "NotebookResult", "run_notebook"]
