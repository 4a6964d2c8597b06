"""Rows whose side of Handgrad trains or scores in bf16: verified so, and timed so."""

import pytest
from bench.jobs import CONV, SCORES, SPEED, STEP, bench_here, row_of

from handgrad import engines
from handgrad.bench.measure import WrongResult
from handgrad.cli.app import run as command
from handgrad.nn.compiled.half import InHalf
from handgrad.nn.compiled.scoring import ScorePlan

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)


def results_of(job, precision="bf16"):
    with bench_here("native", precision=precision) as bench:
        return list(bench.run(row_of(job)))


@pytest.mark.parametrize(
    "job",
    [STEP, SPEED, {**SPEED, "kind": "epoch", "rows": 20, "once": True}, SCORES],
    ids=["step", "speed", "epoch", "scores"],
)
def test_networks_are_verified_and_timed_in_bf16(job):
    (result,) = results_of(job)
    assert result["ours"]["name"] == "handgrad native bf16"
    assert result["ours"]["options"]["precision"] == "bf16"
    who = [found["who"] for found in result["verified"]]
    assert "handgrad native, bf16" in who
    assert "handgrad native, float32" in who


@pytest.mark.parametrize("job", [STEP, SCORES], ids=["step", "scores"])
def test_auto_is_verified_in_both(job):
    (result,) = results_of(job, "auto")
    assert result["ours"]["name"] == "handgrad native auto"
    assert "handgrad native, bf16" in [found["who"] for found in result["verified"]]


def test_poolings_stay_in_float32():
    job = {"kind": "pool", "dtype": "float32", "x": (2, 3, 8, 8), "size": 2, "part": "forward"}
    (result,) = results_of(job)
    assert result["ours"]["name"] == "handgrad native"


def test_wrong_scores_are_not_timed(monkeypatch):
    scores_of = ScorePlan.__call__
    monkeypatch.setattr(ScorePlan, "__call__", lambda self, X: 1.2 * scores_of(self, X))
    with pytest.raises(WrongResult, match="scores"):
        results_of(SCORES)


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_wrong_steps_are_not_timed(monkeypatch, part):
    loss_of = InHalf.loss

    def wrong(self, *arguments, **options):
        loss, grads = loss_of(self, *arguments, **options)
        if part == "loss":
            return 1.2 * loss, grads
        name = next(iter(grads))
        return loss, {**grads, name: 2.0 * grads[name]}

    monkeypatch.setattr(InHalf, "loss", wrong)
    with pytest.raises(WrongResult, match=f"bf16: {part}"):
        results_of(STEP)


WAYS = [
    {"engine": "native", "layout": "nchw"},
    {"engine": "native", "layout": "channels_last"},
    {"engine": "native", "precision": "bf16"},
]


@pytest.mark.parametrize("fastest", WAYS)
def test_auto_takes_what_is_fastest_of_a_layer(fastest):
    class Clock:
        def ask(self, what, job=None, setting=None, seconds=None):
            if what == "prepare":
                self.setting = setting
            return [1.0 if self.setting == fastest else 2.0]

    with bench_here("native", precision="auto") as bench:
        bench.ours = Clock()
        assert bench._best_layout(CONV) == fastest
        assert bench._best_layout({**CONV, "kind": "pool"}) == (
            fastest if "layout" in fastest else WAYS[0]
        )


def test_auto_verifies_a_layer_in_both():
    (result,) = results_of(CONV, "auto")
    who = [found["who"] for found in result["verified"]]
    assert "handgrad native, bf16" in who
    assert "handgrad native, float32" in who


def test_another_precision_is_one_line(capsys):
    assert command(["bench", "1", "--precision", "fp16"]) == 2
    assert "'fp16' is not one of" in capsys.readouterr().err
