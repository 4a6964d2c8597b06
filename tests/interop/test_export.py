"""Networks written for others, and computed by them: the same scores, the same gradients."""

import json
import zipfile

import numpy as np
import pytest
from interop.judge import agree, as_dtype, imported
from interop.nets import layers, ready, rows, trained

import handgrad
from handgrad import interop, nn
from handgrad.data import Preprocessing
from handgrad.errors import CheckpointError, OperationError, OptionError
from handgrad.interop.describe import describe
from handgrad.interop.network import folded, without_dropout
from handgrad.interop.rebuild import model_of


def test_the_neutral_form_is_the_network_to_the_last_bit(networks):
    for name, (model, X) in networks.items():
        again = model_of(describe(model))
        np.testing.assert_array_equal(again.loss(X), model_of(describe(again)).loss(X), name)
        agree(model, X, again.loss(X), name)
        agree(model, X, model_of(folded(without_dropout(describe(model)))).loss(X), name)
        once_more = handgrad.models.build(**again.config())  # as a run folder does
        once_more.params = again.params
        once_more.load_buffers(again.buffers())
        np.testing.assert_array_equal(once_more.loss(X), again.loss(X), name)


def test_layers_without_a_neutral_form_are_named_all_at_once():
    @nn.layer
    def cube(x):
        return x**3, x

    @cube.backward
    def cube_backward(dout, x):
        return 3 * x**2 * dout

    net = nn.Sequential(
        [nn.Affine(3), cube(), nn.Affine(3), cube(name="other"), nn.Affine(2)], (4,)
    )
    with pytest.raises(OperationError, match=r"cube1, cube\(\); other, cube\(\)"):
        interop.export(net, "numpy")


def doubles():
    """Float64 networks, with rows."""
    for name, model in {**ready(np.float64), **layers()}.items():
        model = as_dtype(model, np.float64) if isinstance(model, nn.Model) else model
        if name == "two inputs":
            rng = np.random.default_rng(1)
            yield name, model, tuple(rng.standard_normal((4, *s)) for s in model._input_shapes)
        else:
            yield name, trained(model), rows(model)


def close(got, right, what, tolerance=1e-12):
    assert np.abs(got - right).max() <= tolerance * np.abs(right).max(), what


def test_the_numpy_file(tmp_path):
    labels = np.array([0, 1, 2, 3])
    for number, (name, model, X) in enumerate(doubles()):
        xs = X if isinstance(X, tuple) else (X,)
        done = interop.export(model, "numpy", tmp_path / f"plain{number}.py")
        text = done.files[0].read_text("utf-8")
        assert len(text.splitlines()) <= 300
        module = imported(done.files[0])
        close(module.scores(*xs), model.loss(X), name)
        assert not {"handgrad", "torch"} & {
            line.partition(" ")[2] for line in text.splitlines() if line.startswith("import")
        }
        teaching = imported(
            interop.export(model, "numpy", tmp_path / f"t{number}.py", train=True).files[0]
        )
        close(teaching.scores(*xs), model.loss(X), name)
        if "dropout" in model.summary().lower():
            continue
        model.reg = 0.03
        teaching = imported(
            interop.export(model, "numpy", tmp_path / f"r{number}.py", train=True).files[0]
        )
        loss, grads = model.loss(X, labels)
        own_loss, own = teaching.loss_and_gradients(*xs, labels)
        largest = max(np.abs(g).max() for g in grads.values())
        assert own_loss == pytest.approx(loss, rel=1e-12)
        assert set(own) == set(grads)
        for key, grad in grads.items():
            assert np.abs(own[key].reshape(grad.shape) - grad).max() <= 1e-12 * largest, (name, key)


