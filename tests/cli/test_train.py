"""`handgrad train` and what can be done with the run folder it leaves, on small settings."""

import json
import os
import signal
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from handgrad.cli.app import run

SMALL = [
    "train", "--epochs", "2", "--quiet", "--set", "model.conv_params=[{num_filters=4, filter_size=3}]",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    assert run([*SMALL, "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    return folder


def losses(folder):
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [(r["iteration"], r["loss"]) for r in records if r["kind"] == "step"]


def test_run_folder_is_complete(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.toml", "history.jsonl", "log.txt", "summary.txt", "checkpoints", "figures",
        "model.safetensors", "preprocessing.safetensors", "evaluation.json", "report.html",
    }  # fmt: skip
    assert folder.name.endswith("-digits")
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["model"]["input_dim"] == [1, 8, 8]
    assert config["model"]["hidden_dims"] == [64]
    assert config["optimizer"]["beta1"] == 0.9
    assert len((folder / "log.txt").read_text().splitlines()) == 3
    assert (folder / "report.html").stat().st_size < 1_000_000


@pytest.mark.thorough
def test_the_written_configuration_alone_repeats_the_run(folder, tmp_path):
    assert (
        run(["train", "--quiet", "--config", str(folder / "config.toml"), "--out", str(tmp_path)])
        == 0
    )
    (again,) = tmp_path.iterdir()
    assert losses(again) == losses(folder)
    assert (again / "config.toml").read_text() == (folder / "config.toml").read_text()


@pytest.mark.thorough
def test_another_seed_is_another_run(folder, tmp_path):
    assert run([*SMALL, "--seed", "1", "--out", str(tmp_path)]) == 0
    (other,) = tmp_path.iterdir()
    assert losses(other)[0][1] != losses(folder)[0][1]


def test_evaluate_prints_and_writes_the_same_numbers(folder, capsys):
    before = json.loads((folder / "evaluation.json").read_text())
    assert run(["evaluate", str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["accuracy"] == before["accuracy"]
    assert np.sum(printed["confusion"]) == printed["count"] == 300
    assert run(["evaluate", str(folder), "--split", "val"]) == 0
    assert "of 297" in capsys.readouterr().out
    assert run(["evaluate", str(folder)]) == 0  # leaves the test set's numbers for the report


def test_predict_names_the_digit_in_a_picture(folder, tmp_path, capsys):
    from handgrad.data import load

    digits = load("digits")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    sure = evaluation["examples"]["right"][0]
    image = digits.preprocessing.undo(digits.arrays["X_test"][sure["index"]][None])[0, 0]
    path = tmp_path / "digit.png"
    Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8)).save(path)
    assert run(["predict", str(folder), str(path), "--top", "1"]) == 0
    name, share = capsys.readouterr().out.split(": ")[1].split()[:2]
    assert int(name) == sure["true"]
    assert float(share) == pytest.approx(100 * max(sure["probabilities"]), abs=0.06)
    assert run(["predict", str(folder), str(path), "--json"]) == 0
    probabilities = json.loads(capsys.readouterr().out)["probabilities"]
    assert len(probabilities) == 3
    assert max(probabilities, key=probabilities.get) == str(sure["true"])


def test_one_bad_picture_does_not_hide_the_others(folder, tmp_path, capsys):
    good = tmp_path / "good.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(good)
    (tmp_path / "bad.png").write_text("no picture")
    assert run(["predict", str(folder), str(tmp_path / "bad.png"), str(good)]) == 2
    captured = capsys.readouterr()
    assert "bad.png" in captured.err
    assert "good.png" in captured.out


def test_report_is_written_again(folder, capsys):
    (folder / "report.html").unlink()
    assert run(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_resumes_to_the_same_bits(tmp_path, number):
    arguments = ["train", "--epochs", "8", *SMALL[4:], "--set", "model.dropout_keep_ratio=0.8"]
    arguments += ["--set", "training.augment={crop=1}"]
    assert run([*arguments, "--quiet", "--out", str(tmp_path / "whole")]) == 0
    (whole,) = (tmp_path / "whole").iterdir()

    command = [sys.executable, "-m", "handgrad", *arguments, "--out", str(tmp_path / "parts")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stderr:  # a plain progress line for each epoch
        if "epoch 2/8" in line:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    (parts,) = (tmp_path / "parts").iterdir()
    assert f"handgrad train --resume {parts}" in out
    done = len(losses(parts))
    assert done < len(losses(whole))
    assert not (parts / "model.safetensors").exists()

    assert run(["train", "--quiet", "--resume", str(parts)]) == 0
    assert losses(parts) == losses(whole)
    a, b = (json.loads((f / "evaluation.json").read_text()) for f in (whole, parts))
    assert a == b
    kinds = [
        json.loads(line)["kind"] for line in (parts / "history.jsonl").read_text().splitlines()
    ]
    assert kinds.count("start") == kinds.count("resume") == kinds.count("end") == 1


def test_a_terminal_of_no_colours_gets_plain_text(folder):
    environment = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "handgrad", "evaluate", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert "Accuracy on the test images" in done.stdout
