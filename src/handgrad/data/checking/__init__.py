"""What should be known of data before training: counts, damage, duplicates, leaks, labels that look wrong."""

from handgrad.data.checking.check import check_data
from handgrad.data.checking.findings import DataCheck, DataFinding

__all__ = ["DataCheck", "DataFinding", "check_data"]
