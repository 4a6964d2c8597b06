"""The options of a training: one description, by which the Solver and a configuration check."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
from click.testing import CliRunner
from training.toys import Softmax, make_data

from handgrad.cli.app import cli
from handgrad.errors import OptionError
from handgrad.training import Solver
from handgrad.training.config import TrainingOptions
from handgrad.training.options import ARGUMENTS, FILE_TEXTS, IN_FILE, TEXTS


def flat(text):
    return " ".join(text.split())


def test_the_description_has_every_argument_of_the_solver_in_its_order():
    _, _, _, *parameters, unknown = inspect.signature(Solver.__init__).parameters.values()
    assert [parameter.name for parameter in parameters] == list(ARGUMENTS)
    assert unknown.kind is unknown.VAR_KEYWORD


def test_the_description_has_every_key_of_a_configuration():
    assert {field.name for field in fields(TrainingOptions)} == set(IN_FILE)


def test_each_default_may_be_given():
    Solver(Softmax(), make_data(20), verbose=False)
    options = TrainingOptions()
    assert TrainingOptions(**vars(options)) == options


def test_the_docstrings_say_what_the_description_says():
    for thing, texts in ((Solver.__init__, TEXTS), (TrainingOptions, FILE_TEXTS)):
        says = flat(thing.__doc__)
        for name, text in texts.items():
            assert f" {name}: {flat(text)}. " in f"{says} ", name
        assert "options" not in [line.strip() for line in thing.__doc__.splitlines()]


def test_the_help_says_what_the_description_says():
    shown = flat(CliRunner().invoke(cli, ["train", "--help"], terminal_width=200).output).lower()
    for key in ("epochs", "batch_size", "freeze"):
        assert flat(FILE_TEXTS[key]).lower() in shown, key


WRONG = {
    "batch_size": 0,
    "lr_decay": -0.1,
    "num_train_samples": 0,
    "num_val_samples": "x",
    "patience": 1.5,
    "restore_best": "yes",
    "clip_norm": -1,
    "ema": 1.0,
    "sampling": "sorted",
    "skip_easy": 1.0,
    "metric": "speed",
    "class_weight": "fair",
    "accumulate": 0,
    "freeze": 3,
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solver_and_a_configuration_refuse_the_same(name):
    value = WRONG[name]
    with pytest.raises(OptionError, match=f"^Solver: {name}"):
        Solver(Softmax(), make_data(20), **{name: value})
    with pytest.raises(OptionError, match=f"^training: {name}"):
        TrainingOptions(**{ARGUMENTS[name].key: value})


@pytest.mark.parametrize(
    "where", [TrainingOptions, lambda **o: Solver(Softmax(), make_data(20), **o)]
)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"skip_easy": 0.5}, "skip_easy needs sampling='shuffled', got 'replacement'"),
        ({"skip_easy": 0.5, "sampling": "shuffled", "accumulate": 2}, "a whole batch, so accumulate=1"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused_everywhere(where, options, match):
    with pytest.raises(OptionError, match=match):
        where(**options)


def test_what_a_configuration_writes_for_none_is_none_for_the_solver():
    given = TrainingOptions().arguments(["a", "b"])
    off = {name for name, option in ARGUMENTS.items() if option.key and option.off is not None}
    assert off >= {"num_val_samples", "patience", "clip_norm", "ema", "metric", "class_weight"}
    assert {name for name, value in given.items() if value is None} == off | {"augment"}
    assert (given["num_epochs"], given["restore_best"], given["skip_easy"]) == (10, True, 0.0)
    set_ = TrainingOptions(
        epochs=3, patience=2, ema=0.9, augment={"flip": 0.5}, class_weight={"b": 2.0}
    ).arguments(["a", "b"])
    assert (set_["num_epochs"], set_["patience"], set_["ema"]) == (3, 2, 0.9)
    assert set_["augment"](np.zeros((2, 3, 8, 8)), np.random.default_rng(0)).shape == (2, 3, 8, 8)
    assert set_["class_weight"] == {1: 2.0}
