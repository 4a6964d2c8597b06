"""A catalogue of wrong command lines: exit code 2, one line that helps, no traceback, nothing left behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handgrad
from handgrad.cli.app import run
from handgrad.training.checkpoint import load_model_arrays
from handgrad.training.tensorfile import write_tensors

SMALL = ["train", "--quiet", "--epochs", "2", "--set", "model.hidden_dims=[4]",
         "--set", "model.conv_params=[{num_filters=2, filter_size=3}]"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, small; not to be changed."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handgrad.report.write_report", lambda folder: folder)  # it takes seconds
        assert run([*SMALL, "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    return folder


@pytest.fixture
def place(tmp_path, tmp_path_factory, monkeypatch):
    """A current folder with a picture, a text, an empty folder; no CIFAR-10 on the machine."""
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    return tmp_path


@pytest.fixture
def folder(place, finished):
    """The finished run, as ``run`` in the current folder."""
    return shutil.copytree(finished, place / "run")


def files(folder):
    """Return the paths in `folder` and the bytes of its files."""
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def refuse(capsys, place, arguments, pattern):
    """Check that the command `arguments` is refused as it should, by a message with `pattern`."""
    before = files(place)
    code = run(arguments)
    out, err = capsys.readouterr()
    assert code == 2, out + err
    assert err.startswith("handgrad: "), err
    assert pattern in err
    assert "Traceback" not in out + err
    assert len(err) < 1200
    assert files(place) == before


COMMANDS = [
    # of no command, or of one that does not exist
    (["fly"], "No such command 'fly'"),
    (["--fly"], "No such option '--fly'"),
    (["doctor", "now"], "unexpected extra argument (now)"),
    # experiment
    (["experiment"], "Missing argument 'NAME...'"),
    (["experiment", "soup"], "experiment: name must be one of overfit-small,"),
    (["experiment", "dropout", "soup"], "got 'soup'"),
    (["experiment", "dropout", "--dataset", "mnist"], "experiment: dataset must be one of 'digits'"),
    (["experiment", "dropout", "--dataset", "digits", "--data-dir", "."], "--data-dir is for cifar10, not"),
    (["experiment", "dropout", "--data-dir", "empty"], "cifar"),
    (["experiment", "dropout", "--dataset", "cifar10"], "cifar"),
    (["experiment", "dropout", "--workers", "0"], "'--workers': 0 is not in the range"),
    (["experiment", "dropout", "--seed", "-1"], "'--seed': -1 is not in the range"),
    (["experiment", "image-filters", "--image", "nothing.png"], "'nothing.png' does not exist"),
    (["experiment", "image-filters", "--image", "text"], "text: not a picture"),
    (["experiment", "dropout", "--out", "text"], "'--out'"),
    # train
    (["train", "--recipe", "soup"], "recipe: name must be one of ant,"),
    (["train", "--recipe", "ant", "--config", "text"], "leave out --config"),
    (["train", "--recipe", "ant", "--dataset", "digits"], "leave out --dataset"),
    (["train", "--repeat", "0"], "'--repeat': 0 is not in the range"),
    (["train", "--recipe", "ant", "--resume", "empty"], "leave out --recipe"),
    (["train", "digits"], "unexpected extra argument (digits)"),
    (["train", "--epoch", "x"], "No such option '--epoch'"),
    (["train", "--epochs"], "'--epochs' requires an argument"),
    (["train", "--epochs", "many"], "'--epochs': 'many' is not a valid integer"),
    (["train", "--epochs", "0"], "training: epochs must be at least 1, got 0"),
    (["train", "--epochs", "-3"], "training: epochs must be at least 1, got -3"),
    (["train", "--batch-size", "0"], "training: batch_size must be at least 1, got 0"),
    (["train", "--batch-size", "1.5"], "'1.5' is not a valid integer"),
    (["train", "--lr", "fast"], "'--lr': 'fast' is not a valid float"),
    (["train", "--lr", "nan"], "adam: learning_rate must be a finite number of at least 0, got nan"),
    (["train", "--lr", "inf"], "adam: learning_rate must be a finite number of at least 0, got inf"),
    (["train", "--lr", "-1"], "adam: learning_rate must be a finite number of at least 0, got -1"),
    (["train", "--seed", "-1"], "config: seed must be at least 0, got -1"),
    (["train", "--seed", "4294967296"], "config: seed must be at most 4294967295, got 4294967296"),
    (["train", "--dataset", "mnist"], "dataset must be one of 'digits', 'shapes', "),
    (["train", "--dataset", ""], "dataset must be one of 'digits', 'shapes', "),
    (["train", "--dataset", "cifar10"], "CIFAR-10 is not in"),
    (["train", "--dataset", "cifar10", "--data-dir", "nowhere"], "is not in nowhere; run `handgrad data get"),
    (["train", "--dataset", "cifar10", "--data-dir", "text"], "text: not the published archive"),
    (["train", "--data-dir", "empty"], "--data-dir is for cifar10, not for digits"),
    (["train", "--model", "Net"], "name must be one of TwoLayerNet, FullyConnectedNet, ThreeLayerConvNet"),
    (["train", "--model", "FullyConnectedNet"], "model FullyConnectedNet: lacks hidden_dims"),
    (["train", "--rule", "lion"], 'Invalid update_rule "lion"; known are sgd, '),
    (["train", "--engine", "gpu"], "one of 'auto', 'naive', 'vectorized', 'native'; got 'gpu'"),
    (["train", "--name", ""], "config: name must be a text, got ''"),
    (["train", "--out", ""], "'--out': '' is no path"),
    (["train", "--out", "text"], "'--out': Directory 'text' is a file"),
    (["train", "--out", "text/x"], "Not a directory: text/x/"),
    (["train", "--out", "/dev/null/x"], "Not a directory: /dev/null/x/"),
    (["train", "--out", "a\0b"], "is no path"),
    (["train", "--config", "nowhere.toml"], "config: there is no file nowhere.toml"),
    (["train", "--config", "empty"], "'--config': File 'empty' is a directory"),
    (["train", "--config", ""], "'--config': '' is no path"),
    (["train", "--config", "image.png"], "config: image.png cannot be read"),
    (["train", "--config", "text"], "config: text is not valid TOML"),
    (["train", "--set", "model.reg"], "--set takes KEY=VALUE, as in model.reg=0.01; got 'model.reg'"),
    (["train", "--set", "=3"], "--set takes KEY=VALUE, as in model.reg=0.01; got '=3'"),
    (["train", "--resume", "nowhere"], "nowhere is not a run folder: it holds no config.toml"),
    (["train", "--resume", ""], "'--resume': '' is no path"),
    (["train", "--resume", "empty"], "empty is not a run folder"),
    (["train", "--resume", "text"], "text is not a run folder"),
    (["train", "--resume", "run"], "the run run is finished; measure it with: handgrad evaluate run"),
    (["train", "--resume", "run", "--seed", "3"], "as it was configured; leave out seed"),
    (["train", "--resume", "run", "--dataset", ""], "as it was configured; leave out --dataset"),
    (["train", "--resume", "run", "--config", "x", "--out", "y"], "leave out --config, --out"),
    # evaluate, predict, report
    (["evaluate"], "Missing argument 'RUN...'"),
    (["evaluate", ""], "'RUN...': '' is no path"),
    (["evaluate", "run", "empty"], "empty is not a run folder"),
    (["evaluate", "run", "--tta", "crop"], "a view must be one of 'flip', 'shift', 'shifts'; got 'crop'"),
    (["evaluate", "run", "--tta", "flip+flip"], "a view is named twice in 'flip+flip'"),
    (["evaluate", "run", "--tta", ""], "a view must be one of 'flip', 'shift', 'shifts'; got ''"),
    (["evaluate", "empty"], "empty is not a run folder"),
    (["evaluate", "text"], "text is not a run folder"),
    (["evaluate", "run", "--split", "all"], "'all' is not one of 'train', 'val', 'test'"),
    (["evaluate", "run", "--engine", "gpu"], "engine must be one of 'auto'"),
    (["evaluate", "run", "--data-dir", "empty"], "unrecognized \"root\""),
    (["predict", "run"], "Missing argument 'DATA...'"),
    (["predict", "run", "run"], "Missing argument 'DATA...' behind the runs"),
    (["predict", "run", "image.png", "--tta", "mirror"], "a view must be one of 'flip', 'shift', 'shifts'"),
    (["predict", "nowhere", "image.png"], "nowhere is not a run folder"),
    (["predict", "run", "nowhere.png"], "nowhere.png: there is no such file or folder"),
    (["predict", "run", "text"], "text: not a picture of the kinds PNG, JPEG"),
    (["predict", "run", "empty"], "empty: holds no pictures"),
    (["predict", "run", "/dev/zero"], "/dev/zero: not a picture of the kinds PNG"),
    (["predict", "run", "image.png", "--top", "0"], "'--top': 0 is not in the range x>=1"),
    (["report", "empty"], "report: there is no history.jsonl in empty; is it a run folder?"),
    (["report", "text"], "report: there is no history.jsonl in text"),
    # check, bench, notebook
    (["check", "nowhere"], "check: there is no file or folder nowhere"),
    (["check", "text"], "text is no Python file"),
    (["check", "no.module:f"], "check: no.module cannot be imported"),
    (["bench", "99"], "there is no row 99; handgrad bench --list shows them"),
    (["bench", "1", "--engine", "gpu"], "one of 'auto', 'naive', 'vectorized', 'native'; got 'gpu'"),
    (["bench", "1", "--json", "text/x"], "--json: there is no folder text"),
    (["notebook", "run", "nowhere"], "nowhere: there is no such file"),
    (["notebook", "run", "text"], "text: not a notebook"),
    # data
    (["data", "fly"], "No such command 'fly'"),
    (["data", "get", "mnist"], "'mnist' is not one of 'digits', 'shapes', "),
    (["data", "get", "cifar10", "--to", "text"], "Directory 'text' is a file"),
    (["data", "get", "cifar10", "--to", ""], "'--to': '' is no path"),
    (["data", "verify", "cifar10"], "CIFAR-10 is not in"),
    (["data", "verify", "cifar10", "--data-dir", "nowhere"], "CIFAR-10 is not in nowhere"),
    (["data", "show", "cifar10", "--data-dir", "empty"], "CIFAR-10 is not in empty"),
    (["data", "show", "digits", "--per-class", "0"], "0 is not in the range 1<=x<=50"),
    (["data", "show", "digits", "--per-class", "1", "--out", "text/x.png"], "Not a directory: text/x.png"),
    (["data", "show", "digits", "--out", "empty"], "'--out': File 'empty' is a directory"),
]  # fmt: skip


def called(entry):
    return " ".join(entry[0]).replace("\0", "NUL")


@pytest.mark.parametrize("entry", COMMANDS, ids=called)
def test_a_wrong_command_is_refused(place, finished, capsys, entry):
    arguments, pattern = entry
    if "run" in arguments:
        shutil.copytree(finished, place / "run")
    refuse(capsys, place, arguments, pattern)


SETTINGS = {
    "model=3": "config: [model] must be a table, got 3",
    "model.name=3": "model: name must be one of TwoLayerNet, FullyConnectedNet",
    "model.name=[1]": "model: name must be one of TwoLayerNet, FullyConnectedNet",
    "model.conv_params=3": "ConvNet: conv_params must be a list of dictionaries, got 3",
    "model.conv_params=[1]": "ConvNet: conv_params[0]: it must be a dictionary, got int",
    "model.conv_params=[{num_filters=2}]": "conv_params[0]: it lacks the key 'filter_size'",
    "model.conv_params=[{num_filters=2, filter_size=99, pad=0}]": "has nothing left to compute",
    "model.conv_params=[{num_filters=2, filter_size=3, pool=1}]": "pool must be true or false, got 1",
    "model.hidden_dims={a=1}": "hidden_dims must be a list of the hidden layers' widths, got {'a': 1}",
    "model.hidden_dims=[true]": "hidden_dims[0] must be an integer of at least 1, got True",
    "model.hidden_dims=[4611686018427387904]": "would hold 512 x 4611686018427387904 numbers, beyond",
    "model.hidden_dims=[100000000000]": "out of memory: Unable to allocate",
    "model.dtype=int8": "dtype must be one of float32, float64, complex128; got 'int8'",
    "model.input_dim=[1, 2, 3]": "ConvNet: X must have shape (N, 1, 2, 3); got (50, 1, 8, 8)",
    "model.num_classes=3": "Solver: y_train must be in [0, 3), but y_train",
    "model.normalization={a=1}": "normalization must be one of None, 'batchnorm', 'layernorm'",
    "model.dropout_keep_ratio=1.5": "dropout_keep_ratio must be in (0, 1], got 1.5",
    "model.weight_scale='big'": "weight_scale (or a number) must be one of 'xavier', 'kaiming'",
    "model.reg='0.1'": "ConvNet: reg must be a number, got '0.1'",
    "model.reg=true": "ConvNet: reg must be a number, got True",
    "model.reg=2026-01-01": "ConvNet: reg must be a number, got datetime.date(2026, 1, 1)",
    "model.seed=-1": "ConvNet: seed must be at least 0, got -1",
    "model.rng=-1": "rng (a Generator, RandomState or seed) must be at least 0, got -1",
    "model.depth=3": 'model ConvNet: unrecognized "depth"; known are conv_params',
    "model..reg=1": 'unrecognized ""; known are',
    "data=3": "config: [data] must be a table, got 3",
    "data.name=[1]": "data: name must be one of 'digits', 'shapes', ",
    "data.num=-1": "data set 'digits': unrecognized \"num\"; known are dtype",
    "data.standardize=no": "digits: standardize must be true or false, got 'no'",
    "data.subtract_mean=1": "digits: subtract_mean must be true or false, got 1",
    "model.dtype='01'": "dtype must be one of float32, float64, complex128; got '01'",
    "data.dtype={a=''}": "digits: dtype must be one of float32, float64; got {'a': ''}",
    "data.dtype=[1]": "digits: dtype must be one of float32, float64; got [1]",
    "optimizer.name=[1]": 'Invalid update_rule "[1]"; known are sgd',
    "optimizer.learning_rate=abc": "adam: learning_rate must be a number, got 'abc'",
    "optimizer.learning_rate=true": "adam: learning_rate must be a number, got True",
    "optimizer.beta1=1.5": "adam: beta1 must be in [0, 1), got 1.5",
    "optimizer.lr=0.1": 'config [optimizer] of adam: unrecognized "lr"; known are beta1, beta2',
    "optimizer.m=[1]": 'config [optimizer] of adam: unrecognized "m"',
    "schedule.name=nope": "schedule: name must be one of constant, step",
    "schedule.name={a=1}": "schedule: name must be one of constant, step",
    "schedule.final=nan": "schedule cosine: final must be in [0, 1], got nan",
    'schedule={name="step"}': "schedule step: lacks every",
    'schedule={name="cosine", warmup=1.5}': "schedule: warmup must be an integer of at least 0, got 1.5",
    "training=5": "config: [training] must be a table, got 5",
    "training.epochs=abc": "training: epochs must be an integer of at least 1, got 'abc'",
    "training.epochs=true": "training: epochs must be an integer of at least 1, got True",
    "training.epochs=1e300": "training: epochs must be at most 9223372036854775807, got 1e+300",
    "training.epochs.x=1": "config: training.epochs.x: epochs is not a table",
    "training.batch_size=100000000000000": "out of memory: Unable to allocate",
    "training.batch_size=9223372036854775807": "Solver: a batch would hold 9223372036854775807 x 1 x 8 x 8",
    "training.lr_decay='0.9'": "training: lr_decay must be a number, got '0.9'",
    "training.num_val_samples=-1": "training: num_val_samples must be at least 0, got -1",
    "training.patience=x": "training: patience must be an integer of at least 0, got 'x'",
    "training.augment=3": "training: augment must be a table, got 3",
    "training.augment={turn=1}": 'augmentation: unrecognized "turn"; known are alternating_flip, '
    "color_jitter, crop, cutout, flip, reflected_crop",
    "training.augment={flip='0.5'}": "random_flip: p must be a number, got '0.5'",
    "training.augment={crop=9}": "random_crop: pad must be at most 8, got 9",
    "training.augment={crop=100000000}": "random_crop: pad must be at most 1024, got 100000000",
    "a.b.c=1": 'config: unrecognized "a"; known are data, ',
    "name=3": "config: name must be a text, got 3",
    "name.x=1": "config: name.x: name is not a table",
    "seed=1e300": "config: seed must be at most 4294967295, got 1e+300",
    "seed=1.5": "config: seed must be an integer of at least 0, got 1.5",
    f"seed={'9' * 4000}": "config: seed must be at most 4294967295, got 99999",
    f"seed={'9' * 5000}": "config: seed must be an integer of at least 0, got '99999",
    "engine=[1]": "engine must be one of 'auto', 'naive', 'vectorized', 'native'; got [1]",
}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting[:60])
def test_a_wrong_setting_is_refused(place, capsys, setting):
    refuse(capsys, place, ["train", "--quiet", "--set", setting], SETTINGS[setting])


CONFIGS = {
    "speed = 1": 'config: unrecognized "speed"; known are data, ',
    "[training": "config: c.toml is not valid TOML",
    "[training]\nepochs = 1\nepochs = 2": "config: c.toml is not valid TOML: Cannot overwrite a value",
    f"x = {'[' * 3000}{']' * 3000}": "config: c.toml is not valid TOML: it is nested too deeply",
    f"seed = {'9' * 5000}": "config: c.toml is not valid TOML",
    "data = 'digits'": "config: [data] must be a table, got 'digits'",
    "[[training]]\nepochs = 1": "config: [training] must be a table, got [{'epochs': 1}]",
    "[training]\nepochs = []": "training: epochs must be an integer of at least 1, got []",
    "[training]\nspeed = 1": 'config [training]: unrecognized "speed"; known are accumulate, augment',
    "[training]\naugment = ['flip']": "training: augment must be a table, got ['flip']",
    "[model]": "config: [model] lacks the key 'name'; it has []",
    "[model]\nhidden_dims = [1]": "config: [model] lacks the key 'name'; it has ['hidden_dims']",
    "[model]\nname = 'TwoLayerNet'\ninput_dim = 63": "TwoLayerNet: X must have shape (N, 63)",
    "[model]\nname = 'FullyConnectedNet'\nhidden_dims = '10'": "hidden_dims must be a list",
    "[optimizer]\nlearning_rate = 1": "config: [optimizer] lacks the key 'name'",
    "[schedule]\nfinal = 1": "config: [schedule] lacks the key 'name'",
    "[data]\nname = 'cifar10'\nroot = 3": "cifar10: root must be the path of a file or folder, got 3",
    "[data]\nname = 'cifar10'\nroot = \"a\\u0000b\"": "cifar10: root must be the path of a file",
    "[data]\nname = 'shapes'\nnum_training = 0": "shapes: num_training must be at least 1, got 0",
    "[data]\nname = 'shapes'\nnum_training = 9\nnum_validation = 0": "Solver: X_val must be",
}


@pytest.mark.parametrize("text", CONFIGS, ids=lambda text: text[:40])
def test_a_wrong_configuration_is_refused(place, capsys, text):
    Path("c.toml").write_text(text)
    refuse(capsys, place, ["train", "--quiet", "--config", "c.toml"], CONFIGS[text])


def test_out_of_memory_says_how_much_and_what_to_do(place, capsys):
    refuse(capsys, place, ["train", "--quiet", "--batch-size", str(10**14)], "out of memory: ")
    assert run(["train", "--quiet", "--batch-size", str(10**14)]) == 2
    text = capsys.readouterr().err
    assert re.search(r"allocate [\d.]+ \w*B", text)
    assert "; use a smaller batch, fewer images or a smaller network" in text


def edited(name, old, new):
    """Return the function that replaces `old` in the text file `name` of the run."""

    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def written(name, content):
    """Return the function that writes `content` to the file `name`; None deletes it."""

    def change(folder):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)

    return change


def cut(name):
    """Return the function that takes the last bytes off the file `name`."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-5])


