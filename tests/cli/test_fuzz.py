"""Anything on the command line, in a configuration, or in a run's files: an exit code, no exception."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys

import goals
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handgrad.cli.app import run

SMALL = ["train", "--quiet", "--epochs", "1", "--set", "model.hidden_dims=[4]",
         "--set", "model.conv_params=[{num_filters=2, filter_size=3}]"]  # fmt: skip
FACTOR = int(os.environ.get("HANDGRAD_FUZZ", "1"))  # how many times as many examples
SETTINGS = settings(max_examples=60 * FACTOR, suppress_health_check=list(HealthCheck))
codes = []  # exit codes seen


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run; training stops before its first step, figures are not drawn."""
    place = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("handgrad.report.figures.png", lambda figure, **given: b"")
        assert run([*SMALL, "--out", "runs"]) == 0
        (folder,) = (place / "runs").iterdir()
        folder.rename(place / "run")
        shorten(place / "run")
        (place / "text").write_text("hello")
        patch.setenv("HANDGRAD_DATA", str(place / "runs"))
        patch.setenv("XDG_CACHE_HOME", str(place / "runs"))
        patch.setenv("HANDGRAD_MIRRORS", "nonsense")
        patch.setattr("handgrad.training.run.Run.train", lambda run, callbacks=(): 2)
        yield place
    if FACTOR > 1:
        kinds = ", ".join(f"{codes.count(code):,} times {code}" for code in sorted(set(codes)))
        goals.record(
            32,
            f"{len(codes):,} generated commands, configurations and run folders: 0 tracebacks; exit code "
            f"{kinds} (130 where training would begin)",
        )


@pytest.mark.long
@pytest.mark.skipif(FACTOR > 1, reason="is this very run")
def test_five_thousand_inputs():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", __file__]
    environment = {**os.environ, "HANDGRAD_FUZZ": "22"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def shorten(folder):
    """Leave out most records of a run, so that its report is quick."""
    records = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    (folder / "history.jsonl").write_text("".join(records[:4] + records[-4:]))
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["examples"] = {"right": evaluation["examples"]["right"][:1]}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))


