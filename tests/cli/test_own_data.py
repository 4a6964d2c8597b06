"""Data of one's own through the command line: train, stop, resume, evaluate, predict, open elsewhere."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.own import picture_folder, table_text

import handgrad
from handgrad import data
from handgrad.cli.app import run
from handgrad.data import kind_of
from handgrad.data.output import defused, table_writer
from handgrad.errors import DataError
from handgrad.training.callbacks import Callback
from handgrad.training.config import RunConfig
from handgrad.training.defaults import choose
from handgrad.training.division import load_split
from handgrad.training.run import start_run
from handgrad.training.trained import TrainedRun


class Stop(Callback):
    def on_step_end(self, solver, record):
        if solver.iteration == 3:
            solver.stop()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_pictures(place):
    picture_folder(place / "data", count=60)
    return ["--data", "data", "--image-size", "8", "--set", "data.skip_unreadable=true"]


def make_table(place):
    (place / "data.csv").write_text(table_text(), encoding="utf-8")
    return ["--data", "data.csv", "--target", "label"]


def make_arrays(place):
    X = np.random.default_rng(0).normal(5, 3, (90, 4))
    np.savez(place / "data.npz", X=X, y=np.array(["cold", "warm"])[(X[:, 0] > 5).astype(int)])
    return ["--data", "data.npz"]


def trained_on(options, out="runs"):
    """A run of one epoch, without its report."""
    path, rest = Path(options[1]).absolute(), options[2:]
    table = {"name": kind_of(path), "path": str(path)}
    table |= {"target": rest[1]} if "--target" in rest else {}
    table |= {"image_size": 8, "skip_unreadable": True} if table["name"] == "folder" else {}
    dataset = data.load(**table)
    config = choose(dataset, table).config.with_overrides({"training.epochs": 1})
    made = start_run(config, Path(out), dataset)
    made.train()
    return made.folder


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("make", [make_pictures, make_table, make_arrays])
def test_from_data_to_a_model_in_use(place, make, capsys):
    options = make(place)
    epochs = ["--epochs", "2", "--out", "runs"]
    assert run(["train", *options, *epochs]) == 0
    said = capsys.readouterr().out
    assert "Data: split: " in said
    assert "Chosen: network: " in said
    assert "training: " not in said  # the user has chosen the epochs
    (folder,) = (place / "runs").iterdir()
    config = RunConfig.from_toml(folder / "config.toml")
    assert (folder / "report.html").is_file()

    stopped = start_run(config, place / "stopped")
    stopped.train(callbacks=[Stop()])
    assert stopped.solver.iteration == 3
    assert run(["train", "--resume", "stopped", "--quiet"]) == 0
    whole, resumed = (TrainedRun(path) for path in (folder, place / "stopped"))
    for name, w in whole.model.params.items():
        assert np.array_equal(w, resumed.model.params[name]), name

    assert run(["evaluate", str(folder), "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["class_names"] == list(whole.class_names)
    name = options[1]
    assert run(["predict", str(folder), name, "--out", "said.csv"]) == 0
    rows = rows_of(place / "said.csv")
    dataset = whole.dataset()
    assert len(rows) == {"data": 61, "data.csv": 120, "data.npz": 90}[name]
    with handgrad.engines.use(config.engine):
        p = whole.outputs(_raw(dataset, place / name))
    names = [f"p({label})" for label in whole.class_names]
    good = [row for row in rows if not row["problem"]]
    got = np.array([[float(row[label]) for label in names] for row in good])
    np.testing.assert_allclose(got, p, rtol=1e-5, atol=1e-6)
    assert {row["prediction"] for row in good} <= set(whole.class_names)
    code = (
        "import sys, handgrad, numpy as np\n"
        "m = handgrad.load(sys.argv[1])\n"
        "print(m.class_names, m.preprocessing.kind)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, folder / "model.safetensors"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == f"{whole.class_names} {whole.preprocessing.kind}"


def _raw(dataset, path):
    """The rows of the data as a network takes them, in their order."""
    if path.suffix == ".csv":
        from handgrad.data.tablefile import read_table

        return read_table(path).table
    if path.suffix == ".npz":
        return np.load(path)["X"]
    from handgrad.data import read_image
    from handgrad.data.listing import walk_images

    shape = dataset.input_shape
    return np.stack([read_image(f, shape) for f in walk_images(path) if f.name != "broken.jpg"])


def test_a_corrupt_file_is_a_row_that_says_so(place, capsys):
    folder = trained_on(make_pictures(place))
    capsys.readouterr()
    assert run(["predict", str(folder), "data", "--out", "said.csv"]) == 0
    assert "1 of 61 could not be looked at" in capsys.readouterr().err
    (bad,) = [row for row in rows_of(place / "said.csv") if row["problem"]]
    assert bad["file"].endswith("broken.jpg")
    assert "corrupt" in bad["problem"]
    assert bad["prediction"] == bad["p(ring)"] == ""


def test_lines_of_another_length_and_numbers_too_large_are_rows_that_say_so(place):
    folder = trained_on(make_table(place))
    lines = (place / "data.csv").read_text(encoding="utf-8").splitlines()[:6]
    lines[2] += ",too,many"
    lines[3] = lines[3].replace(lines[3].split(",")[1], "1e300", 1)
    (place / "new.csv").write_text("\n".join(lines), encoding="utf-8")
    assert run(["predict", str(folder), "new.csv", "--out", "said.csv"]) == 0
    rows = rows_of(place / "said.csv")
    assert [row["row"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [bool(row["problem"]) for row in rows] == [False, True, True, False, False]
    assert "line 3: 10 cells" in rows[1]["problem"]
    assert "too large" in rows[2]["problem"]


def test_predictions_go_to_parquet_too(place):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = trained_on(make_table(place))
    for name in ("said.parquet", "said.csv"):
        assert run(["predict", str(folder), "data.csv", "--out", name]) == 0
    table = parquet.read_table(place / "said.parquet").to_pydict()
    rows = rows_of(place / "said.csv")
    assert table["prediction"] == [row["prediction"] for row in rows]
    assert table["p(yes)"] == [float(row["p(yes)"]) for row in rows]
    assert run(["predict", str(folder), "data.csv", "--out", "said.doc"]) == 2


def test_formulas_are_defused(place):
    for text in ("=1+1", "+1", "-1", "@x", "\tx", "\r", " =1"):
        assert defused(text) == f"'{text}"
    for value in ("cat", "", "a=b", -1.5, None):
        assert defused(value) == value
    with table_writer(place / "t.csv", {"=name": str, "n": float}) as table:
        table.write([{"=name": "=cmd", "n": -1.5}])
    assert (place / "t.csv").read_text().splitlines() == ["'=name,n", "'=cmd,-1.5"]


def test_a_table_appears_when_all_of_it_is_written(place):
    def stop_in_the_middle():
        with table_writer(place / "t.csv", {"n": int}) as table:
            table.write([{"n": 1}])
            raise KeyError

    with pytest.raises(KeyError):
        stop_in_the_middle()
    assert list(place.iterdir()) == []
    with pytest.raises(DataError, match=r"\.csv, \.tsv, \.parquet"), table_writer(place / "t", {}):
        pass


def test_the_parts_of_a_run_stay_when_rows_come(place):
    folder = trained_on(make_table(place))
    split = load_split(folder / "split.safetensors")
    text = (place / "data.csv").read_text(encoding="utf-8")
    (place / "data.csv").write_text(
        text + table_text(40, seed=1).partition("\n")[2], encoding="utf-8"
    )
    dataset = TrainedRun(folder).dataset()
    for part, rows in split.parts.items():
        assert np.array_equal(dataset.split.parts[part], rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere: there is no such file or folder"),
        (["--data", "."], "no data of a known kind"),
        (["--data", "t.csv"], "say which column is to be predicted, with --target"),
        (["--data", "t.csv", "--target", "lable"], "did you mean 'label'?"),
        (["--data", "t.csv", "--dataset", "digits"], "leave out --dataset"),
        (["--data", "t.pkl"], "can run code"),
        (["--data", "t.csv", "--target", "label", "--group", "who"], "no column 'who'"),
    ],
)
def test_mistakes_are_one_line(place, capsys, arguments, message):
    (place / "t.csv").write_text(table_text(30), encoding="utf-8")
    (place / "t.pkl").write_bytes(b"x")
    if arguments[1] == ".":
        (place / "t.csv").unlink()
        (place / "t.pkl").unlink()
    assert run(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("handgrad: ")


@pytest.mark.parametrize(
    ("shape", "filters", "pools"),
    [
        ((1, 8, 8), 2, 1),
        ((3, 16, 16), 2, 2),
        ((3, 32, 32), 3, 3),
        ((3, 64, 64), 4, 4),
        ((1, 3, 40), 2, 1),
    ],
)
def test_the_network_is_chosen_by_the_stated_table(shape, filters, pools):
    images = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    choice = choose(handgrad.data.from_arrays(images, np.arange(40) % 2))
    convs = choice.config.model["conv_params"]
    assert len(convs) == filters
    assert sum(conv.get("pool", True) for conv in convs) == pools
    assert choice.reasons["model"].endswith(f"{shape[2]}x{shape[1]}")


def test_a_regression_trains_to_its_report_and_card(place, capsys):
    make_table(place)
    assert run(["train", "--data", "data.csv", "--target", "age", "--epochs", "1", "--quiet"]) == 0
    (folder,) = (place / "runs").iterdir()
    assert (folder / "report.html").is_file()
    assert run(["predict", str(folder), "data.csv", "--out", "said.csv"]) == 0
    rows = rows_of(place / "said.csv")
    assert len(rows) == 120
    assert 20 < np.mean([float(row["age"]) for row in rows]) < 80


@pytest.mark.parametrize(
    ("length", "filters", "pools"), [(3, 3, 0), (40, 3, 2), (100, 4, 3), (1000, 4, 4)]
)
def test_sequences_get_a_network_of_convolutions(length, filters, pools):
    X = np.random.default_rng(0).normal(size=(40, 2, length))
    dataset = handgrad.data.from_arrays(X, np.arange(40) % 2, layout="sequences")
    choice = choose(dataset)
    kinds = [layer["layer"] for layer in choice.config.model["layers"]]
    assert (kinds.count("Conv1d"), kinds.count("MaxPool1d")) == (filters, pools)
    assert choice.reasons["model"].endswith(f"sequences of {length}")
    regression = choose(handgrad.data.from_arrays(X, X[:, 0, 0], layout="sequences"))
    assert regression.config.model["loss"] == "mse"
    assert regression.config.model["layers"][-1]["width"] == 1


def test_few_rows_are_chosen_by_the_loss():
    """Of 9 validation rows half of all epochs have every one right: the first of them is not the best."""
    X = np.random.default_rng(0).normal(size=(60, 4))
    choice = choose(handgrad.data.from_arrays(X, np.arange(60) % 2))
    assert choice.config.training.metric == "loss"
    assert "9 rows" in choice.reasons["training.metric"]
    regression = choose(handgrad.data.from_arrays(X, X[:, 0]))
    assert regression.config.training.metric == ""


def test_arrays_of_three_axes_are_images():
    X = np.random.default_rng(0).normal(size=(40, 8, 8))
    choice = choose(handgrad.data.from_arrays(X, np.arange(40) % 2))
    assert choice.config.model["name"] == "ConvNet"


@pytest.mark.parametrize("where", ["file", "option"])
def test_a_file_without_a_network_leaves_it_to_be_chosen(tmp_path, monkeypatch, capsys, where):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i},{i * i % 7},{'abc'[i % 3]}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["a,b,y", *rows]))
    data = '[data]\npath = "t.csv"\ntarget = "y"\n' if where == "file" else ""
    Path("run.toml").write_text(f"{data}[training]\nepochs = 2\n")
    more = [] if where == "file" else ["--data", "t.csv", "--target", "y"]
    assert run(["train", "--quiet", "--config", "run.toml", *more, "--out", "runs"]) == 0
    (folder,) = Path("runs").iterdir()
    config = RunConfig.from_toml(folder / "config.toml")
    assert (config.model["name"], config.training.epochs) == ("FullyConnectedNet", 2)


def test_any_loss_of_a_classification_can_be_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i},{i * i % 7},{'abc'[i % 3]}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["a,b,y", *rows]))
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    np.savez("x.npz", X=X, y=np.arange(40) % 2)
    for place in (["t.csv", "--target", "y"], ["x.npz"]):
        for setting, found in (("loss=focal", "focal"), ("label_smoothing=0.1", "softmax")):
            line = [
                "train",
                "--quiet",
                "--epochs",
                "1",
                "--data",
                *place,
                "--out",
                f"runs-{setting}",
            ]
            assert run([*line, "--set", f"model.{setting}"]) == 0
            folder = max(Path(f"runs-{setting}").iterdir())
            model = RunConfig.from_toml(folder / "config.toml").model
            assert (model["name"], model["loss"]) == ("Sequential", found)
    settings = {"model.loss": "focal", "training.epochs": 1}
    made = handgrad.training.train(handgrad.data.from_table("t.csv", "y"), "runs", settings)
    assert made.config.model["loss"] == "focal"


def test_a_file_with_a_network_keeps_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i},{i * i % 7},{'abc'[i % 3]}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["a,b,y", *rows]))
    Path("run.toml").write_text('[model]\nname = "TwoLayerNet"\n[training]\nepochs = 1\n')
    line = ["train", "--quiet", "--config", "run.toml", "--data", "t.csv", "--target", "y"]
    assert run([*line, "--out", "runs"]) == 0
    (folder,) = Path("runs").iterdir()
    assert RunConfig.from_toml(folder / "config.toml").model["name"] == "TwoLayerNet"
