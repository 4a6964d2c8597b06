"""Run a course's notebook as it was written, and judge what it prints.

    from handgrad.courses.notebook import run_notebook
    result = run_notebook("BatchNormalization.ipynb", data_dir="~/data")
    print(result.broken)

`run_notebook` reads the file, chooses the profile, and runs the cells in a kernel of their own in a temporary
folder.  It compares every printed error with the bound in the notebook's own text, and with the output that
the file holds.

=============  =======================================================================================
``run``        the whole: reads, chooses, starts, runs, judges; ``execution`` runs cell after cell
``read``       the file; ``python2`` converts it; ``scope`` refuses what is not ours, in one sentence
``catalogue``  which notebooks the courses have; ``guess`` chooses the profile
``cells``      what a cell does; ``solve`` fills open exercises; ``student`` takes somebody's functions
``kernel``     what is prepared in the kernel, with ``stubs``; ``client``, ``workspace``, ``pictures``
``bounds``     the bounds in the text; ``quantities`` printed; ``verdict`` compares them
``diagnosis``  what is wrong with a student's functions, by ``judging`` in a process of its own
``results``    cells, findings, and whether it is good; ``run_page`` shows them
=============  =======================================================================================
"""

from handgrad.courses.notebook.results import CellResult, NotebookResult
from handgrad.courses.notebook.run import run_notebook
from handgrad.courses.notebook.verdict import Finding

__all__ = ["CellResult", "Finding", "NotebookResult", "run_notebook"]
