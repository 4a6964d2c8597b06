"""Reports: plain records of a run -> figures and one HTML file that opens offline."""

from handgrad.report.card import model_card
from handgrad.report.grid import visualize_grid
from handgrad.report.page import write_report
from handgrad.report.plotting import plot

__all__ = ["model_card", "plot", "visualize_grid", "write_report"]