def test_the_numpy_file_learns(tmp_path, capsys):
    digits = handgrad.data.load("digits")
    X, y = digits.arrays["X_train"][:300], digits.arrays["y_train"][:300]
    net = handgrad.ConvNet(
        (1, 8, 8), ({"num_filters": 4, "filter_size": 3},), (16,), 10, "batchnorm", rng=0
    )
    net.loss(X[:50], y[:50])
    file = interop.export(net, "numpy", tmp_path / "net.py", train=True).files[0]
    assert len(file.read_text("utf-8").splitlines()) <= 300
    module = imported(file)
    module.train(X, y, epochs=4, batch_size=25, learning_rate=0.1)
    assert (module.scores(X).argmax(axis=1) == y).mean() > 0.9
    assert "epoch 4, loss" in capsys.readouterr().out


def test_the_torch_module(tmp_path):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    for number, (name, model, X) in enumerate(doubles()):
        xs = X if isinstance(X, tuple) else (X,)
        module = imported(
            interop.export(model, "torch", tmp_path / f"net{number}.py").files[0]
        ).load()
        close(module(*map(torch.tensor, xs)).detach().numpy(), model.loss(X), name)
        if "dropout" in model.summary().lower() or name in ("speednet", "whitening"):
            continue
        model.reg = 0
        _same_training(torch, module, model, X, name)


def _same_training(torch, module, model, X, name):
    """Ten steps of SGD in both; parameters go to each other by their order."""
    labels = np.array([0, 1, 2, 3])
    module.train()
    steps = 10
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.01)
    xs = [torch.tensor(x) for x in (X if isinstance(X, tuple) else (X,))]
    for _ in range(steps):
        loss, grads = model.loss(X, labels)
        for key, grad in grads.items():
            model.params[key] = model.params[key] - 0.01 * grad
        optimizer.zero_grad()
        other = torch.nn.functional.cross_entropy(module(*xs), torch.tensor(labels))
        other.backward()
        optimizer.step()
        assert other.item() == pytest.approx(loss, rel=1e-9), name
    ours = sorted(float(np.abs(w).sum()) for w in model.params.values())
    theirs = sorted(float(p.detach().abs().sum()) for p in module.parameters() if p.requires_grad)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=name)


def test_the_onnx_file(networks):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from handgrad.interop.onnx_out import model_proto

    runtime.set_default_logger_severity(3)
    for name, (model, X) in networks.items():
        xs = X if isinstance(X, tuple) else (X,)
        for network in (describe(model), folded(without_dropout(describe(model)))):
            session = runtime.InferenceSession(model_proto(network).SerializeToString())
            given = {i.name: x for i, x in zip(session.get_inputs(), xs, strict=True)}
            agree(model, X, session.run(None, given)[0], name)
            one = {key: x[:1] for key, x in given.items()}  # the batch has any size
            assert session.run(None, one)[0].shape[0] == 1


KERAS_SAMPLE = (
    "ConvNet batchnorm",
    "densenet",
    "speednet",
    "activations",
    "prelu",
    "maxout",
    "strides",
    "transposed",
    "norms",
    "bare norms",
    "pools",
    "padded ceil",
    "shared",
    "two inputs",
)


@pytest.mark.filterwarnings("ignore")
def test_the_keras_file(networks, keras, tmp_path):
    for name in KERAS_SAMPLE:
        model, X = networks[name]
        file = interop.export(model, "keras", tmp_path / "net.keras").files[0]
        again = keras.saving.load_model(file, safe_mode=True)
        xs = [
            np.moveaxis(x, 1, -1) if x.ndim == 4 else x
            for x in (X if isinstance(X, tuple) else (X,))
        ]
        got = again(xs if len(xs) > 1 else xs[0], training=False).detach().numpy()
        agree(model, X, got, name)
        assert zipfile.ZipFile(file).testzip() is None


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
def test_keras_has_the_same_gradients_and_ten_steps_of_training(networks, keras):
    from handgrad.interop.keras_out import keras_model

    for name in ("ConvNet batchnorm", "FullyConnectedNet layernorm", "shared"):
        model, _ = networks[name]
        found = interop.compare(model, keras_model(describe(model)), train=10)
        assert found.same, (name, str(found))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from handgrad.training.config import RunConfig
    from handgrad.training.run import start_run

    config = RunConfig.default("digits").with_overrides(
        {"training.epochs": 1, "training.num_train_samples": 100}
    )
    one = start_run(config, tmp_path_factory.mktemp("runs") / "run")
    one.train()
    return one.folder


