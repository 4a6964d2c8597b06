"""Recipes: complete, buildable, true to their bars; the commands that list, follow and repeat them."""

import json
import re
import tomllib
from statistics import mean

import pytest

from handgrad.cli.app import run
from handgrad.errors import OptionError
from handgrad.optim import build_schedule, get_rule
from handgrad.training.build import build_model
from handgrad.training.recipes import load_recipe, recipe_names, spread

NAMES = recipe_names()
SMALL = [
    "--set",
    "model.hidden_dims=[4]",
    "--set",
    "model.conv_params=[]",
    "--set",
    "model.reg=0.0",
]


def test_the_courses_recipes_are_there():
    assert {"two-layer", "fc-best", "three-layer", "challenge-70", "ant"} <= set(NAMES)
    bars = {name: load_recipe(name).bar for name in NAMES}
    assert bars["two-layer"]["val"] >= 0.50
    assert bars["fc-best"]["val"] >= 0.58
    assert bars["three-layer"]["val"] >= 0.49
    assert bars["challenge-70"]["val"] >= 0.70
    assert bars["ant"] == {"val": 0.80, "test": 0.79}
    epochs = {name: load_recipe(name).config.training.epochs for name in NAMES}
    assert (epochs["three-layer"], epochs["ant"]) == (1, 5)
    assert epochs["challenge-70"] <= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_complete_and_can_be_built(name):
    recipe = load_recipe(name)
    config = recipe.config
    assert config.name == recipe.name == name
    assert config.data["name"] == "cifar10"
    assert config.data["num_test"] == 10_000
    model = build_model(config, (3, 32, 32), 10)
    assert model.num_classes == 10
    get_rule(config.optimizer["name"])
    assert config.optimizer["learning_rate"] > 0
    build_schedule(config.schedule or None)


@pytest.mark.parametrize("name", [name for name in NAMES if load_recipe(name).reached])
def test_what_a_recipe_reached_is_above_its_bar(name):
    recipe = load_recipe(name)
    for split, bar in recipe.bar.items():
        assert recipe.reached[split]["mean"] >= bar
    assert recipe.reached["runs"] == len(recipe.reached["seeds"])
    assert recipe.reached["seconds"] > 0
    assert recipe.reached["machine"]


def test_an_unknown_recipe_is_refused_by_name():
    with pytest.raises(OptionError, match=r"one of ant, .*; got 'soup'"):
        load_recipe("soup")


def test_spread():
    assert spread([0.5, 0.6, 0.7]) == {"mean": 0.6, "std": 0.1}
    assert spread([0.5]) == {"mean": 0.5, "std": 0.0}


def test_the_list(capsys):
    assert run(["train", "--recipe", "list"]) == 0
    out = capsys.readouterr().out
    for name in NAMES:
        recipe = load_recipe(name)
        assert f"{name}: {recipe.summary}" in out
        if recipe.reached:
            assert f"val {100 * recipe.reached['val']['mean']:.2f} %" in out


@pytest.mark.thorough
def test_repeating_is_training_from_several_seeds(tmp_path, capsys):
    command = ["train", "--quiet", "--epochs", "1", "--seed", "3", *SMALL, "--repeat", "2"]
    assert run([*command, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    first, second = sorted(
        tmp_path.iterdir(), key=lambda p: tomllib.loads((p / "config.toml").read_text())["seed"]
    )
    seeds = [tomllib.loads((p / "config.toml").read_text())["seed"] for p in (first, second)]
    assert seeds == [3, 4]
    tests = [json.loads((p / "evaluation.json").read_text())["accuracy"] for p in (first, second)]
    reached = tomllib.loads(out[out.index("[recipe.reached]") :])["recipe"]["reached"]
    assert reached["runs"] == 2
    assert reached["seeds"] == [3, 4]
    assert reached["test"]["mean"] == pytest.approx(mean(tests), abs=1e-4)
    assert reached["test"]["std"] == pytest.approx(abs(tests[0] - tests[1]) / 2**0.5, abs=1e-4)
    assert len(re.findall(r"^seed \d", out, re.MULTILINE)) == 2


@pytest.mark.cifar10
def test_a_recipe_runs_on_cifar10(tmp_path, capsys):
    command = ["train", "--recipe", "two-layer", "--epochs", "1", "--quiet", "--out", str(tmp_path)]
    assert run(command) == 0
    (folder,) = tmp_path.iterdir()
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["count"] == 10_000
    assert evaluation["accuracy"] > 0.35
