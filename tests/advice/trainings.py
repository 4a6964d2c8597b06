"""Advice on runs, on what a training is given, and on what is asked of a trained network."""

from __future__ import annotations

import functools
import shlex

import numpy as np
import pytest
from advice.rows import follows, refused, said
from training.small_runs import TARGETS, X, started
from training.toys import make_data, solver_of

import handgrad
from handgrad import nn
from handgrad.cli.app import run as command
from handgrad.training import lr_find, save_model
from handgrad.training.config import RunConfig
from handgrad.training.prediction import said_of
from handgrad.training.run import resume_run, start_run
from handgrad.training.trained import open_runs


def trained(place, task, name="run", **changes):
    run = started(place, task, name, **changes)
    run.train()
    return run.folder


@follows("its header does not describe its network; give --config too")
def files_that_do_not_describe_their_network(tmp_path, capsys):
    folder = trained(tmp_path, "classification")
    bare = tmp_path / "bare.safetensors"
    save_model(bare, handgrad.load(folder).model)
    line = ["train", "--quiet", "--from", str(bare), "--data", str(tmp_path / "classification.npz"),
            "--epochs", "1", "--out", str(tmp_path / "runs")]  # fmt: skip
    assert command(line) == 2
    option = said(capsys.readouterr().err, r"give (\S+) too")
    assert command([*line, option, str(folder / "config.toml")]) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1


@follows(
    "holds no model.safetensors, its training was not finished", "with: handgrad train --resume"
)
def runs_that_never_began(tmp_path):
    folder = started(tmp_path, "regression").folder
    line = shlex.split(
        said(refused(lambda: handgrad.load(folder)), r"handgrad (train --resume .*)$")
    )
    assert command([*line, "--quiet"]) == 0
    assert handgrad.load(folder).predict(X).shape == (120,)


@follows("has NaN or infinity; leave ", "out the rows without a target")
def targets_that_are_missing():
    def train(X, y):
        model = nn.Sequential([nn.Affine(1)], (5,), dtype=None, loss="mse", rng=0)
        data = {"X_train": X, "y_train": y, "X_val": X[:9], "y_val": y[:9]}
        solver = solver_of(model=model, data=data, num_train_samples=9)
        solver.train()
        return solver

    y = TARGETS["regression"] / 1000
    y[[40, 70]] = np.nan, np.inf
    assert "leave out" in refused(lambda: train(X, y))
    keep = np.isfinite(y)
    assert np.isfinite(train(X[keep], y[keep]).loss_history).all()


@follows("but the model's loss is for a {own}; give the network another loss")
def tasks_that_are_not_those_of_the_loss():
    def made(loss):
        return solver_of(
            model=nn.Sequential([nn.Affine(3)], (6,), loss=loss, rng=0), task="classification"
        )

    assert "give the network another loss" in refused(lambda: made("mse"))
    assert made("softmax").task == "classification"


@follows(
    "start_from: the weights of {source} do not fit", "use the same network and size of images"
)
def weights_of_another_network(tmp_path):
    source = trained(tmp_path, "classification")
    other = {"name": "FullyConnectedNet", "hidden_dims": [7, 64]}

    def started_from(model):
        data = {"name": "arrays", "path": str(tmp_path / "classification.npz")}
        tables = {"data": data, "model": model, "start_from": str(source)}
        return start_run(RunConfig.from_dict(tables), tmp_path / "tuned")

    name = said(refused(lambda: started_from(other)), r"as the other run's (\S+) has them")
    same = RunConfig.from_toml(source / name).model
    left_to_data = ("num_classes", "input_dim", "input_shape")
    run = started_from({key: value for key, value in same.items() if key not in left_to_data})
    assert not run.started_from.fresh


@follows("the loss is not finite even at the rate {low}; look at the data and initial weights")
@pytest.mark.filterwarnings("ignore")
def losses_that_are_never_finite():
    def found(scale_of_data=1.0, scale_of_weights=1.0):
        data = make_data()
        for part in ("X_train", "X_val"):
            data[part] = data[part] * scale_of_data
        model = nn.Sequential([nn.Affine(8), nn.Affine(3)], (6,), rng=0)
        for w in model.params.values():
            w *= scale_of_weights
        return lr_find(solver_of(model=model, data=data), steps=20)

    for faulty in ({"scale_of_data": 1e38}, {"scale_of_weights": 1e30}):
        assert "look at the data and initial weights" in refused(
            lambda faulty=faulty: found(**faulty)
        )
    assert found().suggestion > 0


def pictures_run(place, size):
    """A trained run on pictures of `size` by `size` in folders of classes, which are made once."""
    from data.own import picture_folder

    from handgrad import data
    from handgrad.training.defaults import choose

    folder = place / "pictures"
    if not folder.exists():
        picture_folder(folder, count=30, damaged=False)
    table = {"name": "folder", "path": str(folder), "image_size": size}
    dataset = data.load(**table)
    config = choose(dataset, table).config.with_overrides({"training.epochs": 1})
    run = start_run(config, place / f"of{size}", dataset)
    run.train()
    return run.folder


@follows("the runs look at pictures of other sizes; ask them one by one")
def runs_on_pictures_of_two_sizes(tmp_path):
    folders = [pictures_run(tmp_path, size) for size in (8, 12)]
    path = sorted((tmp_path / "pictures").rglob("*.png"))[0]
    assert "one by one" in refused(lambda: list(said_of(open_runs(folders), path)))
    for folder in folders:
        (one,) = said_of(open_runs([folder]), path)
        assert one.outputs.sum() == pytest.approx(1)


