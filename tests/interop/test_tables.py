"""Networks on tables, rows and sequences leave with what their data go through first, and their unit."""

import ctypes
import json
import subprocess
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from interop.judge import imported

import handgrad
from handgrad import interop
from handgrad.cli.app import run as command
from handgrad.data.table import GAPS, WORDS
from handgrad.errors import DataError, OptionError

rng = np.random.default_rng(0)
N = 120


def table():
    """Columns of every kind, with gaps, rare texts and numbers of odd sizes."""
    whens = np.datetime64("2024-01-01T00:30") + rng.integers(0, 365 * 24, N) * np.timedelta64(
        1, "h"
    )
    cities = rng.choice(["Köln", "Paris", "b", 'a "quoted" one'], N).tolist()
    cities[3], cities[7] = None, "seldom"
    areas = rng.normal(80, 9, N).tolist()
    areas[5] = None
    return {
        "when": [None if k == 9 else str(when) for k, when in enumerate(whens)],
        "city": cities,
        "area": areas,
        "tiny": (rng.normal(0, 1e-9, N)).tolist(),
        "flag": rng.choice([True, False], N).tolist(),
        "rooms": rng.integers(1, 4, N).tolist(),
    }


def written(folder, data):
    import csv

    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(data)
        for row in zip(*data.values(), strict=True):
            writer.writerow(["" if cell is None else cell for cell in row])
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Task -> (run folder, raw rows)."""
    folder = tmp_path_factory.mktemp("tables")
    data = table()
    area = np.array([80.0 if a is None else a for a in data["area"]])
    path = written(folder, data | {"price": (3e9 * area).tolist(), "y": area.tolist()})
    rows = rng.normal(5, 3, (N, 4))
    waves = rng.normal(100, 2, (N, 2, 12))
    np.savez(folder / "rows.npz", X=rows, y=(rows[:, :3] > 5).astype(int))
    np.savez(folder / "waves.npz", X=waves, y=(waves.mean((1, 2)) > 100).astype(int))
    options = {
        "table": [path, "--target", "price", "--target", "y"],
        "classes": [path, "--target", "city"],
        "rows": [folder / "rows.npz"],
        "waves": [folder / "waves.npz"],
    }
    found = {}
    for name, (source, *more) in options.items():
        run, given = run_of(folder / name, source, *more), path
        if source != path:
            given = {"rows": rows, "waves": waves}[name]
        raw = interop.encoded(run, path) if given is path else given
        found[name] = run, given, np.float32(raw)
    return found


def run_of(folder, data, *options):
    """The run folder of one epoch on these data."""
    line = ["train", "--data", data, *options, "--epochs", "1", "--quiet", "--out", folder]
    assert command([str(word) for word in line]) == 0
    (run,) = folder.glob("*")
    return run


def wanted(run, given):
    """What a file answers: scores, or numbers in the targets' unit."""
    trained = handgrad.load(run)
    scores = trained.model.loss(trained.prepared(given))
    return trained.description.unit(scores) if trained.task == "regression" else scores


def close(got, right, name):
    """Within what float32 explains: rounding of the inputs, and of a few hundred products."""
    size = np.abs(right).max(axis=0)
    assert np.abs(np.asarray(got) - right).max(axis=0) / size == pytest.approx(0, abs=2e-5), name


def test_the_numpy_file_takes_the_raw_rows(runs, tmp_path, capsys):
    for name, (run, given, raw) in runs.items():
        file = interop.export(run, "numpy", tmp_path / f"{name}.py").files[0]
        assert len(file.read_text("utf-8").splitlines()) <= 300
        module = imported(file)
        close(module.scores(module.prepared(raw)), wanted(run, given), name)
        if given is raw or not isinstance(given, Path):
            continue
        from handgrad.data.tablefile import read_table

        columns = read_table(given).table
        texts = {name: columns[name].tolist() for name in columns.names}
        exact = module.encoded(texts, module.FIELDS)
        np.testing.assert_array_equal(exact, interop.encoded(run, given), name)
        close(module.scores(module.prepared(texts)), wanted(run, given), name)
        words = {key: ["N/A" if v is None else v for v in column] for key, column in texts.items()}
        np.testing.assert_array_equal(module.encoded(words, module.FIELDS), exact)


