"""200 slow, dead and oversized clients beside a training: no step is lost, and the memory is bounded."""

import statistics
import sys

import goals
import pytest

pytest.importorskip("uvicorn", reason="the lab is an extra")

from lab.clients import CLIENTS, measure

MOST = 40  # MiB that clients may cost the server


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_clients_cost_no_step_and_little_memory(tmp_path):
    found = measure(tmp_path, turns=3)
    before, most = found["memory"]
    assert found["lost"] == 0
    assert found["opened"] > 3 * CLIENTS  # who was shut out came again
    assert most - before < MOST, found["memory"]
    ratio, work = (statistics.median(found[name]) for name in ("time", "work"))
    goals.record(
        31,
        f"{CLIENTS} clients, in turns with none: {ratio:.3f} times as long, "
        f"{work:.3f} times the processor time, 0 steps lost, server {most:.0f} MiB at most",
    )
