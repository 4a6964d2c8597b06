"""Runs stopped at random moments, or by a full disk, resume to the bits of the run that never was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import goals
import pytest

from handgrad.optim import RULES

SCRIPT = Path(__file__).with_name("run_stops.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def experiment(folder, how, count, seed=0):
    """Run the experiment; return what it saw, after checking that nothing differs."""
    command = [sys.executable, str(SCRIPT), str(folder), how, str(count), str(seed)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert seen["wrong"] == []
    assert seen["finished"] > 0
    return seen


@pytest.mark.thorough
def test_twenty_signals(tmp_path):
    seen = experiment(tmp_path, "signal", 20)
    assert seen["stops"] == 20
    assert seen["in_training"] > 5
    assert seen["slowest"] < 5
    goals.record(
        17,
        f"{seen['stops']} signals, {seen['finished']} runs resumed to the end, 0 differ; checkpoint and "
        f"exit (130 or 143) after at most {seen['slowest']:.2f} s",
    )


def test_some_kills(tmp_path):
    seen = experiment(tmp_path, "kill", 6)
    assert seen["stops"] == 6
    assert seen["in_training"] > 1


@pytest.mark.long
def test_two_hundred_kills(tmp_path):
    seen = experiment(tmp_path, "kill", 200)
    assert seen["stops"] == 200
    assert seen["rules"] == sorted(RULES)
    goals.record(
        13,
        f"{seen['stops']} kills, {seen['finished']} runs resumed to the end, "
        f"{len(seen['rules'])} update rules, 0 differ",
    )


def test_a_disk_that_fills_up(tmp_path):
    experiment(tmp_path, "full", 2)


@pytest.mark.long
def test_twenty_disks_that_fill_up(tmp_path):
    seen = experiment(tmp_path, "full", 20)
    assert seen["survived"] > 10
    goals.record(
        16,
        f"{seen['sizes']} sizes ({seen['disk']}): exit code 2, nothing left behind, {seen['survived']} "
        "checkpoints good, every run resumed to the same bits once there was room",
    )