def hollow(name, kind):
    """Return the function that writes a file of the right kind without content."""
    return lambda folder: write_tensors(folder / name, kind, {}, {})


def evaluation(**changes):
    """Return the function that changes what evaluation.json says."""

    def change(folder):
        path = folder / "evaluation.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def without_weights(folder):
    """Take the weights and all checkpoints away."""
    for path in [folder / MODEL, *(folder / "checkpoints").iterdir()]:
        path.unlink()


MODEL, PREPARE = "model.safetensors", "preprocessing.safetensors"
DAMAGE = [  # to the run, the commands that notice, and what they say
    (written("config.toml", None), "evaluate predict", "run is not a run folder: it holds no config.toml"),
    (written("config.toml", None), "report", "No such file or directory: run/config.toml"),
    (written("config.toml", b"["), "evaluate predict", "config: run/config.toml is not valid TOML"),
    (written("config.toml", b"["), "report", "report: the records in run are damaged"),
    (written("config.toml", b"\xff"), "evaluate predict", "config: run/config.toml cannot be read"),
    (written("config.toml", b""), "evaluate predict", "model.safetensors are not of one run"),
    (edited("config.toml", "hidden_dims = [\n    4", "hidden_dims = [\n    5"), "evaluate predict",
     "are not of one run: a network for 10 classes was expected; W2, b2, gamma2, beta2, W3 differ"),
    (edited("config.toml", "num_classes = 10", "num_classes = 9"), "evaluate predict", "W3, b3 differ"),
    (edited("config.toml", 'engine = "auto"', 'engine = "gpu"'), "evaluate predict", "engine must be one of"),
    (without_weights, "evaluate predict", "holds no model.safetensors, its training was not finished"),
    (written(MODEL, b""), "evaluate predict", "run/model.safetensors is damaged, cut off, or not a file"),
    (written(MODEL, b"\xff" * 99), "report", "report: run/model.safetensors is damaged"),
    (cut(MODEL), "evaluate predict", "run/model.safetensors is damaged or cut off: its checksum"),
    (cut(MODEL), "report", "report: run/model.safetensors is damaged"),
    (hollow(MODEL, "handgrad model 1"), "evaluate predict", "run/model.safetensors does not hold what"),
    (hollow(MODEL, "handgrad checkpoint 1"), "evaluate", "must be a handgrad model 1 file, but is"),
    (written(PREPARE, None), "evaluate predict", "run/preprocessing.safetensors cannot be read"),
    (cut(PREPARE), "evaluate predict", "run/preprocessing.safetensors is damaged or cut off"),
    (hollow(PREPARE, "handgrad preprocessing 1"), "predict", "run/preprocessing.safetensors does not hold"),
    (written("history.jsonl", None), "report", "report: there is no history.jsonl in run"),
    (written("history.jsonl", b"nonsense\n" * 3), "report", "history.jsonl line 1 is not JSON"),
    (written("history.jsonl", b"\xff\n{}"), "report", "history.jsonl line 1 is not JSON"),
    (written("history.jsonl", b"[]\n3\n"), "report", "report: the records in run are damaged"),
    (written("history.jsonl", b'{"kind": "step"}\n'), "report", "report: the records in run are damaged"),
    (written("evaluation.json", b"{"), "report", "report: run/evaluation.json is not JSON"),
    (written("evaluation.json", b"3"), "report", "report: the records in run are damaged"),
    (evaluation(confusion=3), "report", "report: the records in run are damaged"),
    (evaluation(examples={"right": [{"png": 3}]}), "report", "report: the records in run are damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "commands", "pattern"), DAMAGE)
def test_a_damaged_run_is_refused(place, folder, capsys, change, commands, pattern):
    change(folder)
    for command in commands.split():
        images = ["image.png"] if command == "predict" else []
        refuse(capsys, place, [command, "run", *images], pattern)


def unfinished(folder):
    """Make of the run one that was stopped after its first epoch."""
    (folder / MODEL).unlink()
    (folder / "evaluation.json").unlink()
    (folder / "checkpoints" / "checkpoint-00000048.safetensors").unlink()


ONE = "checkpoints/checkpoint-00000024.safetensors"
FOREIGN = [  # what is done to an unfinished run, and what resuming it says
    (edited("config.toml", "batch_size = 50", "batch_size = 25"), "batch size was 50, is 25"),
    (edited("config.toml", "num_filters = 2", "num_filters = 3"), "is of another run: parameters W1 was"),
    (edited("config.toml", '"adam"', '"sgd"'), 'config [optimizer] of sgd: unrecognized "beta1"'),
    (edited("config.toml", "standardize = true", "standardize = false"), "data X_train was"),
    (edited("config.toml", "epochs = 2", "epochs = 0"), "training: epochs must be at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "pattern"), FOREIGN)
def test_a_run_that_cannot_be_resumed(place, folder, capsys, change, pattern):
    unfinished(folder)
    change(folder)
    refuse(capsys, place, ["train", "--quiet", "--resume", "run"], pattern)


def test_a_run_without_a_checkpoint_starts_again(folder, capsys, monkeypatch):
    monkeypatch.setattr("handgrad.report.write_report", lambda folder: folder)
    whole = load_model_arrays(folder / MODEL)
    unfinished(folder)
    (folder / ONE).unlink()
    (folder / PREPARE).unlink()  # killed before it was written
    assert run(["train", "--resume", "run"]) == 0
    assert "Resuming at the start: there is no checkpoint yet" in capsys.readouterr().out
    again = load_model_arrays(folder / MODEL)
    assert again.params.keys() == whole.params.keys()
    for name, w in whole.params.items():
        assert np.array_equal(again.params[name], w)


@pytest.mark.parametrize("left", [b"", b'{"kind": "sta', b'{"kin\n{"kind": "start", "iter'])
def test_a_start_that_was_cut_off_is_written_again(left, folder, monkeypatch):
    monkeypatch.setattr("handgrad.report.write_report", lambda folder: folder)
    unfinished(folder)
    (folder / ONE).unlink()
    (folder / "history.jsonl").write_bytes(left)
    assert run(["train", "--quiet", "--resume", "run"]) == 0
    records = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    assert [record["kind"] for record in records][:2] == ["start", "step"]


def test_damaged_checkpoints_are_named_before_the_run_is_refused(folder, capsys):
    unfinished(folder)
    cut(ONE)(folder)
    assert run(["train", "--quiet", "--resume", "run"]) == 2
    skipped, refused = capsys.readouterr().err.splitlines()
    assert skipped.startswith("handgrad: warning: skipped: run/checkpoints/checkpoint-00000024")
    assert (
        refused
        == "handgrad: nothing to resume from in run/checkpoints: all 1 checkpoints are damaged"
    )


def test_other_circumstances_are_a_warning_in_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr("handgrad.report.write_report", lambda folder: folder)
    unfinished(folder)
    edited("config.toml", "reg = 0.001", "reg = 0.002")(folder)
    assert run(["train", "--quiet", "--resume", "run"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(
        "handgrad: warning: run/checkpoints/checkpoint-00000024.safetensors is continued"
    )
    assert "reg was 0.001, is 0.002" in warning


def test_a_run_that_diverges_says_where_and_keeps_its_history(place, capsys):
    assert run([*SMALL, "--lr", "1e30", "--out", "runs"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("handgrad: Solver: ")
    assert "learning rate is too high" in err
    assert len(err.splitlines()) == 1
    (folder,) = (place / "runs").iterdir()
    assert (folder / "history.jsonl").read_text()


def test_a_folder_that_may_not_be_written(place, capsys):
    (place / "empty").chmod(0o500)
    if os.access(place / "empty", os.W_OK):
        pytest.skip("the superuser may write everywhere")
    refuse(capsys, place, ["train", "--quiet", "--out", "empty"], "Permission denied: empty/")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["train", "--set", "model=3"], "handgrad: config: [model] must be a table, got 3\n"),
        (["train", "--epochs", "x"], "handgrad: Invalid value for '--epochs'"),
        (["predict", "empty", "text"], "handgrad: empty is not a run folder"),
    ],
)
def test_the_installed_command_too(place, arguments, start):
    command = [sys.executable, "-m", "handgrad", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(handgrad.__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(start)
    assert done.stdout == ""
