"""Advice on networks that go to other libraries and come from them, and on libraries that are missing."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from advice.rows import follows, refused, said
from training.small_runs import started

import handgrad
from handgrad import interop, nn
from handgrad.cli.app import run as command
from handgrad.data import Preprocessing
from handgrad.interop.optional import _EXTRA, library

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def net(**options):
    return nn.Sequential([nn.Affine(3)], (6,), rng=0, **options)


@follows("is there, not written by export; give another file as out (--out)")
def source_of_ones_own_in_the_way(tmp_path):
    own = tmp_path / "train.py"
    own.write_text("print('mine')")
    assert "train.py is there" in refused(lambda: interop.export(net(), "numpy", own))
    assert own.read_text() == "print('mine')"
    for _ in range(2):  # its own file is replaced
        assert interop.export(net(), "numpy", tmp_path / "other.py").files[0].name == "other.py"


@follows("take a constant off such a column before training")
def columns_that_float32_cannot_hold(tmp_path):
    def noted(constant, to="c"):
        folder = tmp_path / f"{constant}"
        path = tmp_path / f"{constant}.csv"
        lines = [f"{1e7 + k - constant},{k % 7},{k % 3}" for k in range(60)]
        path.write_text("\n".join(["far,near,y", *lines]))
        if not folder.exists():
            line = ["train", "--data", str(path), "--target", "y", "--epochs", "1", "--quiet"]
            assert command([*line, "--out", str(folder)]) == 0
        (run,) = folder.glob("*")
        notes = interop.export(run, to, tmp_path / f"net-{to}").notes
        return [said(note, r"too coarse for (\w+),") for note in notes if "too coarse" in note]

    assert noted(0) == ["far"]
    assert noted(1e7) == []
    assert noted(0, "numpy") == []  # computes in float64


@follows("its numbers are the logarithms of the rates of a Poisson loss: take exp of them")
def rates_that_leave_as_logarithms(tmp_path):
    from interop.judge import imported

    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,y", *(f"{k % 9},{k % 9 + 40}" for k in range(80))]))
    line = ["train", "--data", str(path), "--target", "y", "--task", "regression", "--epochs", "1"]
    line += ["--set", "model.loss=poisson", "--quiet", "--out", str(tmp_path / "runs")]
    assert command(line) == 0
    (run,) = (tmp_path / "runs").glob("*")
    done = interop.export(run, "numpy", tmp_path / "n.py")
    function = said(done.notes[-1], r"take (\w+) of them")
    module, rows = imported(done.files[0]), {"a": [1.0, 5.0]}
    rates = getattr(np, function)(module.scores(module.prepared(rows)))
    np.testing.assert_allclose(rates[:, 0], handgrad.load(run).predict(rows), rtol=1e-5)


@follows("preprocessing is for networks of one input; pass bare=True")
def preparation_of_two_inputs(tmp_path):
    from interop.nets import TwoInputs

    model = TwoInputs()
    prepare = Preprocessing.fit("mine", np.arange(48).reshape(3, 1, 4, 4) % 17, levels=16)
    export = {"out": tmp_path / "net.py", "preprocessing": prepare}
    option = said(refused(lambda: interop.export(model, "numpy", **export)), r"pass (\S+)$")
    name, value = option.split("=")
    done = interop.export(model, "numpy", **export, **{name: {"True": True}[value]})
    assert all(file.is_file() for file in done.files)


@follows("; did you mean {path.with_name(near)}?")
def files_that_are_not_there(tmp_path):
    run = started(tmp_path, "classification", "wine-run")
    run.train()
    for wrong in ("wine_run", "wine-runs"):
        text = refused(lambda wrong=wrong: interop.export(tmp_path / wrong, "numpy"))
        meant = said(text, r"did you mean (.*)\?$")
        assert interop.export(meant, "numpy", tmp_path / "n.py", bare=True).files


@follows("int8 needs a calibration set, rows X that the scales come from; pass calibration=X")
def integers_without_rows(tmp_path):
    out = tmp_path / "net.h"
    text = refused(lambda: interop.export(net(), "c", out, int8=True))
    name, value = said(text, r"pass (\S+)$").split("=")
    done = interop.export(net(), "c", out, int8=True, **{name: {"X": X}[value]})
    assert done.files == (out,)


@follows(
    "the layers of a subclassed model are not known; make a functional or ",
    "Sequential one, and call or build it once",
)
@pytest.mark.filterwarnings("ignore")
def models_of_keras(monkeypatch):
    pytest.importorskip("torch")
    try:
        keras = library("keras", "the tests")
    except handgrad.errors.HandgradError as error:
        pytest.skip(str(error))

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = keras.layers.Dense(3)

        def call(self, x):
            return self.last(x)

    own = Own()
    own(X)
    assert "functional or Sequential" in refused(lambda: interop.from_keras(own))
    fresh = keras.Sequential([keras.layers.Dense(3)])
    assert "call or build it once" in refused(lambda: interop.from_keras(fresh))
    called, built = (keras.Sequential([keras.layers.Dense(3)]) for _ in range(2))
    called(X)
    built.build((None, 6))
    inputs = keras.Input((6,))
    functional = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    for model in (called, built, functional):
        right = model(X).detach().numpy()
        np.testing.assert_allclose(interop.from_keras(model).loss(X), right, rtol=1e-5, atol=1e-6)


@follows("computes in complex numbers; use real ones")
def networks_of_complex_numbers(tmp_path):
    def made(dtype):
        return nn.Sequential([nn.Affine(3)], (6,), rng=0, dtype=dtype)

    assert "use real ones" in refused(
        lambda: interop.export(made(np.complex128), "numpy", tmp_path / "a.py")
    )
    assert interop.export(made(np.float64), "numpy", tmp_path / "b.py").files


@follows("and have no form elsewhere: {'; '.join(foreign)}. Use layers of handgrad.nn in their ")
def layers_of_ones_own_go_nowhere(tmp_path):
    @nn.layer
    def positive(x):
        return np.maximum(x, 0), x > 0

    @positive.backward
    def positive_backward(dout, cache):
        return dout * cache

    def made(between):
        return nn.Sequential([nn.Affine(5), between, nn.Affine(3)], (6,), rng=0)

    own, ready = made(positive()), made(nn.ReLU())
    text = refused(lambda: interop.export(own, "numpy", tmp_path / "net.py"))
    assert "positive1, positive()" in text
    np.testing.assert_array_equal(own.loss(X), ready.loss(X))
    assert interop.export(ready, "numpy", tmp_path / "net.py").files


@follows("; pass input_shape, the sizes behind N")
def files_of_onnx_without_sizes():
    onnx = pytest.importorskip("onnx")
    from handgrad.interop.describe import describe
    from handgrad.interop.onnx_out import model_proto

    file = model_proto(describe(net()))
    size = file.graph.input[0].type.tensor_type.shape.dim[1]
    size.dim_param = "width"
    data = onnx.ModelProto.SerializeToString(file)
    text = refused(lambda: interop.from_onnx(data))
    assert "(N, width)" in text
    again = interop.from_onnx(data, **{said(text, r"pass (\w+), the sizes"): (6,)})
    np.testing.assert_array_equal(again.loss(X), net().loss(X))


@follows("of any N, or pass input_shape, the sizes behind N")
def files_of_onnx_without_rows():
    onnx = pytest.importorskip("onnx")
    from handgrad.interop.describe import describe
    from handgrad.interop.onnx_out import model_proto

    file = model_proto(describe(net()))
    del file.graph.input[0].type.tensor_type.shape.dim[0]
    data = onnx.ModelProto.SerializeToString(file)
    text = refused(lambda: interop.from_onnx(data))
    assert "the shape (6), without an axis for the rows" in text
    again = interop.from_onnx(data, **{said(text, r"pass (\w+), the sizes"): (6,)})
    np.testing.assert_array_equal(again.loss(X), net().loss(X))
    file = model_proto(describe(net()))  # as the other half of the advice
    again = interop.from_onnx(onnx.ModelProto.SerializeToString(file))
    np.testing.assert_array_equal(again.loss(X), net().loss(X))


@follows("{what} needs the package", "get it with: pip install 'handgrad[{extra}]'",
         "handgrad.sklearn needs scikit-learn")  # fmt: skip
@pytest.mark.parametrize("name", [*_EXTRA, "sklearn"])
def libraries_that_are_missing(name, monkeypatch):
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    with monkeypatch.context() as patch:
        for loaded in [m for m in sys.modules if m.partition(".")[0] == name]:
            patch.delitem(sys.modules, loaded)
        patch.setitem(sys.modules, name, None)  # an import then fails
        if name == "sklearn":
            for part in [m for m in sys.modules if m.startswith("handgrad.sklearn")]:
                patch.delitem(sys.modules, part)
            with pytest.raises(ModuleNotFoundError) as caught:
                importlib.import_module("handgrad.sklearn")
            text = str(caught.value)
        else:
            text = refused(lambda: library(name, "export"))
    wanted = extras[said(text, r"pip install 'handgrad\[(\w+)\]'$")]
    package = {"sklearn": "scikit-learn", "h5py": "keras"}.get(name, name)  # Keras brings h5py
    assert any(each.partition(">")[0] == package for each in wanted)
    if name == "sklearn":
        pytest.importorskip("sklearn")
        assert importlib.import_module("handgrad.sklearn").HandgradClassifier


@follows("compare: give X, so that PyTorch can tell what the first network computes")
def modules_of_torch_alone():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    text = refused(lambda: interop.compare(module, module))
    assert interop.compare(module, module, **{said(text, r"give (\w+),"): X}).same


@follows("compare: give X, the tuple of arguments of the functions: arrays, then options")
def functions_without_arguments():
    text = refused(lambda: interop.compare(np.maximum, np.fmax))
    given = {said(text, r"give (\w+),"): (X, np.zeros(X.shape))}
    assert interop.compare(np.maximum, np.fmax, **given).same


@follows("load_state_dict: {'; '.join(parts)}. Pass rename={source's name: name}")
def weights_by_other_names_than_the_layers():
    model = nn.Sequential([nn.Affine(3, name="fc")], (6,), rng=0)
    w = np.ones((3, 6), np.float32)
    source = {"fc1.weight": w, "fc.bias": np.zeros(3, np.float32)}
    text = refused(lambda: interop.load_state_dict(model, source))
    old, new = said(text, r"is (\S+) meant"), said(text, r"meant for (\S+)\?")
    option = said(text, r"Pass (\w+)=")
    assert "fc.weight" in interop.load_state_dict(model, source, **{option: {old: new}})
    np.testing.assert_array_equal(model.params["fc.W"], w.T)
