"""Reports: plain records of a run -> figures and one HTML file that opens offline."""

from handgrad.report.grid import visualize_grid
from handgrad.report.page import write_report

__all__ = ["visualize_grid", "write_report"]
