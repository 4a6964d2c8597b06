"""Benchmarks: verify first, then time, interleaved with PyTorch in the same run.

==============  ==================================================================================
``rows``        what is measured, and how a row is run
``work``        the data and weights of a benchmark, the same for all sides
``ours``        the work done by Handgrad
``torch_peer``  the same work done by PyTorch
``settings``    the ways in which PyTorch can do it, and the search for the best
``worker``      the processes in which both sides run
``tolerance``   how far results may be from the reference
``measure``     statistics, comparisons of results, lines of text
``table``       results as a table in Markdown
``latency``     one image in each form that a network can leave in
==============  ==================================================================================
"""

from handgrad.bench.measure import WrongResult
from handgrad.bench.rows import Bench, Row, all_rows

__all__ = ["Bench", "Row", "WrongResult", "all_rows"]
