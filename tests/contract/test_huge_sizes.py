"""Sizes around 2**31 and 2**63 are refused before anything of that size is made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import goals
import pytest

SCRIPT = Path(__file__).with_name("run_huge_sizes.py")


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_thousand_huge_calls_are_refused():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HANDGRAD_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    refused, memory = report["counts"]["refused"], report["counts"]["memory"]
    assert refused > 300  # beyond any memory: said so by the function that was called
    assert memory > 300  # beyond this one: with the amount that was wanted
    assert refused + memory > 700
    goals.record(
        36,
        f"{refused + memory:,} calls with sizes of 2**31 to 10**30: {refused} refused by name, {memory} "
        "for want of memory with the amount, 0 crashes",
    )
