"""Trials: each belongs to one process, none is lost, none is told twice."""

import json
import os
import signal
import subprocess
import sys

import pytest
from tuning.small import settings

from handgrad.errors import OptionError
from handgrad.training.callbacks import Checkpointer

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
from handgrad.tuning.methods import make_pruner, make_sampler  # noqa: E402
from handgrad.tuning.storage import open_storage  # noqa: E402
from handgrad.tuning.trials import Reporter, Searcher, open_study  # noqa: E402


def outcomes(own):
    """Return number -> state, value, settings of the trials of a search."""
    return {
        t.number: (t.state.name, t.value, sorted(t.params.items(), key=str))
        for t in open_study(own).get_trials(False)
    }


def computed(own, restart=False):
    """Compute all trials of a search in this process, with `restart` by a new searcher each."""
    searcher = Searcher(own)
    while not searcher.compute_next().get("idle"):
        searcher = Searcher(own) if restart else searcher
    return outcomes(own)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The trials of the search by one process that nobody disturbs."""
    return computed(settings(tmp_path_factory.mktemp("alone")))


def test_the_same_seed_gives_the_same_trials(alone, tmp_path):
    assert [state for state, *_ in alone.values()] == ["COMPLETE"] * 3
    assert computed(settings(tmp_path), restart=True) == alone
    assert computed(settings(tmp_path / "b", seed=1)) != alone


def test_more_trials_go_on_where_fewer_ended(alone, tmp_path):
    assert computed(settings(tmp_path, trials=1)) == {0: alone[0]}
    assert computed(settings(tmp_path)) == alone


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_other_samplers_go_on_too(sampler, tmp_path):
    own = {"sampler": sampler, "trials": 2}
    whole = computed(settings(tmp_path / "a", **own))
    assert computed(settings(tmp_path / "b", **own), restart=True) == whole


def test_the_grid_ends_by_itself(tmp_path):
    own = settings(tmp_path, sampler="grid", trials=50)
    grid = {"model": {"hidden_dims": {"type": "choice", "values": [[4], [8]]}}}
    own = type(own)(**{**own.to_dict(), "space": grid})
    assert len(computed(own)) == 2


class _Dies(Exception):
    """Ends a trial as a kill would: nothing is told."""


def abandon(own, monkeypatch, where):
    """Compute a trial that ends at `where`, a method of a class, as if its process had been killed."""
    cls, method = where
    with monkeypatch.context() as patch:
        real = getattr(cls, method)
        calls = []

        def dying(self, *args):
            calls.append(1)
            if len(calls) > 2:
                raise _Dies
            return real(self, *args)

        patch.setattr(cls, method, dying)
        with pytest.raises(_Dies):
            Searcher(own).compute_next()


@pytest.mark.parametrize(
    "where", [(Checkpointer, "save"), (Reporter, "on_epoch_end"), (Searcher, "_tell")]
)
def test_an_abandoned_trial_goes_on_from_its_checkpoint(where, alone, tmp_path, monkeypatch):
    own = settings(tmp_path)
    if where[1] == "_tell":
        monkeypatch.setattr(Searcher, "_tell", lambda *a: (_ for _ in ()).throw(_Dies()))
        with pytest.raises(_Dies):
            Searcher(own).compute_next()
        monkeypatch.undo()
    else:
        abandon(own, monkeypatch, where)
    assert outcomes(own)[0][0] == "RUNNING"
    assert computed(own) == alone
    lines = (tmp_path / "trial-0000/history.jsonl").read_text().splitlines()
    kinds = [json.loads(line) for line in lines]
    steps = [r["iteration"] for r in kinds if r["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    resumed = [r["iteration"] for r in kinds if r["kind"] == "resume"]
    if where[1] == "_tell":
        assert resumed == []  # it was trained to its end
    else:
        assert len(resumed) == 1
        assert resumed[0] > 0


def test_a_trial_that_somebody_computes_is_left_alone(tmp_path):
    own = settings(tmp_path, trials=2)
    one, other = Searcher(own), Searcher(own)
    taken = one._take()
    assert taken.trial.number == 0
    assert other.compute_next()["number"] == 1
    assert other.compute_next() == {"idle": True, "over": False}
    taken.lock.close()
    assert other.compute_next()["number"] == 0
    assert other.compute_next() == {"idle": True, "over": True}


def test_a_trial_that_always_dies_at_one_place_is_given_up(alone, tmp_path):
    own = settings(tmp_path, trials=1, retries=2)
    for _ in range(2):
        searcher = Searcher(own)
        searcher._run = lambda *a: (_ for _ in ()).throw(_Dies())
        with pytest.raises(_Dies):
            searcher.compute_next()
    found = Searcher(own).compute_next()
    assert found["state"] == "failed"
    assert found["reason"] == "its process died 2 times there"


def test_what_diverges_fails_and_the_search_goes_on(tmp_path):
    own = settings(tmp_path, trials=2)
    space = {"optimizer": {"learning_rate": {"type": "choice", "values": [1e30, 1e31]}}}
    config = {**own.config, "optimizer": {"name": "sgd", "learning_rate": 1.0}}
    own = type(own)(**{**own.to_dict(), "space": space, "config": config})
    assert [state for state, *_ in computed(own).values()] == ["FAIL", "FAIL"]
    reason = open_study(own).get_trials(False)[0].user_attrs["reason"]
    assert "iteration" in reason


def test_a_pruned_trial_stops_and_says_so(tmp_path):
    own = settings(tmp_path, trials=1, pruner="ThresholdPruner", pruner_options={"lower": 2.0})
    found = Searcher(own).compute_next()
    assert found["state"] == "pruned"
    trial = open_study(own).get_trials(False)[0]
    assert (trial.state.name, list(trial.intermediate_values)) == ("PRUNED", [1])
    end = json.loads((tmp_path / "trial-0000/history.jsonl").read_text().splitlines()[-1])
    assert (end["kind"], end["reason"]) == ("end", "pruned")


def test_another_search_is_refused(tmp_path):
    open_study(settings(tmp_path))
    with pytest.raises(OptionError, match="'small' has another seed; give this one another --name"):
        open_study(settings(tmp_path, seed=1))


# the journal

WRITER = """
import os, sys
from handgrad.tuning.storage import open_storage
import optuna
storage = open_storage("journal:" + sys.argv[1])
study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
for _ in range(int(sys.argv[2])):
    study.tell(study.ask(), 1.0)
