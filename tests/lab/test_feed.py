"""What a training writes for the lab, and the acts it takes: the same bits, bounded time, no wait."""

import json
import threading
import time

import numpy as np
import pytest
from lab.serving import Unhurried, small_config, tiny_config, wait_until

from handgrad.lab import feed as feed_module
from handgrad.lab.feed import Feed, Writer
from handgrad.lab.live import (
    ACTS,
    LEASE,
    STATUS,
    WATCHED,
    WEIGHTS,
    Acts,
    append_act,
    live_folder,
    read_json,
    touch,
)
from handgrad.training import compiled
from handgrad.training.callback import Callback
from handgrad.training.checkpoint import load_model_arrays
from handgrad.training.config import RunConfig
from handgrad.training.proof import verify_resume
from handgrad.training.run import start_run


def plain(folder, **overrides):
    run = start_run(tiny_config(**overrides), folder)
    run.train()
    return run


class At(Callback):
    """Do something after a step, and look at once."""

    def __init__(self, feed, acts):
        self.feed, self.acts = feed, acts

    def on_step_end(self, solver, record):
        if solver.iteration in self.acts:
            self.acts[solver.iteration](solver)
            self.feed._next = 0.0


def same_bits(one, other):
    assert one.solver.loss_history == other.solver.loss_history
    for name, w in one.model.params.items():
        np.testing.assert_array_equal(w, other.model.params[name])


def lines(folder):
    found = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    dropped = ("time", "images_per_second", "seconds", "date")
    return [{k: v for k, v in r.items() if k not in dropped} for r in found]


def test_a_fed_training_has_the_same_bits_and_the_same_history(tmp_path):
    before = plain(tmp_path / "plain")
    run = start_run(tiny_config(), tmp_path / "fed")
    touch(live_folder(run.folder) / WATCHED)
    run.train([Feed(run, share=1.0)])
    same_bits(before, run)
    assert lines(before.folder) == lines(run.folder)
    assert (tmp_path / "plain" / "config.toml").read_text() == (
        run.folder / "config.toml"
    ).read_text()


def test_plans_take_the_steps_while_it_looks(tmp_path):
    config = small_config(**{"training.epochs": 2})
    run = start_run(config, tmp_path / "run")
    run.train([Feed(run, share=1.0)])
    way = run.how_steps_are_taken()
    if run.engine == "native":
        assert (way, run.solver.planned.steps) == ("by a plan", 47)


def test_it_is_told_once_of_the_steps_that_a_plan_took_in_one_go(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "SECONDS", 1e9)  # a call takes all steps up to the epoch's end
    run = start_run(small_config(**{"training.epochs": 2}), tmp_path / "run")
    feed, told = Feed(run, share=1.0), []
    monkeypatch.setattr(
        feed_module.Feed, "on_step_end", lambda self, solver, r: told.append(r["iteration"])
    )
    run.train([feed])
    if run.engine == "native":
        assert told == [1, 2, 24, 48]
    steps = [r["iteration"] for r in lines(run.folder) if r["kind"] == "step"]
    assert steps == list(range(1, 49))  # others are told of each


