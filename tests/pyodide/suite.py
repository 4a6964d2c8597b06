"""Runs pytest where there are no processes and no files without a name; its arguments are pytest's."""

import sys

import numpy as np
import pytest

sys.stdout.write(f"Python {sys.version.split()[0]}, {sys.platform}, NumPy {np.__version__}\n")
sys.exit(int(pytest.main(["-p", "no:cacheprovider", "--capture=sys", *sys.argv[1:]])))
