"""What an image costs by batch and image size, and work that is handed to simulated cores."""

import json

import numpy as np
import pytest

from handgrad import engines
from handgrad.bench import scale
from handgrad.cli.app import run

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)


class TestSplit:
    def test_equal_chunks_on_as_many_cores_lose_barriers_alone(self):
        one = scale.split(8.0, [[1.0] * 8], 8, barrier=0.5)
        assert one.seconds == 1.5
        assert one.efficiency == pytest.approx(8 / (8 * 1.5))
        assert (one.barriers, one.imbalance, one.alone) == (pytest.approx(0.5 / 1.5), 0.0, 0.0)

    def test_a_long_chunk_leaves_the_others_waiting(self):
        one = scale.split(5.0, [[3.0, 1.0, 1.0]], 2, barrier=0.0)
        assert one.seconds == 3.0
        assert one.imbalance == pytest.approx(1.0 / 6.0)
        # the same at the end of a region is worse: chunks are handed out in their order
        assert scale.split(5.0, [[1.0, 1.0, 3.0]], 2, barrier=0.0).seconds == 4.0

    def test_what_no_region_covers_stays_on_one_core(self):
        one = scale.split(10.0, [[2.0] * 4, [1.0]], 4, barrier=0.0)
        assert one.seconds == 2.0 + 1.0 + 1.0
        assert one.alone == pytest.approx(3 * 2.0 / (4 * 4.0))
        assert one.efficiency == pytest.approx(10.0 / 16.0)

    def test_all_time_is_named(self):
        rng = np.random.default_rng(0)
        regions = [list(rng.random(n)) for n in (1, 3, 17, 40, 8)]
        whole = sum(map(sum, regions)) + 2.0
        for cores in scale.CORES:
            one = scale.split(whole, regions, cores, barrier=0.1)
            assert one.efficiency + one.barriers + one.imbalance + one.alone == pytest.approx(1.0)
            assert whole / cores <= one.seconds <= whole + 0.1 * len(regions)
        assert scale.split(whole, regions, 1).seconds == pytest.approx(whole)


def test_the_trace_of_a_step_covers_its_work():
    before = engines.get("native").control.threads()
    try:
        whole, regions = scale.trace(scale.our_step(8, 16))
    finally:
        engines.set_threads(before)
    work = sum(map(sum, regions))
    assert 0.2 * whole < work < whole
    assert len(regions) > 20
    assert max(map(len, regions)) > 4
    from handgrad.engines.native import _kernels

    scale.our_step(4, 8)()
    assert _kernels.stop_trace() == []  # nothing is noted once it has ended


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scale, "BATCHES", (1, 8))
    monkeypatch.setattr(scale, "IMAGES", (8, 16))
    before = engines.get("native").control.threads()
    picture, file = tmp_path / "scale.png", tmp_path / "scale.json"
    options = ["--quick", "--no-torch", "--picture", str(picture), "--json", str(file)]
    try:
        assert run(["bench", "scale", *options]) == 0
    finally:
        engines.set_threads(before)
    printed = capsys.readouterr().out
    assert "16 cores" in printed
    assert "an image" in printed
    assert picture.read_bytes()[:4] == b"\x89PNG"
    report = json.loads(file.read_text())
    assert [point["batch"] for point in report["points"]] == [1, 32]
    assert [one["cores"] for one in report["splits"]] == [1, 2, 4, 8, 16]
    assert all(0 < one["efficiency"] <= 1.0001 for one in report["splits"])


def test_a_picture_of_rows_is_refused(tmp_path, capsys):
    assert run(["bench", "1", "--picture", str(tmp_path / "x.png")]) == 2
    assert "bench scale" in capsys.readouterr().err