def test_gaps_are_written_alike():
    import inspect

    from handgrad.interop.numpy_columns import encoded

    source = inspect.getsource(encoded)
    assert all(f'"{gap}"' in source for gap in GAPS | WORDS)
    cells = ["none", None, "NA", float("nan"), "x"]
    (texts, numbers) = encoded(
        {"a": cells, "b": ["none", None, "-", float("nan"), "1.5"]},
        [("a", "category", ["none", "x", -1]), ("b", "number", [])],
    ).T
    np.testing.assert_array_equal(texts, [0, np.nan, np.nan, np.nan, 1])
    np.testing.assert_array_equal(numbers, [np.nan] * 4 + [1.5])


def test_the_numpy_file_is_a_program(runs, tmp_path):
    import sys

    for name, (run, given, _) in runs.items():
        file = interop.export(run, "numpy", tmp_path / f"{name}.py").files[0]
        path = given
        if not isinstance(given, Path):
            path = tmp_path / "X.npy"
            np.save(path, given)
        done = subprocess.run(
            [sys.executable, file, path], capture_output=True, encoding="utf-8", check=True,
            env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
        )  # fmt: skip
        lines = done.stdout.splitlines()
        answers = handgrad.load(run).predict(given)
        assert len(lines) == N
        if name in ("classes", "waves"):
            assert lines == answers.tolist()
        elif name == "table":
            close([[float(v) for v in line.split()] for line in lines], answers, name)
        else:
            names = handgrad.load(run).class_names
            said = [
                " ".join(n for n, mark in zip(names, row, strict=True) if mark) for row in answers
            ]
            assert lines == said


