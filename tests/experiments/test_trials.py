"""Studies end to end, at their quick size: workers, files, resume, Ctrl-C, the page."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from time import perf_counter, sleep

import pytest

from handgrad.cli.app import run
from handgrad.errors import HandgradError
from handgrad.experiments import NAMES, Results, Setting, get_study
from handgrad.experiments.studies_page import markdown, trial_rows, write_page
from handgrad.experiments.trials import Workers, run_studies
from handgrad.report.figures import png

SETTING = Setting("digits", quick=True)


def done(name, out, setting=SETTING, workers=1, **options):
    """Run the study `name` and return its outcome."""
    (outcome,) = run_studies([get_study(name)], {name: setting}, out, workers=workers, **options)
    return outcome


def records(outcome):
    return {trial["label"]: trial["record"] for trial in outcome.results["trials"]}


@pytest.mark.thorough
def test_all_studies(tmp_path, capsys):
    """One test, so that two test processes do not do them all twice."""
    command = ["experiment", "all", "--quick", "--dataset", "digits", "--workers", "2", "--report"]
    assert run([*command, "--out", str(tmp_path)]) == 0
    for name in NAMES:
        check_files(tmp_path / "digits-quick" / name, get_study(name))
    check_page(tmp_path)
    capsys.readouterr()
    check_again(tmp_path, capsys)


def check_files(folder, study):
    """Numbers, a figure and two sentences."""
    results = json.loads((folder / "results.json").read_text())
    first, second = results["sentences"]
    for sentence in (first, second):
        assert not sentence[0].islower()
        assert sentence.endswith(".")
        assert re.search(r"\d", sentence) or study.name in ("image-filters", "batchnorm-depth")
        assert "nan" not in sentence.lower().split()
    saved = Results(results["trials"])
    # what is shown is what was saved: the figure and the sentences come out of the file alone
    assert (folder / "figure.png").read_bytes() == png(study.draw(saved))
    assert study.sentences(saved) == (first, second)
    assert len(list((folder / "trials").iterdir())) == len(saved)
    assert results["provenance"]["cpu"]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.links, self.anchors = [], [], set()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "img":
            self.sources.append(values["src"])
        if tag == "a":
            self.links.append(values["href"])
        if tag == "section":
            self.anchors.add("#" + values["id"])
        assert tag not in ("script", "link", "iframe")


def check_page(out):
    """The page holds all studies and opens offline."""
    page = (out / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert len(tags.sources) == len(NAMES)
    assert all(source.startswith("data:image/") for source in tags.sources)
    assert tags.links == [f"#{name}" for name in NAMES]
    assert set(tags.links) == tags.anchors
    for name in NAMES:
        results = json.loads((out / "digits-quick" / name / "results.json").read_text())
        for sentence in results["sentences"]:
            assert sentence.replace("'", "&#x27;") in page


def check_again(out, capsys):
    """Nothing is done twice, and the table is printed."""
    before = {p: p.read_bytes() for p in out.rglob("trials/*")}
    command = [
        "experiment",
        "dropout",
        "filter-size",
        "--quick",
        "--dataset",
        "digits",
        "--markdown",
    ]
    assert run([*command, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "dropout  1/4" not in printed
    assert before == {p: p.read_bytes() for p in out.rglob("trials/*")}
    (row,) = (line for line in printed.splitlines() if line.startswith("| dropout |"))
    assert (
        json.loads((out / "digits-quick/dropout/results.json").read_text())["sentences"][0] in row
    )


@pytest.mark.thorough
def test_numbers_depend_on_the_seed_and_not_on_the_workers(tmp_path):
    one = done("dropout", tmp_path / "one", workers=1)
    three = done("dropout", tmp_path / "three", workers=3)
    assert records(one) == records(three)
    other = done("dropout", tmp_path / "seed", Setting("digits", quick=True, seed=1))
    assert list(records(other)) == list(records(one))
    for name, record in records(other).items():
        assert record["loss"] != records(one)[name]["loss"]


def test_only_what_is_missing_damaged_or_of_another_setting_is_done(tmp_path):
    first = done("dropout", tmp_path)
    trials = first.folder / "trials"
    (trials / "keep_0.5.json").unlink()
    (trials / "keep_0.75.json").write_text("{")
    changed = json.loads((trials / "no_dropout.json").read_text())
    changed["spec"]["seed"] = 7
    (trials / "no_dropout.json").write_text(json.dumps(changed))
    told = []
    again = done("dropout", tmp_path, tell=lambda study, trial, n, of: told.append(trial["name"]))
    assert sorted(told) == ["keep 0.5", "keep 0.75", "no dropout"]
    assert records(again) == records(first)
    told.clear()
    done("dropout", tmp_path, again=True, tell=lambda study, trial, n, of: told.append(n))
    assert told == [1, 2, 3, 4]


def test_the_fine_search_follows_the_coarse_one_and_resumes(tmp_path):
    first = done("coarse-to-fine", tmp_path)
    names = list(records(first))
    assert names == [f"coarse {i}" for i in range(1, 5)] + [f"fine {i}" for i in range(1, 4)]
    best = max(names[:4], key=lambda name: max(records(first)[name]["val_acc"]))
    specs = {trial["name"]: trial["spec"] for trial in first.results["trials"]}

    def rate(name):
        return specs[name]["solver"]["optim_config"]["learning_rate"]

    for name in names[4:]:
        assert rate(best) / 3.2 < rate(name) < rate(best) * 3.2
    (first.folder / "trials/fine_2.json").unlink()
    assert records(done("coarse-to-fine", tmp_path)) == records(first)


def test_more_seeds_keep_the_trials_of_one(tmp_path):
    first = done("dropout", tmp_path)
    for file in (first.folder / "trials").iterdir():  # as folders of one seed were written before
        trial = json.loads(file.read_text())
        del trial["label"]
        file.write_text(json.dumps(trial))
    told = []
    setting = replace(SETTING, seeds=3)
    more = done(
        "dropout",
        tmp_path,
        setting,
        tell=lambda study, trial, *n: told.append((trial["label"], *n)),
    )
    names = list(records(first))
    assert [label for label, *_ in told] == [f"{n}, seed {seed}" for seed in (1, 2) for n in names]
    assert [n for _, *n in told] == [[i, 12] for i in range(5, 13)]
    assert more.results["trials"][:4] == first.results["trials"]
    assert more.results["provenance"]["seed"] == "0, 1 and 2"
    for name in names:
        losses = [str(record["loss"]) for record in Results(more.results["trials"])[name]]
        assert len(set(losses)) == 3
    assert records(done("dropout", tmp_path)) == records(first)


def test_results_of_one_seed_as_they_were_written_before_are_readable(tmp_path):
    outcome = done("filter-size", tmp_path)
    old = json.loads((outcome.folder / "results.json").read_text())
    for trial in old["trials"]:
        del trial["label"]
    (outcome.folder / "results.json").write_text(json.dumps(old))
    results = json.loads((outcome.folder / "results.json").read_text())
    study = outcome.study
    assert (
        png(study.draw(Results(results["trials"]))) == (outcome.folder / "figure.png").read_bytes()
    )
    assert study.sentences(Results(results["trials"])) == tuple(outcome.results["sentences"])
    rows = trial_rows(results, study.columns)
    assert [row[0] for row in rows] == ["trial", *records(outcome)]
    write_page(tmp_path / "page.html", [(results, study.columns, b"")])
    assert "| filter-size | digits (a quick trial) | 0 |" in markdown([results])


@pytest.mark.thorough
def test_the_choices_of_the_searches_are_trained_again_and_resume(tmp_path):
    one = done("coarse-to-fine", tmp_path)
    two = done("coarse-to-fine", tmp_path, replace(SETTING, seeds=2))
    labels = [f"best of {stage}, seed {seed}" for stage in ("coarse", "fine") for seed in (1, 2)]
    assert list(records(two)) == [*records(one), *labels]
    assert two.results["sentences"][1].startswith("Trained again for 1 epoch from 2 other seeds")
    (two.folder / "trials/best_of_fine__seed_2.json").unlink()
    assert records(done("coarse-to-fine", tmp_path, replace(SETTING, seeds=2))) == records(two)


def test_a_failing_trial_is_an_error_that_says_why(tmp_path):
    study = get_study("dropout")
    trial = study.trials(SETTING)[0]
    trial.spec["model"]["dropout_keep_ratio"] = 2
    broken = replace(study, trials=lambda setting: [trial])
    with pytest.raises(HandgradError, match="dropout_keep_ratio must be in"):
        list(run_studies([broken], {"dropout": SETTING}, tmp_path))


def test_an_interrupt_ends_all_processes_and_keeps_what_is_finished(tmp_path):
    command = [sys.executable, "-m", "handgrad", "experiment", "batchnorm-batch-size",
               "--dataset", "digits", "--seeds", "2", "--workers", "2", "--out", str(tmp_path)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "1/16" in process.stdout.readline()
    children = children_of(process.pid)
    assert len(children) == 2
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == ""
    assert out.endswith("the same command goes on from there.\n")
    assert not [pid for pid in children if Path("/proc", pid).exists()]
    kept = len(list((tmp_path / "digits/batchnorm-batch-size/trials").iterdir()))
    assert 1 <= kept < 16
    assert not (tmp_path / "digits/batchnorm-batch-size/results.json").exists()


def children_of(pid):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return listed.stdout.split()


def test_a_request_to_terminate_ends_all_processes(tmp_path):
    command = [sys.executable, "-m", "handgrad", "experiment", "batchnorm-batch-size",
               "--dataset", "digits", "--seeds", "2", "--workers", "2", "--out", str(tmp_path)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "1/16" in process.stdout.readline()
    children = children_of(process.pid)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not [pid for pid in children if Path("/proc", pid).exists()]


def test_leaving_the_workers_ends_a_long_trial_at_once():
    spec = {"pass": "conv forward", "engine": "naive", "images": 5000, "size": 31, "seed": 0}
    with Workers(1, {}) as workers:
        workers.submit("long", "naive-against-fast", spec)
        workers.submit("next", "naive-against-fast", spec)
        sleep(1)
        started = perf_counter()
    assert perf_counter() - started < 20  # the trials take hours


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_a_worker_ends_with_the_process_that_started_it():
    code = (
        "import json, sys, time; from handgrad.processes import Process\n"
        "process = Process('handgrad.experiments.worker', 1)\n"
        "spec = {'pass': 'conv forward', 'engine': 'naive', 'images': 5000, 'size': 31, 'seed': 0}\n"
        "json.dump({'study': 'naive-against-fast', 'spec': spec}, process.process.stdin)\n"
        "print(file=process.process.stdin, flush=True)\n"
        "print(process.process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = Path("/proc", parent.stdout.readline().strip())
    assert worker.exists()
    sleep(1)
    parent.kill()
    parent.communicate()
    started = perf_counter()
    while worker.exists() and perf_counter() - started < 20:
        sleep(0.2)
    assert not worker.exists()


@pytest.mark.cifar10
def test_a_study_on_cifar10(tmp_path, capsys):
    command = ["experiment", "dropout", "--quick", "--dataset", "cifar10", "--out", str(tmp_path)]
    assert run([*command, "--markdown"]) == 0
    assert "| dropout | cifar10 (a quick trial) |" in capsys.readouterr().out
    results = json.loads((tmp_path / "cifar10-quick/dropout/results.json").read_text())
    assert len(results["trials"]) == 4