"""


HOLDER = """
import pathlib, sys, time
from handgrad.tuning.places import locked
with locked(pathlib.Path(sys.argv[1] + ".lock")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_half_a_line_of_a_killed_process_is_dropped(tmp_path):
    path = tmp_path / "study.journal"
    study = optuna.create_study(study_name="s", storage=open_storage(f"journal:{path}"))
    study.tell(study.ask(), 1.0)
    with path.open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    again = optuna.load_study(study_name="s", storage=open_storage(f"journal:{path}"))
    assert len(again.trials) == 1
    again.tell(again.ask(), 2.0)
    last = optuna.load_study(study_name="s", storage=open_storage(f"journal:{path}"))
    assert [t.value for t in last.trials] == [1.0, 2.0]


def test_a_killed_process_holds_no_lock(tmp_path):
    path = tmp_path / "study.journal"
    held = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert held.stdout.readline() == b"held\n"
    os.kill(held.pid, signal.SIGKILL)
    held.wait()
    held.stdout.close()
    subprocess.run([sys.executable, "-c", WRITER, str(path), "1"], check=True)


# samplers and pruners


def test_pruners_and_samplers_by_name():
    assert isinstance(make_pruner("asha", {}, 9), optuna.pruners.SuccessiveHalvingPruner)
    assert isinstance(make_pruner("hyperband", {}, 9), optuna.pruners.HyperbandPruner)
    assert isinstance(make_pruner("NopPruner", {}, 9), optuna.pruners.NopPruner)
    make_sampler("NSGAIIISampler", {"population_size": 4}, 0)


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda: make_sampler("tep", {}, 0), "sampler must be one of tpe, .* did you mean tpe"),
        (lambda: make_sampler("BaseSampler", {}, 0), "sampler must be one of"),
        (lambda: make_pruner("ash", {}, 9), "pruner must be one of asha"),
        (lambda: make_pruner("asha", {"factor": 2}, 9), 'unrecognized "factor"'),
        (
            lambda: make_pruner("asha", {"reduction_factor": 1}, 9),
            "pruner asha: .*reduction_factor",
        ),
    ],
)
def test_unknown_methods(make, pattern):
    with pytest.raises(OptionError, match=pattern):
        make()