def outcome(place, arguments):
    """Run a command; return its exit code and what it wrote to stderr, after checking both."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    text = err.getvalue()
    codes.append(code)
    assert code in (0, 1, 2, 130)
    assert "Traceback" not in out.getvalue() + text
    left = list((place / "runs").iterdir())
    if code == 2:
        assert "handgrad: " in text
        assert not left
    for folder in left:
        shutil.rmtree(folder)
    return code, text


# numbers between the small and the absurd would fill the memory before anybody could refuse them
NUMBERS = st.sampled_from([-(2**63), -1, 0, 1, 2, 3, 7, 2**40, 2**62, 2**63, 10**30, 10**400, 0.5,
                           -0.5, 1.5, 1e-320, 1e300, float("nan"), float("inf")])  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "digits", "auto", "naive", "adam", "sgd", "ConvNet", "TwoLayerNet", "float32",
                     "cosine", "batchnorm", "kaiming", "text", "run", "a\0b", "../x", "ä" * 300]),
    st.text(max_size=8),
)  # fmt: skip
PLAIN = st.one_of(NUMBERS, TEXTS, st.booleans(), st.dates())
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = {
    "": ["name", "seed", "engine", "data", "model", "optimizer", "schedule", "training"],
    "data": ["name", "dtype", "subtract_mean", "standardize", "root", "num_training"],
    "model": ["name", "input_dim", "hidden_dims", "hidden_dim", "num_classes", "conv_params", "reg",
              "dropout_keep_ratio", "normalization", "weight_scale", "dtype", "seed", "rng"],
    "optimizer": ["name", "learning_rate", "momentum", "beta1", "epsilon", "t", "m"],
    "schedule": ["name", "final", "warmup", "every", "factor", "rise"],
    "training": ["epochs", "batch_size", "lr_decay", "num_train_samples", "num_val_samples",
                 "patience", "checkpoint_every", "augment"],
}  # fmt: skip


NAMES = {
    "data": ["digits"],
    "model": ["ConvNet", "ConvNet", "TwoLayerNet", "FullyConnectedNet", "ThreeLayerConvNet"],
    "optimizer": ["adam", "sgd", "sgd_momentum"],
    "schedule": ["cosine", "step", "one_cycle"],
}
DOTTED = [f"{table}.{key}".strip(".") for table, keys in KEYS.items() for key in keys]
DOTTED += ["x", "model.x", "a.b.c", "training.epochs.x", "training.augment.flip"]


@st.composite
def configs(draw):
    """Draw a configuration of right names, in which one or two values are anything at all."""
    config = {}
    for name, choices in NAMES.items():
        if draw(st.booleans()):
            config[name] = {"name": draw(st.sampled_from(choices))}
    for _ in range(draw(st.integers(1, 2))):
        table, _, key = draw(st.sampled_from(DOTTED)).rpartition(".")
        if table in NAMES:
            config.setdefault(table, {"name": NAMES[table][0]})
        target = config.setdefault(table, {}) if table else config
        if isinstance(target, dict):
            target[key] = draw(VALUES)
    return config


@pytest.mark.thorough
@SETTINGS
@given(config=configs())
def test_any_configuration_has_an_exit_code(place, config):
    (place / "c.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
    outcome(place, ["train", "--quiet", "--config", "c.toml"])


@pytest.mark.thorough
@settings(parent=SETTINGS, max_examples=30 * FACTOR)
@given(content=st.binary(max_size=40) | st.text("[]{}=\"'\\.\n01 aet", max_size=40).map(str.encode))
def test_any_file_for_a_configuration_has_an_exit_code(place, content):
    (place / "c.toml").write_bytes(content)
    outcome(place, ["train", "--quiet", "--config", "c.toml"])


SETTING = st.builds(
    lambda key, value: ["--set", f"{key}={value}"],
    st.sampled_from([*DOTTED, "", ".", "model.", "..x"]),
    VALUES.map(lambda value: tomli_w.dumps({"v": value}).strip()[4:]) | TEXTS,
)
OPTION = st.builds(
    lambda option, value: [option, str(value)],
    st.sampled_from(["--epochs", "--lr", "--batch-size", "--seed", "--rule", "--model", "--engine",
                     "--name", "--dataset", "--data-dir", "--config", "--resume"]),
    PLAIN.filter(lambda value: value != "shapes"),
)  # fmt: skip
COMMANDS = st.sampled_from(["", "evaluate run", "evaluate", "predict run", "predict", "report", "data",
                            "data get", "data verify", "data show", "doctor", "train", "verify-resume",
                            "check"])  # fmt: skip
WORDS = st.sampled_from(["run", "cifar10", "digits", "text", "runs", "nowhere", "--json", "--split", "test",
                         "--top", "3", "--help", "--out", "--version", "-h", "--", "-", "--engine", "naive",
                         "--data-dir", "--to", "--resume", "--config"])  # fmt: skip


@SETTINGS
@given(settings=st.lists(SETTING, min_size=1, max_size=2), options=st.lists(OPTION, max_size=1))
def test_any_options_of_train_have_an_exit_code(place, settings, options):
    arguments = [word for pair in [*settings, *options] for word in pair]
    outcome(place, ["train", "--quiet", "--out", "runs", *arguments])


@settings(parent=SETTINGS, max_examples=40 * FACTOR)
@given(command=COMMANDS, words=st.lists(WORDS | TEXTS, max_size=4))
def test_any_words_have_an_exit_code(place, command, words):
    outcome(place, [*command.split(), *words])


RECORDS = ["config.toml", "history.jsonl", "evaluation.json", "summary.txt", "model.safetensors",
           "preprocessing.safetensors"]  # fmt: skip


@pytest.mark.thorough
@settings(parent=SETTINGS, max_examples=30 * FACTOR)
@given(
    name=st.sampled_from(RECORDS),
    command=st.sampled_from(["evaluate", "evaluate", "report"]),
    start=st.integers(0, 10**6),
    length=st.integers(0, 40),
    new=st.binary(max_size=20),
)
def test_any_damage_to_a_run_has_an_exit_code(place, name, command, start, length, new):
    shutil.rmtree(place / "copy", ignore_errors=True)
    shutil.copytree(place / "run", place / "copy")
    path = place / "copy" / name
    content = path.read_bytes()
    start %= len(content) + 1
    path.write_bytes(content[:start] + new + content[start + length :])
    outcome(place, [command, "copy"])


def places(record, path=()):
    """Yield the path to every value in nested dictionaries and lists."""
    children = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in children:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=3,
)


@pytest.mark.thorough
@settings(parent=SETTINGS, max_examples=10 * FACTOR)
@given(number=st.integers(0, 10**6), value=JSON, name=st.sampled_from(RECORDS[1:3]))
def test_any_records_have_a_report_or_an_error(place, number, value, name):
    shutil.rmtree(place / "copy", ignore_errors=True)
    shutil.copytree(place / "run", place / "copy")
    path = place / "copy" / name
    records = [json.loads(line) for line in path.read_text().splitlines()]
    paths = list(places(records))
    *parents, last = paths[number % len(paths)]
    target = records
    for key in parents:
        target = target[key]
    target[last] = value
    path.write_text("\n".join(map(json.dumps, records)))
    outcome(place, ["report", "copy"])
