"""Spaces: what a TOML file of ranges means, and what is refused of it."""

import pytest

from handgrad.errors import OptionError
from handgrad.tuning import Space

pytest.importorskip("optuna", reason="Optuna is not installed")

LR = {"type": "log", "low": 1e-4, "high": 0.1}
RATE = {"optimizer": {"learning_rate": LR}}


class Asked:
    """Answers like a trial of Optuna, and notes what it was asked."""

    def __init__(self, **answers):
        self.answers, self.calls = answers, []

    def suggest_float(self, name, low, high, **options):
        self.calls.append((name, low, high, options))
        return self.answers.get(name, low)

    def suggest_int(self, name, low, high, **options):
        self.calls.append((name, low, high, options))
        return self.answers.get(name, high)

    def suggest_categorical(self, name, choices):
        self.calls.append((name, list(choices)))
        return self.answers.get(name, choices[-1])


@pytest.mark.parametrize(
    ("table", "call"),
    [
        ({"type": "float", "low": 0, "high": 1}, ("model.a", 0.0, 1.0, {"step": None})),
        ({"type": "float", "low": 0, "high": 1, "step": 0.25}, ("model.a", 0.0, 1.0, {"step": 0.25})),
        (LR, ("model.a", 1e-4, 0.1, {"log": True})),
        ({"type": "int", "low": 2, "high": 9}, ("model.a", 2, 9, {"step": 1, "log": False})),
        ({"type": "int", "low": 1, "high": 9, "log": True}, ("model.a", 1, 9, {"step": 1, "log": True})),
        ({"type": "choice", "values": [2, "b", True]}, ("model.a", [2, "b", True])),
        ({"type": "choice", "values": [[1], [2, 3]]}, ("model.a", ["[1]", "[2, 3]"])),
    ],
)  # fmt: skip
def test_a_range_is_what_optuna_is_asked_for(table, call):
    asked = Asked()
    found = Space({"model": {"a": table}}).ask(asked, {})
    assert asked.calls == [call]
    expected = table["high"] if table["type"] == "int" else table.get("low")
    assert found == {"model.a": table["values"][-1] if "values" in table else expected}


def test_a_condition_asks_the_space_and_the_configuration():
    momentum = {"type": "float", "low": 0.5, "high": 0.9, "when": {"optimizer.name": ["a", "b"]}}
    space = Space(
        {"optimizer": {"momentum": momentum, "name": {"type": "choice", "values": ["a", "c"]}}}
    )
    assert [one.key for one in space.ranges] == ["optimizer.name", "optimizer.momentum"]
    for name, keys in (("a", 2), ("c", 1)):
        assert len(space.ask(Asked(**{"optimizer.name": name}), {})) == keys
    fixed = Space({"optimizer": {"momentum": momentum}})
    assert fixed.ask(Asked(), {"optimizer": {"name": "b"}}) == {"optimizer.momentum": 0.5}
    assert fixed.ask(Asked(), {"optimizer": {"name": "c"}}) == {}


def test_several_ranges_of_one_setting():
    ranges = [{**LR, "when": {"optimizer.name": "adam"}},
              {**LR, "low": 0.05, "when": {"optimizer.name": "sgd"}}]  # fmt: skip
    space = Space({"optimizer": {"learning_rate": ranges}})
    for name, low in (("adam", 1e-4), ("sgd", 0.05)):
        asked = Asked()
        assert space.ask(asked, {"optimizer": {"name": name}}) == {"optimizer.learning_rate": low}
        assert asked.calls[0][0] == f"optimizer.learning_rate when optimizer.name = {name}"
    twice = Space({"optimizer": {"learning_rate": [ranges[0], ranges[0]]}})
    with pytest.raises(OptionError, match=r"two ranges of optimizer\.learning_rate hold at once"):
        twice.ask(Asked(), {"optimizer": {"name": "adam"}})


def test_examples_show_every_edge():
    space = Space({**RATE, "model": {"a": {"type": "choice", "values": [[1], [2]]}}})
    found = list(space.examples({}))
    assert {"optimizer.learning_rate": 0.1, "model.a": [1]} in found
    assert {"optimizer.learning_rate": 1e-4, "model.a": [2]} in found


@pytest.mark.parametrize(
    ("tables", "pattern"),
    [
        ({}, "nothing to search"),
        ({"model": {"reg": 0.1}}, r"model.reg must be a table with a type, one of float, log"),
        ({"model": {"reg": {"type": "normal"}}}, r"model.reg: type must be one of 'float'"),
        ({"a": {"type": "float", "low": 1}}, "a of type float lacks high"),
        ({"a": {"type": "float", "low": 1, "high": 1}}, "low must be below high, got 1 and 1"),
        ({"a": {"type": "log", "low": 0, "high": 1}}, "low must be a finite number above 0"),
        ({"a": {"type": "int", "low": 0.5, "high": 1}}, "low must be an integer"),
        ({"a": {"type": "int", "low": 1, "high": 8, "step": 2, "log": True}}, "log needs low"),
        ({"a": {"type": "choice", "values": 3}}, "values must be a list"),
        ({"a": {"type": "choice", "values": [1, 1]}}, "holds one value twice"),
        ({"a": {"type": "float", "low": 0, "hihg": 1}}, 'unrecognized "hihg".*did you mean "high"'),
        ({"a": {**LR, "when": 3}}, "when must be a table"),
        ({"a": [LR, LR]}, "several ranges, so each needs a when"),
        ({"a": [{"low": 1}]}, "a lacks a type"),
        ({"a": {**LR, "when": {"b": 1}}, "b": {**LR, "when": {"a": 1}}}, "a, b wait for one another"),
    ],
)  # fmt: skip
def test_what_is_no_space(tables, pattern):
    with pytest.raises(OptionError, match=pattern):
        Space(tables)


def test_a_file_that_is_no_space(tmp_path):
    file = tmp_path / "space.toml"
    with pytest.raises(OptionError, match="there is no file"):
        Space.from_toml(file)
    file.write_text("[a\n")
    with pytest.raises(OptionError, match="is not valid TOML"):
        Space.from_toml(file)
    file.write_text("[a]\ntype = 'log'\nlow = 1\n")
    with pytest.raises(OptionError, match=r"space.toml: a of type log lacks high"):
        Space.from_toml(file)
