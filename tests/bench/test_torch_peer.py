"""PyTorch's side: it does the same work, in each setting, and the search finds the fastest."""

import pytest
from bench.jobs import CONV, EPOCH, JOBS, POOL, SCORES, STEP, TWO, bench_here

from handgrad.bench import WrongResult
from handgrad.bench.settings import Peer, candidates, describe, other_modes, precisions
from handgrad.bench.torch_peer import TorchPeer
from handgrad.bench.worker import Desk, SideError

torch = pytest.importorskip("torch")


class PeerHere(Peer):
    """PyTorch in this process."""

    def worker(self, precision, malloc):
        return self._workers.setdefault((precision, malloc), Desk("torch"))


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr("handgrad.bench.rows.Peer", PeerHere)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    with bench_here(with_torch=True, may_compile=False) as bench:
        yield bench
    torch.set_num_threads(threads)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_both_sides_compute_the_same(bench, job):
    verified = bench.verify(job)
    assert "PyTorch" in verified[-1]["who"]
    assert verified[-1]["error"] < 1e-12


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_setting_computes_the_same(bench, job):
    for precision in precisions(job):
        for setting in candidates(job, precision):
            for mode in ("eager", *other_modes(job, compiles=False)):
                worker = bench.peer.worker(precision, "default")
                bench._compared_peer(job, {**setting, "mode": mode}, worker)


@pytest.mark.parametrize("how", ["fused", "foreach", "loop"])
@pytest.mark.parametrize("job", [STEP, TWO], ids=["adam", "sgd"])
def test_every_optimizer_computes_the_same(bench, job, how):
    setting = {**next(candidates(job, "float64")), "optimizer": how}
    bench._compared_peer(job, setting, bench.peer.worker("float32", "default"))


def test_bf16_that_is_too_far_off_is_left_out_and_float32_is_refused(bench, monkeypatch):
    said = []
    monkeypatch.setattr(bench, "say", said.append)
    real = bench._compared_peer
    wrong = "bf16"

    def compared(job, setting, worker):
        if setting["precision"] == wrong:
            raise WrongResult("a gradient is wrong")
        return real(job, setting, worker)

    monkeypatch.setattr(bench, "_compared_peer", compared)
    _, *peers = bench._time(STEP, (), [])
    assert [peer["name"] for peer in peers] == ["PyTorch float32"]
    assert any("bf16 is not timed" in text and "a gradient is wrong" in text for text in said)
    wrong = "float32"
    with pytest.raises(WrongResult):
        bench._time(STEP, (), [])


@pytest.mark.parametrize("job", [CONV, STEP, SCORES], ids=["conv", "step", "scores"])
def test_a_peer_that_computes_something_else_is_refused(bench, monkeypatch, job):
    right = TorchPeer._images
    monkeypatch.setattr(TorchPeer, "_images", lambda *arguments: right(*arguments) * 1.001)
    with pytest.raises(WrongResult, match=r"PyTorch.*float64"):
        bench.verify(job)


def test_weight_decay_is_verified(bench, monkeypatch):
    right = TorchPeer._optimizer

    def without(self, job, *rest):
        return right(self, {**job, "options": {}}, *rest)

    monkeypatch.setattr(TorchPeer, "_optimizer", without)
    with pytest.raises(WrongResult, match=r"PyTorch.*update W"):
        bench.verify(STEP)


@pytest.mark.parametrize("job", [POOL, STEP, SCORES, EPOCH], ids=lambda job: job["kind"])
def test_the_best_of_each_precision_is_timed(bench, job):
    ours, *peers = bench._time(job, (), [])
    assert [peer["name"] for peer in peers] == [f"PyTorch {name}" for name in precisions(job)]
    for peer in peers:
        assert peer["options"]["precision"] in peer["name"]
        assert "eager" in peer["setting"] or "folded" in peer["setting"]
        assert peer["count"] == ours["count"]


def test_training_follows_the_loss(bench):
    peer = TorchPeer()
    setting = {**next(candidates(STEP, "float32")), "layout": "channels_last"}
    step = peer.prepare({**STEP, "batch": 32}, setting)
    losses = [step() for _ in range(150)]
    assert sum(losses[-20:]) < sum(losses[:20])


# settings


def test_all_settings_are_tried():
    tried = list(candidates(STEP, "bf16"))
    assert len(tried) == len({describe(setting) for setting in tried}) == 4
    assert {setting["precision"] for setting in tried} == {"bf16"}
    assert {setting["layout"] for setting in candidates(TWO, "float32")} == {"nchw"}
    assert other_modes(SCORES, True) == ["folded", "compile", "frozen"]
    assert other_modes(SCORES, False) == ["folded"]
    assert other_modes(EPOCH, True) == other_modes(STEP, True) == ["compile"]
    assert other_modes(STEP, False) == other_modes(CONV, True) == []
    assert precisions(POOL) == ("float64",)


class FakeWorker:
    """Takes the seconds that a table says; a setting that it lacks fails."""

    def __init__(self, table):
        self.table = table

    def ask(self, do, setting=None, **_):
        if do == "prepare":
            self.key = (setting["malloc"], setting["layout"], setting["mode"])
            self.optimizer = setting["optimizer"]
            if self.key not in self.table:
                raise SideError("no compiler")
        if do == "time":
            seconds = self.table[self.key] - 0.5 * (self.optimizer == "foreach")
            return [seconds + 3, seconds, seconds + 1]
        return {}


def test_the_search_finds_the_fastest_and_passes_by_what_fails(monkeypatch):
    table = {
        ("default", "nchw", "eager"): 4.5,
        ("tuned", "nchw", "eager"): 6.0,
        ("tuned", "channels_last", "eager"): 4.0,
        ("tuned", "channels_last", "compile"): 3.0,
        ("tuned", "nchw", "compile"): 1.0,  # not tried, since eager is slow there
    }
    said = []
    worker = FakeWorker(table)
    monkeypatch.setattr(Peer, "worker", lambda self, precision, malloc: worker)
    peer = Peer(1, 0.1, True, said.append)
    assert peer.compiles
    best = peer.best(STEP, "float32")
    assert (best["malloc"], best["layout"], best["mode"]) == ("tuned", "channels_last", "compile")
    assert best["optimizer"] == "foreach"
    failed = [line for line in said if "no compiler" in line]
    assert len(failed) == 2
    assert "eager, channels_last memory, default malloc" in failed[0]
    assert "compile, nchw memory, default malloc" in failed[1]
    said.clear()
    table["default", "nchw", "eager"] = 5.0  # now too slow to try the compiler there
    peer.best(STEP, "float32")
    assert not any("compile, nchw" in line for line in said)
    table.clear()
    with pytest.raises(SideError, match="in any setting"):
        peer.best(STEP, "float32")


def test_without_a_compiler_torch_compile_is_left_out(monkeypatch):
    class NoCompiler(FakeWorker):
        def ask(self, do, **request):
            if do == "compile":
                raise SideError("InvalidCxxCompiler: none found")
            return {}

    monkeypatch.setattr(Peer, "worker", lambda self, precision, malloc: NoCompiler({}))
    peer = Peer(1, 0.1, True, lambda text: None)
    assert not peer.compiles
    assert "none found" in peer.info["compile"]
    assert Peer(1, 0.1, False, lambda text: None).info["compile"] == "not tried"
