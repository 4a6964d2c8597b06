"""What the lab keeps beside the runs: rows, sparks and long histories; never trusted blindly."""

import json

import numpy as np
import pytest
from lab.test_folder import make_run

from handgrad.lab import kept
from handgrad.lab.folder import RunFolder
from handgrad.lab.history import Histories, History
from handgrad.lab.thinning import Thinned


def long_run(root, name="long", steps=60_000):
    folder = make_run(root, name, steps=1)
    lines = [
        {"kind": "step", "iteration": i, "loss": 1 / i, "learning_rate": 0.1}
        for i in range(2, steps)
    ]
    lines.append({"kind": "epoch", "epoch": 2, "iteration": steps, "val_acc": 0.75})
    with (folder / "history.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return folder


def test_rows_are_read_from_what_was_kept_until_a_file_changes(tmp_path, monkeypatch):
    make_run(tmp_path, "a", steps=10)
    first = RunFolder(tmp_path).rows()
    assert (tmp_path / ".lab" / kept.ROWS).is_file()
    calls = []
    from handgrad.lab import folder as module

    read = module._read_row
    monkeypatch.setattr(module, "_read_row", lambda *given: calls.append(given) or read(*given))
    again = RunFolder(tmp_path)
    assert again.rows() == first
    assert calls == []
    with (tmp_path / "a" / "history.jsonl").open("a") as file:
        file.write('{"kind": "step", "iteration": 11, "loss": 0.5}\n')
    assert again.rows()[0]["iteration"] == 11
    assert len(calls) == 1


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"version": 1, "rows": [1]}', '{"version": 1, "rows": {"a": 5}}', '{"version": 0}']
)  # fmt: skip
def test_kept_rows_that_are_damaged_are_read_anew(tmp_path, text):
    make_run(tmp_path, "a", steps=10)
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / kept.ROWS).write_text(text)
    assert RunFolder(tmp_path).rows()[0]["iteration"] == 10


def test_the_last_epoch_is_found_far_before_the_end(tmp_path):
    folder = make_run(tmp_path, "a", steps=10)
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "epoch": 7, "iteration": 10, "val_acc": 0.5}\n')
        file.writelines(
            f'{{"kind": "step", "iteration": {i}, "loss": 1}}\n' for i in range(11, 5000)
        )
    row = RunFolder(tmp_path).rows()[0]
    assert (row["iteration"], row["epoch"], row["val_acc"]) == (4999, 7, 0.5)


def test_a_configuration_is_read_as_toml_says(tmp_path):
    make_run(tmp_path, "a", steps=1)
    text = 'name = "x"\n[model]\nhidden_dims = [\n  1,\n  2,\n]\n[[model.layers]]\nlayer = "ReLU"\n'
    (tmp_path / "a" / "config.toml").write_text(text)
    settings = RunFolder(tmp_path).rows()[0]["settings"]
    assert settings["model.hidden_dims"] == "[1, 2]"
    assert json.loads(settings["model.layers"]) == [{"layer": "ReLU"}]
    (tmp_path / "a" / "config.toml").write_text('name = "x"\nname = "y"\n')  # no TOML
    assert RunFolder(tmp_path).rows()[0]["title"] == "a"


def test_a_spark_has_a_figure_of_epochs(tmp_path):
    path = tmp_path / "history.jsonl"
    lines = [f'{{"kind": "step", "iteration": {i}}}\n' for i in range(9)]
    lines += [f'{{"kind": "epoch", "epoch": {i}, "val_acc": {i / 100}}}\n' for i in range(100)]
    path.write_text("".join(lines) + '{"kind": "epoch", "val_acc": NaN}\n')
    found = kept.spark(path)
    assert len(found) == kept.SPARK
    assert (found[0], found[-1]) == (0.0, None)
    assert kept.spark(tmp_path / "nothing") == []


def test_a_long_history_goes_on_where_it_was_kept(tmp_path):
    folder = long_run(tmp_path)
    beside = tmp_path / ".lab"
    first = History(folder, beside)
    assert first.update()
    assert kept.file_of(beside, folder).is_file()
    again = History(folder, beside)
    assert again.steps.count == first.steps.count  # before anything was read
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"kind": "step", "iteration": 60000, "loss": 9.0}\n')
    again.update()
    whole = History(folder)
    whole.update()
    assert again.steps.points(50) == whole.steps.points(50)
    assert again.epochs == whole.epochs
    assert Histories(beside).of(folder).steps.count > 0


def test_a_kept_history_of_another_file_is_left_alone(tmp_path):
    folder = long_run(tmp_path)
    beside = tmp_path / ".lab"
    History(folder, beside).update()
    short = folder / "short"
    short.write_text('{"kind": "step", "iteration": 1, "loss": 5.0}\n')
    short.replace(folder / "history.jsonl")
    again = History(folder, beside)
    again.update()
    assert again.steps.count == 1


def test_a_kept_history_that_is_damaged_is_read_anew(tmp_path):
    folder = long_run(tmp_path)
    beside = tmp_path / ".lab"
    History(folder, beside).update()
    path = kept.file_of(beside, folder)
    data = path.read_bytes()
    for wrong in (b"", data[: len(data) // 2], b"PK\x03\x04" + data[:90]):
        path.write_bytes(wrong)
        again = History(folder, beside)
        assert again.steps.count == 0
        again.update()
        assert again.steps.count == 59_999
    np.savez(path, meta=np.frombuffer(b'{"version": 1, "curve": [0, 1, 2]}', np.uint8))
    assert History(folder, beside).steps.count == 0


def test_a_history_is_read_in_parts(tmp_path, monkeypatch):
    from handgrad.lab import history as module

    monkeypatch.setattr(module, "PORTION", 1 << 16)
    history = History(long_run(tmp_path))
    assert not history.update(0.0)
    before = history.steps.count
    assert 0 < before < 59_999
    while not history.update(0.0):
        assert history.steps.count > before
        before = history.steps.count
    assert (history.steps.count, history.whole) == (59_999, True)


def test_a_curve_is_the_same_after_it_was_kept():
    curve = Thinned(["loss"])
    curve.add(np.arange(1, 30_000), {"loss": np.linspace(2, 1, 29_999)})
    again = Thinned.of(["loss"], *curve.state())
    for one in (curve, again):
        one.add(np.array([40_000]), {"loss": np.array([7.0])})
    assert again.points(99) == curve.points(99)
    assert Thinned.of(["loss"], [1, 2], {}) is None
