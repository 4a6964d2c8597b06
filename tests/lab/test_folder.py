"""The folder of runs, histories as they grow, and curves of any length."""

import json
import os
import time

import numpy as np
import pytest

from handgrad.errors import OptionError
from handgrad.lab import folder as lab_folder
from handgrad.lab.folder import RunFolder, state_of
from handgrad.lab.history import History, Tail
from handgrad.lab.live import append_act, live_folder
from handgrad.lab.thinning import Thinned


def make_run(root, name="run", steps=30, title="digits"):
    folder = root / name
    folder.mkdir(parents=True)
    lines = [f'name = "{title}"', "[optimizer]", "learning_rate = 0.01"]
    (folder / "config.toml").write_text("\n".join(lines))
    records = [{"kind": "start", "iteration": 0}]
    for i in range(1, steps + 1):
        records.append(
            {
                "kind": "step",
                "iteration": i,
                "epoch": 0,
                "loss": 1 / i,
                "learning_rate": 0.01,
                "time": i,
            }
        )
    records.append(
        {
            "kind": "epoch",
            "epoch": 1,
            "iteration": steps,
            "train_acc": 0.5,
            "val_acc": 0.25,
            "time": 9.0,
        }
    )
    (folder / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


# -- curves --------------------------------------------------------------------------------------------


def naive_points(steps, values, stride, width):
    """Least, largest and mean of each group of stride * width steps, by loops."""
    groups = {}
    for step, value in zip(steps, values, strict=True):
        groups.setdefault(step // (stride * width), []).append(value)
    return {g: (min(v), max(v), sum(v) / len(v)) for g, v in groups.items()}


@pytest.mark.parametrize("portions", [1, 7])
def test_thinned_points_are_those_of_plain_loops(portions):
    steps = np.arange(1, 5001)
    values = np.random.default_rng(0).standard_normal(5000)
    curve = Thinned(["loss"], buckets=256)
    for part in np.array_split(np.arange(5000), portions):
        curve.add(steps[part], {"loss": values[part]})
    assert curve.stride == 32
    points = curve.points(50)
    width = -(-(5000 // 32 + 1) // 50)
    expected = naive_points(steps, values, 32, width)
    assert [x // (32 * width) for x in points["x"]] == list(expected)
    for row, name in enumerate(("least", "largest", "mean")):
        np.testing.assert_allclose(
            points["loss"][row], [e[row] for e in expected.values()], rtol=1e-5, err_msg=name
        )


def test_a_part_of_a_curve_has_more_detail():
    curve = Thinned(["loss"])
    curve.add(np.arange(1, 8001), {"loss": np.arange(1.0, 8001)})
    assert len(curve.points(100)["x"]) <= 100
    part = curve.points(100, 1000, 1099)
    assert part["x"] == list(range(1000, 1100))
    assert part["loss"][2] == part["loss"][0] == [float(x) for x in part["x"]]


def test_what_is_not_finite_leaves_a_gap():
    curve = Thinned(["loss", "rate"])
    curve.add(np.arange(4), {"loss": np.array([1.0, np.nan, np.inf, 2.0]), "rate": np.ones(4)})
    assert curve.points(10)["loss"][2] == [1.0, None, None, 2.0]
    assert curve.points(10)["rate"][2] == [1.0] * 4


def test_ten_million_points_take_little_memory():
    curve = Thinned(["loss"])
    for start in range(0, 10_000_000, 1_000_000):
        steps = np.arange(start, start + 1_000_000)
        curve.add(steps, {"loss": steps.astype(float)})
    assert curve.count == 10_000_000
    assert sum(a.nbytes for a in vars(curve).values() if isinstance(a, np.ndarray)) < 1 << 20
    points = curve.points(600)
    assert 300 <= len(points["x"]) <= 600
    assert points["loss"][1][-1] == pytest.approx(9_999_999, rel=1e-5)


# -- histories -----------------------------------------------------------------------------------------


def test_a_history_is_read_as_it_grows(tmp_path):
    folder = make_run(tmp_path, steps=10)
    history = History(folder)
    history.update()
    assert (history.steps.count, len(history.epochs), history.version) == (10, 1, 1)
    history.update()
    assert history.version == 1
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"kind": "step", "iteration": 11, "loss": 0.5}\n{"kind": "step", "iterat')
    history.update()
    assert (history.steps.count, history.version) == (11, 2)
    with (folder / "history.jsonl").open("a") as file:
        file.write('ion": 12, "loss": 0.25}\n{"kind": "end", "reason": "finished"}\n')
    history.update()
    assert history.steps.count == 12
    assert history.end["reason"] == "finished"


def test_a_history_that_was_cut_begins_anew(tmp_path):
    folder = make_run(tmp_path, steps=50)
    history = History(folder)
    history.update()
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    new = folder / "new"
    new.write_text("".join(lines[:20]))
    new.replace(folder / "history.jsonl")
    history.update()
    assert history.steps.count == 19
    (folder / "history.jsonl").unlink()
    history.update()
    assert history.steps.count == 0


def test_damaged_lines_are_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\nnonsense\n[1]\n\xff\xfe\n' + b"[" * 100000 + b'\n{"a": 2}\n')
    records, is_new, is_more = Tail(path).read()
    assert (records, is_new, is_more) == ([{"a": 1}, {"a": 2}], False, False)


def test_steps_that_are_none_do_no_harm(tmp_path):
    folder = make_run(tmp_path, steps=3)
    with (folder / "history.jsonl").open("a") as file:
        for step in ('"x"', "-5", "1e30", "null", "true", "[1]", str(1 << 60)):
            file.write(f'{{"kind": "step", "iteration": {step}, "loss": 1.0}}\n')
        file.write('{"kind": "step", "iteration": 4, "loss": "high"}\n')
    history = History(folder)
    history.update()
    assert history.steps.last == 4
    assert history.steps.points(9)["loss"][2][-1] == pytest.approx(1 / 3, rel=1e-5)


# -- the folder ----------------------------------------------------------------------------------------


def test_runs_are_found_and_say_where_they_are(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path / "group", "b", title="deep")
    (tmp_path / "nothing").mkdir()
    folder = RunFolder(tmp_path)
    rows = {row["id"]: row for row in folder.rows()}
    assert set(rows) == {"a", "group/b"}
    assert rows["group/b"]["title"] == "deep"
    assert (rows["a"]["val_acc"], rows["a"]["iteration"], rows["a"]["epoch"]) == (0.25, 30, 1)
    assert rows["a"]["settings"]["optimizer.learning_rate"] == 0.01


def test_a_row_is_read_again_when_its_files_change(tmp_path):
    run = make_run(tmp_path)
    folder = RunFolder(tmp_path)
    assert "test_acc" not in folder.row("run")
    (run / "evaluation.json").write_text('{"task": "classification", "accuracy": 0.75, "loss": 1}')
    assert folder.row("run")["test_acc"] == 0.75


def test_a_run_alone_is_shown_alone(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b")
    assert list(RunFolder(tmp_path / "a").runs()) == ["a"]


def test_tags_and_notes_are_kept_in_the_run(tmp_path):
    make_run(tmp_path)
    folder = RunFolder(tmp_path)
    folder.keep_notes("run", ["best ", "talk"], "<b>as it is</b>")
    row = RunFolder(tmp_path).row("run")
    assert (row["tags"], row["notes"]) == (["best", "talk"], "<b>as it is</b>")
    for tags, notes in (
        ("x", ""),
        ([""], ""),
        (["x" * 41], ""),
        ([1], ""),
        ([], 5),
        ([], "x" * 10_001),
    ):
        with pytest.raises(OptionError, match="lab: "):
            folder.keep_notes("run", tags, notes)


def test_a_run_goes_to_the_trash_as_a_whole(tmp_path):
    make_run(tmp_path)
    folder = RunFolder(tmp_path)
    target = folder.to_trash("run")
    assert (target / "history.jsonl").is_file()
    assert target.parent.name == ".trash"
    assert folder.rows() == []


def test_a_run_that_trains_is_not_trashed(tmp_path):
    run = make_run(tmp_path)
    live_folder(run).mkdir()
    (live_folder(run) / "status.json").write_text(
        json.dumps({"state": "running", "pid": os.getpid()})
    )
    assert state_of(run, {}) == "live"
    with pytest.raises(OptionError, match="is being trained"):
        RunFolder(tmp_path).to_trash("run")


def test_a_training_that_was_killed_is_not_live(tmp_path):
    run = make_run(tmp_path)
    append_act(run, {"act": "pause"})
    for pid in (2**22 + 5, -1, 0, "x", None, True):
        (live_folder(run) / "status.json").write_text(json.dumps({"state": "running", "pid": pid}))
        old = time.time() - 100
        os.utime(run / "history.jsonl", (old, old))
        assert state_of(run, {}) == "stopped", pid


def test_files_are_read_once_for_each_change(tmp_path, monkeypatch):
    one = make_run(tmp_path, "first", steps=200)
    text, config = (one / "history.jsonl").read_bytes(), (one / "config.toml").read_bytes()
    for i in range(49):
        run = tmp_path / f"run-{i}"
        run.mkdir()
        (run / "history.jsonl").write_bytes(text)
        (run / "config.toml").write_bytes(config)
    read = []
    monkeypatch.setattr(
        lab_folder, "_read_row", lambda path, stamps: read.append(path) or {"time": 0}
    )
    folder = RunFolder(tmp_path)
    assert len(folder.rows()) == len(read) == 50
    assert len(folder.rows()) == len(read) == 50
    (one / "lab.json").write_text("{}")
    assert len(folder.rows()) == 50
    assert read[50:] == [one.resolve()]
