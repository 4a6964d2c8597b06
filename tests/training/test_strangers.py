"""Checkpoints from strangers: whatever a file says, it is read or refused, and costs little."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training.fuzz_checkpoints import KIND, SLOW, good_checkpoint, split

from handgrad.errors import CheckpointError
from handgrad.training import load_checkpoint

FUZZ = Path(__file__).with_name("fuzz_checkpoints.py")


def fuzz(count, seed):
    command = [sys.executable, str(FUZZ), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["slowest"] < SLOW
    assert min(report["outcomes"].values()) > count / 100  # each stage of reading was reached
    assert len(report["outcomes"]) == 4
    return report


@pytest.mark.skipif(not hasattr(os, "fork"), reason="its processes are forked")
def test_hostile_checkpoints_are_refused():
    fuzz(2000, seed=1)


@pytest.mark.long
def test_a_hundred_thousand_hostile_checkpoints_are_refused():
    fuzz(100_000, seed=2)


class Sparse:
    """A file of a terabyte that holds nothing but a length."""

    def __init__(self, path, length):
        with path.open("wb") as file:
            file.write(length.to_bytes(8, "little"))
            file.truncate(1 << 40)


@pytest.mark.parametrize("length", [100_000_001, 1 << 39, 2**63, 2**64 - 1])
def test_the_length_of_the_header_is_checked_before_more_is_read(length, tmp_path):
    path = tmp_path / "c.safetensors"
    Sparse(path, length)
    with pytest.raises(CheckpointError, match=f"a header of {length} bytes in a file of"):
        load_checkpoint(path)  # to read it all would take the memory of a terabyte


def test_the_kind_is_the_one_that_is_fuzzed():
    assert KIND in split(good_checkpoint())[0]["__metadata__"]["kind"]