@follows(
    "which of the arrays {_names(arrays)} are the inputs? Call them X",
    "which are the inputs, {' or '.join(names)}? Call them X",
    "this network takes arrays: give it an .npy, .npz or .safetensors file",
    "predict: paths are for networks that look at pictures; this one takes",
)
def files_for_a_network_of_arrays(tmp_path):
    from safetensors.numpy import save_file

    runs = open_runs([trained(tmp_path, "classification")])
    expected = runs[0].outputs(X)

    def outputs(path):
        return np.array([said.outputs for said in said_of(runs, path)])

    for names in (("a", "b"), ("data", "images")):
        np.savez(tmp_path / "two.npz", **dict(zip(names, (X, X[:, :2]), strict=True)))
        name = said(refused(lambda: outputs(tmp_path / "two.npz")), r"Call them (\w+)$")
        np.savez(tmp_path / "two.npz", **{name: X, "b": X[:, :2]})
        np.testing.assert_allclose(outputs(tmp_path / "two.npz"), expected)

    (tmp_path / "rows.png").write_bytes(b"")
    ways = said(refused(lambda: outputs(tmp_path / "rows.png")), r"give it an (.*) file$")
    write = {".npy": np.save, ".npz": lambda path, a: np.savez(path, X=a),
             ".safetensors": lambda path, a: save_file({"X": a}, path)}  # fmt: skip
    assert ways.replace(" or ", ", ").split(", ") == list(write)
    for suffix, write_to in write.items():
        path = tmp_path / f"rows{suffix}"
        write_to(path, X)
        np.testing.assert_allclose(outputs(path), expected, err_msg=suffix)

    text = refused(lambda: runs[0].predict(str(path)))
    assert text.endswith("this one takes arrays: give it the data themselves"), text
    assert len(runs[0].predict(X)) == len(X)


@follows("predict: paths are for networks that look at pictures; this one takes {takes}: give it ")
def paths_for_a_network_of_tables(tmp_path, monkeypatch):
    from data.own import table_text

    from handgrad import data
    from handgrad.data import tablefile
    from handgrad.training.defaults import choose

    path = tmp_path / "data.csv"
    path.write_text(table_text(), encoding="utf-8")
    table = {"name": "table", "path": str(path), "target": "label"}
    dataset = data.load(**table)
    config = choose(dataset, table).config.with_overrides({"training.epochs": 1})
    run = start_run(config, tmp_path / "run", dataset)
    run.train()
    model = handgrad.load(run.folder)
    text = refused(lambda: model.predict([path]))
    assert "one table, or the path of its file: give it the data themselves" in text
    right = np.concatenate(
        [model.predict_proba(rows) for rows, _ in tablefile.table_blocks(path, 50)]
    )
    assert len(right) == 120
    for given in (path, str(path)):
        np.testing.assert_allclose(model.predict_proba(given), right, rtol=1e-6)
    with monkeypatch.context() as patch:  # a table of several blocks
        short = functools.partial(tablefile.table_blocks, size=50)
        patch.setattr("handgrad.training.trained.table_blocks", short)
        np.testing.assert_allclose(model.predict_proba(path), right, rtol=1e-6)
    read = tablefile.read_table(path).table
    assert np.array_equal(model.predict(read), model.predict(path))
    whole = path.read_text(encoding="utf-8")
    for broken, words in ((whole + "1,2\n", "line 122: 2 cells"), (whole.splitlines()[0], "rows")):
        path.write_text(broken, encoding="utf-8")
        assert words in refused(lambda: model.predict(path))
    assert "no such file" in refused(lambda: model.predict(tmp_path / "none.csv"))


@follows("has {done} epochs; give more than that, not {epochs}")
def epochs_that_are_done(tmp_path):
    folder = trained(tmp_path, "regression")
    done = int(said(refused(lambda: resume_run(folder, epochs=1)), r"has (\d+) epochs; give more"))
    more = resume_run(folder, epochs=done + 1)
    more.train()
    assert more.solver.epoch == done + 1


@follows("check_accuracy: a {solver.task} has no accuracy; see val_metric_history",
         "predict_proba: a regression has no probabilities; call predict")  # fmt: skip
def what_a_regression_has_not(tmp_path):
    run = started(tmp_path, "regression")
    run.train()
    rows = run.dataset.rows
    text = refused(lambda: run.solver.check_accuracy(rows["X_val"], rows["y_val"]))
    assert len(getattr(run.solver, said(text, r"see (\w+)$"))) > 0
    model = handgrad.load(run.folder)
    method = said(refused(lambda: model.predict_proba(X)), r"call (\w+)$")
    assert getattr(model, method)(X).shape == (120,)


@follows("open its run folder, or put its weights into a network with handgrad.load_weights")
def files_of_weights_alone(tmp_path):
    folder = trained(tmp_path, "classification")
    opened = handgrad.load(folder)
    bare = tmp_path / "bare.safetensors"
    save_model(bare, opened.model)
    function = said(refused(lambda: handgrad.load(bare)), r"with handgrad\.(\w+)$")
    config = opened.config
    fresh = handgrad.training.build.build_model(config, opened.description.input_shape, 3)
    getattr(handgrad, function)(fresh, bare)
    rows = opened.prepared(X)
    np.testing.assert_array_equal(fresh.loss(rows), opened.model.loss(rows))
