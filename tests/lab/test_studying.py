"""Trials of studies that are watched, and studies that are done from the page."""

import base64
import json
import os
import signal

import pytest
from lab.asgi import HOST, TOKEN, get, post
from lab.serving import wait_until

from handgrad.cli.app import run as command_line
from handgrad.experiments import NAMES, get_study
from handgrad.experiments.shown import shown_in
from handgrad.experiments.study import Setting
from handgrad.experiments.training import run_training
from handgrad.lab import studying
from handgrad.lab.folder import RunFolder
from handgrad.lab.guard import Guard
from handgrad.lab.history import History
from handgrad.lab.live import read_json
from handgrad.lab.routes import application, own_files
from handgrad.lab.server import address_of
from handgrad.lab.state import Lab


def spec_of(**changed):
    trial = get_study("dropout").trials(Setting("digits", quick=True))[-1]
    return {**trial.spec, **changed}


def test_a_trial_that_is_watched_has_the_same_numbers(tmp_path):
    plain = run_training(spec_of())
    with shown_in(tmp_path / "a" / "keep 0.25"):
        assert run_training(spec_of()) == plain
    history = History(tmp_path / "a" / "keep 0.25")
    history.update()
    assert history.steps.count == len(plain["loss"])
    assert [e["val_acc"] for e in history.epochs] == plain["val_acc"]
    row = RunFolder(tmp_path).rows()[0]
    assert (row["state"], row["iteration"]) == ("finished", len(plain["loss"]))
    assert row["settings"]["model.dropout_keep_ratio"] == 0.25


def test_a_disk_that_fails_stops_no_trial(tmp_path):
    (tmp_path / "file").write_text("")
    with shown_in(tmp_path / "file" / "run"):
        assert len(run_training(spec_of())["loss"]) > 0


@pytest.mark.long
def test_experiment_live_shows_its_trials(tmp_path, capfd):
    out = tmp_path / "out"
    assert command_line(["experiment", "dropout", "--quick", "--live", "--out", str(out)]) == 0
    assert f"Lab: {address_of(out)}" in capfd.readouterr().err
    rows = RunFolder(out).rows()
    assert {row["name"] for row in rows} == {"no_dropout", "keep_0.75", "keep_0.5", "keep_0.25"}
    assert {row["state"] for row in rows} == {"finished"}
    os.kill(read_json(out / ".lab" / "server.json")["pid"], signal.SIGTERM)
    wait_until(lambda: address_of(out) is None)


def test_every_study_and_tour_asks_before_it_shows():
    files = own_files()
    studies = json.loads(files["studies.json"][0])
    tours = json.loads(files["tours.json"][0])
    assert [study["name"] for study in studies] == list(NAMES)
    assert len(tours) == 6
    for lesson in (*studies, *tours):
        assert lesson["question"].endswith("?"), lesson
        assert len(lesson["choices"]) == len(set(lesson["choices"])) == 3
        assert 0 <= lesson["right"] < 3
        assert lesson["why"]


def test_the_page_does_a_study_and_shows_what_came_out(tmp_path):
    lab = Lab(tmp_path)
    app = Guard(application(lab, TOKEN), TOKEN, [HOST])
    before = get(app, "study", "name=image-filters")[1]
    assert (before["done"], before["news"]) == (False, {"started": False})
    assert post(app, "study", {"name": "image-filters"}) == (200, {})
    found = wait_until(
        lambda: (f := get(app, "study", "name=image-filters")[1])["done"]
        and not f["news"]["running"] and f
    )  # fmt: skip
    assert (found["news"]["done"], found["news"]["of"], found["news"]["code"]) == (1, 1, 0)
    assert len(found["sentences"]) == 2
    assert base64.b64decode(found["figure"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "given", [{}, {"name": "nothing"}, {"name": "../x"}, {"name": "dropout", "seeds": 99}]
)
def test_what_is_no_study_is_refused(tmp_path, given):
    app = Guard(application(Lab(tmp_path), TOKEN), TOKEN, [HOST])
    status, answer = post(app, "study", given)
    assert (status, set(answer)) == (400, {"error"})
    assert not list(tmp_path.rglob("*.log"))


def test_a_study_of_the_page_says_how_far_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(studying, "Setting", lambda name, seeds: Setting(name, quick=True))
    assert studying.main(["dropout", str(tmp_path / studying.FOLDER), "1"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [t["done"] for t in told] == [0, 1, 2, 3, 4]
    assert {t["of"] for t in told} == {4}
