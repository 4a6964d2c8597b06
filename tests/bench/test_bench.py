"""What `handgrad bench` verifies, refuses and writes; our side runs in this process."""

import json
from functools import partial

import numpy as np
import pytest
from bench.jobs import CONV, EPOCH, POOL, STEP, TWO, bench_here, desk, row_of

import handgrad.bench
from handgrad.bench import Bench, Row, WrongResult, all_rows
from handgrad.bench.rows import allowed
from handgrad.bench.settings import LIMITS, MALLOC
from handgrad.bench.worker import Desk, SideError, Worker
from handgrad.cli.app import run
from handgrad.engines import naive
from handgrad.errors import EngineError, OptionError


def scaled(function, factor, index=0):
    """The function, with the result at `index` off by a factor."""

    def wrong(*args):
        results = list(function(*args))
        results[index] = results[index] * factor
        return tuple(results)

    return wrong


def test_both_sides_are_limited_to_an_instruction_set(monkeypatch):
    given = []

    class Fake:
        def __init__(self, side, threads, environment=None):
            given.append((side, environment))

        def ask(self, do, **request):
            return {}

        def close(self):
            pass

    monkeypatch.setattr("handgrad.bench.settings.Worker", Fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with Bench(side=Fake, isa="avx2") as bench:
        assert bench.peer is not None
        assert not bench.peer.compiles
        bench.peer.worker("float32", "tuned")
    ours, theirs = LIMITS["avx2"]["ours"], LIMITS["avx2"]["torch"]
    assert ours == {"HANDGRAD_ISA": "avx2"}
    assert given == [
        ("torch", theirs), ("ours", ours), ("torch", {**MALLOC["tuned"], **theirs}),
    ]  # fmt: skip


# verifying


@pytest.mark.parametrize("job", [CONV, POOL, TWO], ids=["conv", "pool", "two"])
def test_a_right_engine_passes(job):
    with bench_here("naive") as bench:
        verified = bench.verify({**job, "batch": 1})
    assert {entry["who"].rpartition(" ")[2] for entry in verified} == {job["dtype"], "float64"}
    assert max(entry["error"] for entry in verified) < 1e-4


@pytest.mark.parametrize("factor", [1 + 1e-3, 1 + 1e-4, np.nan])
@pytest.mark.parametrize("name", ["conv_forward", "conv_backward"])
def test_a_wrong_convolution_is_not_timed(monkeypatch, name, factor):
    monkeypatch.setattr(naive, name, scaled(getattr(naive, name), factor))
    monkeypatch.setattr(Desk, "_time", None)
    with bench_here("naive") as bench, pytest.raises(WrongResult, match="handgrad naive"):
        list(bench.run(row_of(CONV)))


def test_gradients_of_networks_may_move_but_not_grow():
    of_gradient, of_layer = allowed(STEP, "float32"), allowed(CONV, "float32")
    for size in (3 * 9 * 64, 64 * 9 * 128):
        error, scale = of_gradient("gradient W1", size)
        assert error > 1e-2
        assert scale < 9e-4  # sees a factor 1.001
    assert of_gradient("gradient gamma1", 64)[1] > 1e-3
    assert of_gradient("loss", 1) == of_gradient("update W1", 64) == (1e-4, 1e-4)
    assert of_layer("dw", 64) == (2e-5, 2e-5)
    assert allowed(STEP, "float64")("gradient W1", 64) == (1e-9, 1e-9)


@pytest.mark.parametrize(
    ("name", "index"), [("affine_forward", 0), ("affine_backward", 1), ("softmax_loss", 0)]
)
def test_a_wrong_network_is_refused(monkeypatch, name, index):
    monkeypatch.setattr(naive, name, scaled(getattr(naive, name), 1 + 1e-3, index))
    with bench_here("naive") as bench, pytest.raises(WrongResult, match="naive"):
        bench.verify({**TWO, "batch": 1})


def test_the_float32_path_alone_may_be_wrong(monkeypatch):
    right = naive.conv_forward

    def wrong(x, *rest):
        out, saved = right(x, *rest)
        return out * (1.001 if x.dtype == np.float32 else 1), saved

    monkeypatch.setattr(naive, "conv_forward", wrong)
    with bench_here("naive") as bench, pytest.raises(WrongResult, match="float32: out"):
        bench.verify(CONV)


def test_other_engines_are_verified_too(monkeypatch):
    monkeypatch.setattr(naive, "max_pool_backward", lambda dout, saved: np.zeros((2, 2, 5, 4)))
    with bench_here("vectorized") as bench, pytest.raises(WrongResult, match="naive, float64: dx"):
        list(bench.run(row_of(POOL, engines=("naive",))))


def test_the_update_rule_is_verified(monkeypatch):
    def wrong(name):
        return lambda w, dw, config: (w - 1e-2 * dw * (1 + 1e-3 * (w.dtype == np.float32)), config)

    monkeypatch.setattr("handgrad.bench.ours.get_rule", wrong)
    with bench_here() as bench, pytest.raises(WrongResult, match="float32: update W1"):
        bench.verify(TWO)


# running


def test_other_engines_are_timed_and_naive_only_once():
    with bench_here("vectorized", rounds=3) as bench:
        (result,) = bench.run(row_of(CONV, engines=("vectorized", "naive")))
    assert (result["row"], result["case"], result["unit"]) == (1, "a case", "s")
    assert result["ours"]["name"] == "handgrad vectorized"
    assert result["ours"]["count"] == 3
    (other,) = result["peers"]
    assert (other["name"], other["count"]) == ("handgrad naive", 1)
    assert other["ratio"] == pytest.approx(other["median"] / result["ours"]["median"])
    assert other["ratio"] > 1


def test_memory_is_that_of_a_fresh_process():
    ballast = np.ones(200 << 17)  # 200 MiB here
    with bench_here(side=Worker) as bench:
        (result,) = bench.run(row_of(TWO, measures="memory"))
    assert result["unit"] == "bytes"
    assert 10 << 20 < result["ours"]["at_start"] <= result["ours"]["median"] < ballast.nbytes


def test_an_epoch_is_that_of_the_solver():
    epoch = Desk("ours")
    epoch.ask("prepare", job=EPOCH, setting={"engine": "vectorized"})
    accuracies = epoch.call()
    assert len(accuracies) == 2  # after the first step, and after the epoch
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert len(epoch.ask("time", seconds=0.0)) == 1


def test_every_row_names_jobs_that_can_be_done():
    for quick in (False, True):
        found = all_rows(quick)
        assert list(found) == [*range(1, 15), 21, 22, 23]
        beside_torch = [row for row in found.values() if row.measures != "use"]
        kinds = {job["kind"] for row in beside_torch for job in row.cases.values()}
        assert kinds == {"step", "scores", "epoch", "conv", "pool", "affine"}
    assert len(found[6].cases) == 40


def test_a_process_has_its_threads_and_reports_errors():
    worker = Worker("ours", 1)
    try:
        with pytest.raises(SideError, match="KeyError: 'kind'"):
            worker.ask("prepare", job={}, setting={"engine": "vectorized"})
        worker.ask("prepare", job=TWO, setting={"engine": "vectorized"})
        (seconds,) = worker.ask("time", seconds=0.0)
        assert 0 < seconds < 60
        worker.process.kill()
        with pytest.raises(SideError, match="process ended"):
            worker.ask("memory")
    finally:
        worker.close()


# the command


@pytest.fixture
def small_rows(monkeypatch):
    """The command on two small rows, with our side in this process."""
    rows = {1: row_of(CONV), 2: Row(2, "two", {"x": TWO, "y": POOL})}
    monkeypatch.setattr(handgrad.bench, "all_rows", lambda quick: rows)
    monkeypatch.setattr(handgrad.bench, "Bench", partial(Bench, side=desk))


def test_results_in_json(small_rows, tmp_path, capsys):
    file = tmp_path / "results.json"
    arguments = ["--quick", "--no-torch", "--engine", "vectorized", "--threads", "1"]
    assert run(["bench", *arguments, "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert (report["quick"], report["engine"], report["threads"]) == (True, "vectorized", 1)
    assert report["peer"] is None
    assert report["wrong"] == []
    assert {"cpu", "cores", "blas", "versions", "data"} == set(report["machine"])
    assert [result["case"] for result in report["results"]] == ["a case", "x", "y"]
    for result in report["results"]:
        assert {"row", "title", "case", "verified", "unit", "ours", "peers"} == set(result)
        ours = result["ours"]
        assert ours["minimum"] <= ours["q1"] <= ours["median"] <= ours["q3"]
        assert ours["count"] >= 3
        assert result["verified"]
    out = capsys.readouterr().out
    assert "handgrad vectorized" in out
    assert report["machine"]["cpu"] in out
    assert report["date"]
    assert run(["bench", "--table", str(file)]) == 0
    assert f"| {report['results'][0]['row']} |" in capsys.readouterr().out


def test_rows_are_chosen_by_number(small_rows, capsys):
    assert run(["bench", "1", "--quick", "--no-torch"]) == 0
    assert "two" not in capsys.readouterr().out


def test_a_wrong_engine_is_exit_status_1(small_rows, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(naive, "conv_forward", scaled(naive.conv_forward, 1 + 1e-3))
    file = tmp_path / "results.json"
    arguments = ["bench", "1", "--quick", "--no-torch", "--engine", "naive", "--json", str(file)]
    assert run(arguments) == 1
    out = capsys.readouterr().out
    assert "NOT TIMED" in out
    assert "handgrad naive, float32: out differs from the reference" in out
    report = json.loads(file.read_text())
    assert len(report["wrong"]) == 1
    assert report["results"] == []


def test_list_shows_the_rows(capsys):
    assert run(["bench", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in listed] == [*range(1, 15), 21, 22, 23]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99"], "there is no row 99; handgrad bench --list shows them"),
        (["--no-torch", "--engine", "quick"], "engine must be one of"),
        (["--threads", "0"], "--threads"),
        (["one"], "'one' is not a valid integer"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(capsys, arguments, message):
    assert run(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_pytorch_the_message_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'handgrad\[torch\]'.*--no-torch"):
        bench_here(with_torch=True)
    assert run(["bench", "4", "--quick"]) == 2
    assert "PyTorch is not installed" in capsys.readouterr().err


def test_engines_that_are_not_there():
    with pytest.raises(EngineError):
        bench_here("native2")