def test_onnx(runs, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    for name, (run, given, raw) in runs.items():
        file = tmp_path / f"{name}.onnx"
        notes = interop.export(run, "onnx", file).notes
        session = onnxruntime.InferenceSession(file)
        (first,) = session.get_inputs()
        assert first.name == ("columns" if isinstance(given, Path) else "rows")
        close(session.run(None, {first.name: raw})[0], wanted(run, given), name)
        known = session.get_modelmeta().custom_metadata_map
        if isinstance(given, Path):
            fields = json.loads(known["columns"])
            assert len(fields) == raw.shape[1] == len(notes) - 1
            assert [f["levels"] for f in fields if f["name"] == "flag"] in ([], [["False", "True"]])
        assert json.loads(known.get("targets", "[]")) == (
            list(handgrad.load(run).description.target_names) if name in ("table", "rows") else []
        )


def test_an_onnx_file_comes_back_and_is_the_same(runs, tmp_path):
    pytest.importorskip("onnx")
    for name, (run, given, _) in runs.items():
        file = interop.export(run, "onnx", tmp_path / f"{name}.onnx").files[0]
        trained = handgrad.load(run)
        again = interop.from_onnx(file)
        rows = trained.prepared(given)
        close(again.loss(rows), wanted(run, given), name)
        weights = [array.tobytes() for array in again.params.values()]
        assert all(array.tobytes() in weights for array in trained.model.params.values()), name
        assert interop.compare(run, file).same, name
        bare = interop.export(run, "onnx", tmp_path / f"{name}-bare.onnx", bare=True).files[0]
        assert interop.compare(run, bare).same, name
        np.testing.assert_allclose(
            interop.from_onnx(bare).loss(rows), trained.model.loss(rows), rtol=1e-4, atol=1e-5
        )


def test_torch(runs, tmp_path):
    torch = pytest.importorskip("torch")
    for name, (run, given, raw) in runs.items():
        file = interop.export(run, "torch", tmp_path / f"{name}.py").files[0]
        with torch.no_grad():
            got = imported(file).load()(torch.from_numpy(raw)).numpy()
        close(got, wanted(run, given), name)


@pytest.mark.filterwarnings("ignore")  # Keras takes its own tensors apart
def test_keras(runs, tmp_path, keras):
    for name, (run, given, raw) in runs.items():
        file = interop.export(run, "keras", tmp_path / f"{name}.keras").files[0]
        model = keras.saving.load_model(file)
        got = model(raw if raw.ndim == 2 else raw.transpose(0, 2, 1))
        close(got.detach().numpy(), wanted(run, given), name)
        if isinstance(given, Path):
            rows = handgrad.load(run).prepared(given)
            close(interop.from_keras(file).loss(rows), wanted(run, given), name)


@pytest.mark.skipif(which("gcc") is None, reason="gcc is missing")
@pytest.mark.parametrize("int8", [False, True])
def test_c(runs, tmp_path, int8):
    for name, (run, given, raw) in runs.items():
        right = wanted(run, given)
        folder = tmp_path / name
        done = interop.export(run, "c", folder / "net.h", int8=int8)  # the folder is made
        K, D = raw[0].size, right.shape[1]
        (folder / "net.c").write_text(
            f'#include "net.h"\nvoid go(const float *x, float *out, int n);\n'
            f"void go(const float *x, float *out, int n) {{\n"
            f"  for (int i = 0; i < n; ++i) net_predict(x + i * {K}, out + i * {D});\n}}\n"
        )
        flags = ["-O1", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
        library = folder / "net.so"
        subprocess.run(
            ["gcc", *flags, "-shared", "-fPIC", "-o", library, folder / "net.c", "-lm"], check=True
        )
        got = np.zeros((len(raw), D), np.float32)
        pointers = (a.ctypes.data_as(ctypes.c_void_p) for a in (np.ascontiguousarray(raw), got))
        ctypes.CDLL(str(library)).go(*pointers, len(raw))
        if not int8:
            close(got, right, name)
            continue
        error = np.abs(got - right).mean(axis=0)
        assert (error < 0.2 * right.std(axis=0)).all(), name  # 8 bits, of one epoch
        (note,) = [note for note in done.notes if "int8" in note]
        assert ("RMSE" if name == "table" else "accuracy") in note


def test_weights_alone_need_no_form_of_the_data(runs, tmp_path):
    for name, (run, *_) in runs.items():
        file = interop.export(run, "safetensors", tmp_path / f"{name}.safetensors").files[0]
        assert file.is_file()


def test_what_encoded_takes(runs, tmp_path):
    with pytest.raises(OptionError, match="run must be one that was trained on a table, got"):
        interop.encoded(runs["rows"][0], {"a": [1]})
    run, path, raw = runs["table"]
    text = path.read_text("utf-8").replace("area", "aera", 1)
    (tmp_path / "other.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"no column 'area'.*did you mean 'aera'"):
        interop.encoded(run, tmp_path / "other.csv")
    assert interop.encoded(handgrad.load(run), path).shape == raw.shape


def test_texts_that_no_training_row_had():
    from handgrad.data.columns import TablePreprocessing
    from handgrad.data.table import as_table
    from handgrad.interop.columns import Columns

    seen = {"city": ["Köln"] * 5 + ["Paris"] * 5 + ["Ulm"], "area": list(range(11))}
    kinds = {"city": "category", "area": "number"}
    new = {"city": ["Rome", "Köln", None, "Ulm"], "area": [1, 2, None, 3]}
    for min_count, place in ((1, -1), (3, 2)):  # Ulm is rare, and shares its column with others
        prepare = TablePreprocessing.fit(as_table(seen), kinds, min_count=min_count)
        numbers = interop.encoded(prepare, new)
        assert numbers[0, 0] == place
        assert numbers[3, 0] == 2
        assert np.isnan(numbers[2]).all()
        columns = Columns.of(prepare)
        levels = [field.levels for field in columns.fields]
        assert levels == [("Köln", "Paris", "Ulm" if min_count == 1 else "(other)"), ()]
        from handgrad.interop.numpy_columns import encoded, of_columns

        arrays = (getattr(columns, role) for role in ("source", "level", "gap", "fill"))
        features = (of_columns(numbers, *arrays) - prepare.mean) / prepare.std
        np.testing.assert_allclose(features, prepare(new), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(encoded(new, columns.table), numbers)


def test_estimators_of_scikit_learn(tmp_path):
    pytest.importorskip("sklearn")
    from handgrad.sklearn import HandgradClassifier, HandgradRegressor

    X = rng.normal(40, 7, (60, 3))
    labels = np.array(["low", "high"])[(X[:, 0] > 40).astype(int)]
    for fitted in (
        HandgradClassifier((8,), max_iter=3, random_state=0).fit(X, labels),
        HandgradRegressor((8,), max_iter=3, random_state=0).fit(X, X[:, :2] * 1e6),
    ):
        file = interop.export(fitted, "numpy", tmp_path / f"{type(fitted).__name__}.py").files[0]
        module = imported(file)
        answers = module.scores(module.prepared(X))
        if hasattr(fitted, "classes_"):
            assert module.CLASSES == ["high", "low"]
            assert [module.CLASSES[k] for k in answers.argmax(axis=1)] == fitted.predict(X).tolist()
        else:
            close(answers, fitted.predict(X), "regressor")
    with pytest.raises(OptionError, match="a network of"):
        interop.export(HandgradClassifier(), "numpy")