def test_a_run_takes_its_preprocessing_along(run, tmp_path):
    """Pixels go in; what comes out are the scores of `TrainedRun`, and the classes have their names."""
    from handgrad.training import TrainedRun

    trained_run = TrainedRun(run)
    pixels = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8))
    right = trained_run.model.loss(trained_run.preprocessing(pixels))
    done = interop.export(run, "numpy", tmp_path / "net.py", metadata={"licence": "CC BY 4.0"})
    module = imported(done.files[0])
    np.testing.assert_allclose(module.scores(module.prepared(pixels)), right, rtol=1e-4, atol=1e-5)
    assert [str(k) for k in range(10)] == module.CLASSES
    bare = imported(interop.export(run, "numpy", tmp_path / "bare.py", bare=True).files[0])
    assert not hasattr(bare, "prepared")
    np.testing.assert_allclose(
        bare.scores(trained_run.preprocessing(pixels)), right, rtol=1e-4, atol=1e-5
    )
    pytest.importorskip("onnx")
    import onnx

    file = interop.export(
        run, "onnx", tmp_path / "net.onnx", metadata={"licence": "CC BY 4.0"}
    ).files[0]
    known = {p.key: p.value for p in onnx.load(file).metadata_props}
    assert json.loads(known["class_names"]) == module.CLASSES
    assert known["licence"] == "CC BY 4.0"
    assert known["levels"] == "16"


def test_safetensors(run, tmp_path):
    from safetensors.numpy import load_file

    from handgrad.training import TrainedRun

    model = TrainedRun(run).model
    weights = load_file(interop.export(run, "safetensors", tmp_path / "w.safetensors").files[0])
    for key, w in model.params.items():
        np.testing.assert_array_equal(weights[key], w)


def test_wrong_options(tmp_path):
    net = nn.Sequential([nn.Affine(3)], (4,))
    for options, words in (
        ({"to": "tflite"}, "must be one of"),
        ({"to": "onnx", "int8": True}, "int8 is for to='c'"),
        ({"to": "c", "train": True}, "train is for to='numpy'"),
        ({"to": "c", "int8": True}, "calibration"),
        ({"to": "numpy", "class_names": "abc"}, "class_names"),
        ({"to": "numpy", "preprocessing": 3}, "preprocessing"),
        ({"to": "c", "int8": True, "calibration": np.ones((3, 5))}, "shape"),
    ):
        with pytest.raises(OptionError, match=words):
            interop.export(net, out=tmp_path / "x", **options)
    with pytest.raises(OptionError, match="not known yet"):
        interop.export(nn.Sequential([nn.Affine(3)]), "numpy")
    with pytest.raises(CheckpointError, match="not there"):
        interop.export(tmp_path / "nothing", "numpy")
    prepare = Preprocessing.fit("x", np.arange(48).reshape(1, 3, 4, 4))
    with pytest.raises(OptionError, match="does not fit"):
        interop.export(net, "numpy", tmp_path / "x.py", preprocessing=prepare)
    assert not list(tmp_path.iterdir())


def test_the_command(run, tmp_path, monkeypatch, capsys):
    from handgrad.cli.app import run as command

    monkeypatch.chdir(tmp_path)
    assert command(["export", str(run), "--to", "c", "--int8"]) == 0
    text = capsys.readouterr().out
    assert "convnet.h" in text
    assert "in float" in text
    assert "in int8 (300 images)" in text
    assert command(["export", str(run), "--to", "torch", "--fold"]) == 2
    for to in ("torch", "numpy", "torch"):
        assert command(["export", str(run), "--to", to]) == 0
    names = {
        "convnet.h",
        "convnet_torch.py",
        "convnet_torch.safetensors",
        "convnet_numpy.py",
        "convnet_numpy.npz",
    }
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert command(["compare", str(run), "vectorized"]) == 0
    assert "no difference" in capsys.readouterr().out
    assert command(["compare", str(run), "nothing.onnx"]) == 2
