"""The model card says what the records say, and nothing in them can break it."""

import json

import pytest

from handgrad.cli.app import run as command
from handgrad.errors import DataError, OptionError
from handgrad.report import model_card
from handgrad.report.card import interval

CONFIG = """name = "a|b <i>"
seed = 3
[data]
name = "digits"
[model]
name = "ConvNet"
reg = 0.1
[optimizer]
name = "adam"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    history = [
        {
            "kind": "start",
            "image_shape": [1, 8, 8],
            "splits": {"training": 1200, "validation": 297, "test": 300},
            "class_names": ["cat", "d|g"],
            "threads": 2,
            "cpu": "Fast",
            "versions": {"handgrad": "1"},
        },
        {"kind": "epoch", "val_acc": 0.75},
        {"kind": "epoch", "val_acc": 0.5},
        {"kind": "end", "seconds": 1800.0},
    ]
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, history)) + "\n")
    evaluation = {
        "confusion": [[45, 5], [0, 50]],
        "loss": 0.25,
        "class_names": ["cat", "d|g"],
        "split": "test",
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    return tmp_path


def test_what_it_says(folder):
    card = model_card(folder, licence="CC BY 4.0")
    for text in (
        "# a\\|b &lt;i\\>",
        "Licence: CC BY 4.0",
        "splits: 1200 training, 297 validation, 300 test rows",
        "accuracy: 95.00 % of 100 test images (95 % interval 88.8 to 97.8 %)",
        "| cat | 90.0 % |",
        "| d\\|g | 100.0 % |",
        "validation images: 75.00 %",
        "training time: 1800.0 s",
        "about 10 Wh, an estimate: 2 busy cores at 10 W each",
        "--to onnx",
        "seed: 3",
    ):
        assert text in card, text
    assert "not stated" in model_card(folder)
    (folder / "evaluation.json").unlink()
    assert "was not evaluated" in model_card(folder)


def test_wilsons_interval():
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    low, high = interval(0, 20)
    assert low == 0
    assert high == pytest.approx(0.1611, abs=1e-4)


def test_damage_is_named(folder, tmp_path):
    with pytest.raises(OptionError, match="licence"):
        model_card(folder, licence="a\nb")
    with pytest.raises(DataError, match="is it a run folder"):
        model_card(tmp_path / "none")
    (folder / "evaluation.json").write_text('{"confusion": 3}')
    with pytest.raises(DataError, match="damaged"):
        model_card(folder)


def test_the_command(folder, capsys):
    assert command(["card", str(folder), "--out", str(folder / "CARD.md")]) == 0
    assert (folder / "CARD.md").read_text("utf-8") == model_card(folder)
    capsys.readouterr()
    assert command(["card", str(folder)]) == 0
    assert "## Metrics" in capsys.readouterr().out
