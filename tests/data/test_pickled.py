"""The reader of pickled batches: what it reads, and that nothing in a file is ever run."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import goals
import numpy as np
import pytest
from data.exploits import EXPLOITS, good_batches
from data.fake_cifar10 import python2_meta, python2_pickle

from handgrad.data import machine, pickled
from handgrad.data.cifar10 import CLASS_NAMES
from handgrad.data.pickled import read_batch, read_label_names
from handgrad.errors import DataError

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", good_batches())
def test_reads_what_every_python_writes(name):
    rows, labels = read_batch(good_batches()[name], name)
    assert np.array_equal(rows, np.random.default_rng(0).integers(0, 256, (4, 100), dtype=np.uint8))
    assert labels.tolist() == [3, 1, 4, 1]
    assert labels.dtype == np.int64


def test_reads_the_class_names():
    assert read_label_names(python2_meta(), "meta") == CLASS_NAMES


@pytest.mark.parametrize(
    "content", [EXPLOITS["missing data"], b"\x80\x02].", b"\x80\x02}U\x0blabel_names](K\x01es."]
)
def test_other_class_names_are_refused(content):
    with pytest.raises(DataError, match="meta"):
        read_label_names(content, "meta")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os.system", "the name 'os' 'system', which such files do not use, at byte 2;"),
        ("STACK_GLOBAL", r"the name 'os' 'system', which such files do not use, at byte 14;"),
        ("INST", r"operation 0x69, which such files do not use, at byte 14;"),
        ("BINBYTES of 4 GB", "a length of 4294967295 with 1 bytes left at byte 2;"),
        ("no end", "a length of 1 with 0 bytes left at byte 3;"),
        ("bytes after the end", "1 bytes after the end"),
        ("float array", "an element type other than uint8"),
        ("labels of another number", "1 images but 2 labels"),
        ("many lists", "more than 150000 operations"),
        ("text spelled out again and again", "spelled out more than once"),
        ("array filled twice", "filled twice"),
    ],
)
def test_refusals_say_what_and_where(name, message):
    with pytest.raises(DataError, match=message):
        read_batch(EXPLOITS[name], name)


def run(count: int, seed: int, control: bool = False) -> dict:
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    arguments = [str(count), str(seed), "control" if control else "-"]
    done = subprocess.run(
        [sys.executable, str(TESTS / "data" / "run_exploits.py"), *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def check(report: dict) -> None:
    assert report["events"] == []
    assert report["wrong"] == []
    assert not set(report["accepted"]) & set(EXPLOITS)
    greedy = {
        name: (used, size)
        for name, (used, size) in report["memory"].items()
        if used > 2 * size + MEMORY_OF_THE_OPERATIONS
    }
    assert not greedy


# 150,000 operations make at most so many small objects, whatever the size of the file
MEMORY_OF_THE_OPERATIONS = 24 << 20


@pytest.mark.thorough
def test_exploits_and_mutations_run_nothing_and_crash_nothing():
    assert len(EXPLOITS) >= 50
    report = run(4000, seed=1)
    check(report)
    assert report["refused"] > 3000
    assert len(report["accepted"]) > 100  # those whose damage lies in the pixels


def test_the_audit_hook_sees_what_a_pickle_does():
    report = run(0, seed=1, control=True)
    with pytest.raises(AssertionError):
        check(report)
    assert any("find_class" in event for event in report["events"])
    assert any(event.startswith(("compile", "exec")) for event in report["events"])


@pytest.mark.long
def test_a_hundred_thousand_mutations():
    report = run(100_000, seed=2)
    check(report)
    goals.record(
        25,
        f"100,000 mutated and {len(EXPLOITS)} exploit pickles: 0 audit events, 0 crashes, "
        f"{report['refused']:,} refused; memory at most twice the file and 24 MB",
    )


def test_a_batch_costs_no_more_than_twice_its_file():
    rows = np.random.default_rng(0).integers(0, 256, (2000, 3072), dtype=np.uint8)
    content = python2_pickle(rows, np.arange(2000) % 10)
    tracemalloc.start()
    try:
        found, _ = read_batch(content, "batch")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(content)  # beside the content itself
    assert np.array_equal(found, rows)
    assert not found.flags.writeable


def test_only_names_from_the_list_and_no_way_to_call_them():
    assert not [
        value
        for value in [*vars(machine).values(), *vars(pickled).values()]
        if getattr(value, "__name__", "") == "pickle"
    ]
    assert all(isinstance(value, str) for value in machine.GLOBALS.values())