def test_a_slow_beginning_is_part_of_the_share(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(feed_module, "perf_counter", lambda: now[0])
    run = start_run(tiny_config(), tmp_path / "run")
    feed, looks = Feed(run, share=0.1), []
    start = feed._writer.start
    monkeypatch.setattr(feed._writer, "start", lambda: (start(), now.__setitem__(0, 2.0)))
    monkeypatch.setattr(feed, "look", lambda solver: (looks.append(now[0]), feed._took(0.01)))

    class Clock(Callback):
        def on_step_end(self, solver, record):
            now[0] += 0.5

    run.train([Clock(), feed])
    assert looks
    assert 20.0 <= looks[0] <= 21.0  # 2 s were spent: they are a tenth of 20 s


def test_it_writes_its_state_weights_and_frames(trained):
    status = read_json(live_folder(trained) / STATUS)
    assert (status["state"], status["iteration"], status["total_steps"]) == ("ended", 96, 96)
    frames = sorted((live_folder(trained) / "frames").glob("*"))
    assert frames
    file = load_model_arrays(frames[0])
    assert file.params["W1"].shape == (16, 1, 3, 3)
    assert file.metadata["iteration"] == int(frames[0].stem[6:])


def test_weights_are_written_only_while_somebody_looks(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(feed_module, "perf_counter", lambda: now[0])

    class Clock(Callback):
        def on_step_end(self, solver, record):
            now[0] += 1.0  # so that looks are due, however fast the training is

    for name, is_watched in (("watched", True), ("alone", False)):
        run = start_run(tiny_config(), tmp_path / name)
        if is_watched:
            touch(live_folder(run.folder) / WATCHED)
        feed = Feed(run, share=1.0)
        run.train([Unhurried(feed), Clock(), feed])
        assert (live_folder(run.folder) / WEIGHTS).exists() == is_watched


def test_looks_take_no_more_than_their_share(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(feed_module, "perf_counter", lambda: now[0])
    run = start_run(tiny_config(), tmp_path / "run")
    feed = Feed(run, share=0.01)
    looks = []

    def look(solver):
        looks.append(now[0])
        now[0] += 0.03  # what a look costs
        feed._took(0.03)

    monkeypatch.setattr(feed, "look", look)
    monkeypatch.setattr(feed, "on_epoch_end", lambda solver, record: None)

    class Clock(Callback):
        def on_step_end(self, solver, record):
            now[0] += 0.5  # what a step takes

    run.train([Clock(), feed])
    assert 5 <= len(looks) <= 18
    assert 0.03 * len(looks) <= 0.011 * now[0]


def test_the_rate_is_steered_written_down_and_repeated(tmp_path):
    run = start_run(tiny_config(), tmp_path / "run")
    feed = Feed(run, share=1.0)
    acts = {20: lambda s: append_act(run.folder, {"act": "rate", "factor": 0.25})}
    run.train([At(feed, acts), feed])
    (act,) = run.config.training.steering
    assert act == {"iteration": 20, "rate": 0.25}
    config = RunConfig.from_toml(run.folder / "config.toml")
    again = start_run(config, tmp_path / "again")
    again.train()
    same_bits(run, again)
    assert lines(run.folder)[1:] == lines(again.folder)[1:]
    assert verify_resume(config, tmp_path, 19).differing == []


def test_a_pause_holds_until_it_is_told_to_go_on(tmp_path):
    before = plain(tmp_path / "plain")
    run = start_run(tiny_config(), tmp_path / "run")
    feed = Feed(run, share=1.0)
    status = live_folder(run.folder) / STATUS
    seen = []

    def outside():
        wait_until(lambda: read_json(status).get("state") == "paused")
        seen.append(run.solver.iteration)
        append_act(run.folder, {"act": "step", "steps": 3})
        wait_until(lambda: run.solver.iteration == 13 and read_json(status).get("iteration") == 13)
        wait_until(lambda: read_json(status).get("state") == "paused")
        seen.append(run.solver.iteration)
        append_act(run.folder, {"act": "resume"})

    other = threading.Thread(target=outside)
    other.start()
    run.train([At(feed, {10: lambda s: append_act(run.folder, {"act": "pause"})}), feed])
    other.join()
    assert seen == [10, 13]
    same_bits(before, run)


def test_no_pause_outlives_the_lab(tmp_path, monkeypatch):
    monkeypatch.setattr(feed_module, "LEASED", 0.2)
    run = start_run(tiny_config(), tmp_path / "run")
    feed = Feed(run, share=1.0)
    touch(live_folder(run.folder) / LEASE)  # a lab that is killed right after its act
    run.train([At(feed, {10: lambda s: append_act(run.folder, {"act": "pause"})}), feed])
    assert run.is_finished


def test_a_stop_keeps_a_checkpoint_to_go_on_from(tmp_path):
    run = start_run(tiny_config(), tmp_path / "run")
    feed = Feed(run, share=1.0)
    run.train([At(feed, {10: lambda s: append_act(run.folder, {"act": "stop"})}), feed])
    assert not run.is_finished
    assert (run.folder / "checkpoints" / "checkpoint-00000010.safetensors").exists()
    assert read_json(live_folder(run.folder) / STATUS)["state"] == "stopped"


@pytest.mark.parametrize(
    "act",
    [{}, {"act": "fly"}, {"act": "rate"}, {"act": "rate", "factor": 0}, {"act": "rate", "factor": "2"},
     {"act": "rate", "factor": 1e9}, {"act": "rate", "factor": True}, {"act": ["rate"]}, [1], "x", None],
)  # fmt: skip
def test_what_is_no_act_changes_nothing(tmp_path, act):
    run = start_run(tiny_config(**{"training.epochs": 1}), tmp_path / "run")
    feed = Feed(run, share=1.0)
    run.train([At(feed, {3: lambda s: append_act(run.folder, act)}), feed])
    assert run.config.training.steering == []
    assert run.is_finished


def test_acts_are_read_once_as_whole_lines(tmp_path):
    path = tmp_path / ACTS
    path.write_text('{"act": "old"}\n')
    acts = Acts(path)
    assert acts.read() == []
    with path.open("a") as file:
        file.write('{"act": "a"}\n{"act": ')
    assert acts.read() == [{"act": "a"}]
    assert acts.read() == []
    with path.open("a") as file:
        file.write('"b"}\nnonsense\n')
    assert acts.read() == [{"act": "b"}]
    path.write_text("")
    assert acts.read() == []


def test_a_disk_that_hangs_or_fails_holds_up_nothing(tmp_path, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(Writer, "_write", lambda self, name, content: gate.wait(20))
    run = start_run(tiny_config(), tmp_path / "hangs")
    start = time.process_time()
    run.train([Feed(run, share=1.0)])
    assert run.is_finished
    assert time.process_time() > start
    gate.set()

    def full(self, name, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "_write", full)
    run = start_run(tiny_config(), tmp_path / "full")
    run.train([Feed(run, share=1.0)])
    assert run.is_finished
