"""What should be known of data before training: counts, damage, duplicates, leaks, labels that look wrong."""

from handgrad.data.checking.check import check_data
from handgrad.data.checking.findings import DataCheck, Finding

__all__ = ["DataCheck", "Finding", "check_data"]
