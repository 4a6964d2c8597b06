"""Networks of others come in with their weights and scores; what has no counterpart is named, all of it."""

import copy

import numpy as np
import pytest
from interop.judge import agree

from handgrad import Solver, interop, nn
from handgrad.errors import DataError, HandgradError, OperationError, OptionError
from handgrad.interop.describe import describe
from handgrad.interop.network import without_dropout
from handgrad.interop.rebuild import model_of


def same_bits(ours, theirs, what, but=()):
    """Every array of one is an array of the other, to the last bit."""
    there = [a for node in theirs.nodes for a in node.arrays.values()]
    for node in ours.nodes:
        for role, a in node.arrays.items():
            if node.name not in but:
                found = any(
                    a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)
                    for b in there
                )
                assert found, (what, node.name, role)


def test_onnx_round_trips(networks):
    pytest.importorskip("onnx")
    from handgrad.interop.onnx_out import model_proto

    for name, (model, X) in networks.items():
        network = without_dropout(describe(model))
        again = interop.from_onnx(model_proto(network).SerializeToString())
        same_bits(network, describe(again), name)
        agree(model, X, again.loss(X), name)


def test_what_a_run_takes_along_comes_back(tmp_path):
    pytest.importorskip("onnx")
    from handgrad.data import Preprocessing

    net = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.Affine(2)], (3, 6, 6), rng=0)
    prepare = Preprocessing.fit("x", np.arange(324).reshape(3, 3, 6, 6) % 256, standardize=True)
    file = interop.export(
        net,
        "onnx",
        tmp_path / "net.onnx",
        preprocessing=prepare,
        class_names=("cat", "dog"),
        metadata={"licence": "MIT"},
    ).files[0]
    again = interop.from_onnx(file)
    X = np.random.default_rng(0).standard_normal((3, 3, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(again.loss(X), net.loss(X))
    assert again.images.class_names == ("cat", "dog")
    assert again.images.info["licence"] == "MIT"
    np.testing.assert_allclose(again.images.mean, prepare.mean, rtol=1e-6)
    twice = interop.export(again, "onnx", tmp_path / "twice.onnx").files[0]
    assert interop.from_onnx(twice).images.class_names == ("cat", "dog")


def test_it_trains_on(networks):
    """As the network that was written; and the Solver takes it, saves it and builds it again."""
    pytest.importorskip("onnx")
    from handgrad import models
    from handgrad.interop.onnx_out import model_proto

    model, X = networks["graph"]
    again = interop.from_onnx(model_proto(describe(model)).SerializeToString(), reg=0.1)
    first = model_of(describe(model))
    y = np.array([0, 1, 2, 3])
    loss, grads = again.loss(X, y)
    assert loss > first.loss(X, y)[0]
    rows = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    solver = Solver(again, rows, update_rule="adam", num_epochs=30, batch_size=4, verbose=False)
    solver.train()
    assert solver.loss_history[-1] < solver.loss_history[0]
    built = models.build(**again.config())
    assert built.params.keys() == again.params.keys()
    assert set(grads) == set(again.params)


@pytest.fixture(scope="module")
def torch():
    found = pytest.importorskip("torch")
    found.set_num_threads(1)
    return found


def test_torch_round_trips(torch, networks, tmp_path):
    from interop.judge import imported

    for number, (name, (model, X)) in enumerate(networks.items()):
        if name in ("resnet20", "resnet8", "allconv", "vgg", "speednet"):
            continue  # the long test of all round trips has them
        module = imported(
            interop.export(model, "torch", tmp_path / f"net{number}.py").files[0]
        ).load()
        again = interop.from_torch(module, X)
        same_bits(describe(model), describe(again), name)
        agree(model, X, again.loss(X), name)


class Basic:
    """The residual network of torchvision, by its names, in a few lines."""

    @staticmethod
    def of(torch, widths=(8, 16), blocks=2, classes=5):
        tnn = torch.nn

        class Block(tnn.Module):
            def __init__(self, before, width, stride):
                super().__init__()
                self.conv1 = tnn.Conv2d(before, width, 3, stride, 1, bias=False)
                self.bn1 = tnn.BatchNorm2d(width)
                self.relu = tnn.ReLU(inplace=True)
                self.conv2 = tnn.Conv2d(width, width, 3, 1, 1, bias=False)
                self.bn2 = tnn.BatchNorm2d(width)
                self.downsample = None
                if stride != 1 or before != width:
                    self.downsample = tnn.Sequential(
                        tnn.Conv2d(before, width, 1, stride, bias=False), tnn.BatchNorm2d(width)
                    )

            def forward(self, x):
                identity = x if self.downsample is None else self.downsample(x)
                out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
                out += identity
                return self.relu(out)

        class ResNet(tnn.Module):
            def __init__(self):
                super().__init__()
                self.conv1 = tnn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
                self.bn1 = tnn.BatchNorm2d(widths[0])
                self.relu = tnn.ReLU(inplace=True)
                self.maxpool = tnn.MaxPool2d(3, 2, 1)
                before = widths[0]
                for i, width in enumerate(widths):
                    row = []
                    for k in range(blocks):
                        row.append(Block(before, width, 2 if i and not k else 1))
                        before = width
                    setattr(self, f"layer{i + 1}", tnn.Sequential(*row))
                self.avgpool = tnn.AdaptiveAvgPool2d((1, 1))
                self.fc = tnn.Linear(before, classes)

            def forward(self, x):
                x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
                for i in range(len(widths)):
                    x = getattr(self, f"layer{i + 1}")(x)
                return self.fc(torch.flatten(self.avgpool(x), 1))

        torch.manual_seed(0)
        model = ResNet()
        with torch.no_grad():
            for _ in range(2):
                model(torch.randn(8, 3, 32, 32))  # statistics of their own
        return model.eval()


def test_a_residual_network_of_torchvisions_form(torch):
    module = Basic.of(torch)
    X = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    again = interop.from_torch(module, X)
    assert "layer2.0.downsample.1.gamma" in again.params
    agree(again, X, module(torch.tensor(X)).detach().numpy())
    found = interop.compare(again, module, X)
    assert found.same, str(found)


def test_a_state_dict_loads_by_name(torch, tmp_path):
    """Of another network of the same architecture, from safetensors: same scores, to the last bit."""
    from safetensors.torch import save_file

    module, other = Basic.of(torch), Basic.of(torch)
    with torch.no_grad():
        for p in other.parameters():
            p += 0.1 * torch.randn_like(p)
    X = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    net = interop.from_torch(module, X)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    taken = interop.load_state_dict(net, tmp_path / "other.safetensors")
    assert len(taken) == len(net.params) + 2 * 10
    np.testing.assert_array_equal(net.loss(X), interop.from_torch(other, X).loss(X))
    torch.save(other.state_dict(), tmp_path / "other.pt")
    net = interop.from_torch(module, X)
    interop.load_state_dict(net, tmp_path / "other.pt")
    np.testing.assert_array_equal(net.loss(X), interop.from_torch(other, X).loss(X))
    with pytest.raises(OptionError, match=r"lacks fc.weight"):
        interop.load_state_dict(
            net, {k: v for k, v in other.state_dict().items() if k != "fc.weight"}
        )


def test_a_pickle_is_not_opened(torch, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"fc.weight": Evil()}))
    net = nn.Sequential([nn.Affine(3, name="fc")], (4,))
    with pytest.raises(HandgradError):
        interop.load_state_dict(net, tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_what_has_no_counterpart_is_named_at_once(torch):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = torch.nn.Conv2d(3, 4, 3), torch.nn.SELU()
            self.pool = torch.nn.LPPool2d(2, 2)
            self.fc = torch.nn.Linear(36, 2)

        def forward(self, x):
            x = self.act(self.conv(x))
            return (
                self.fc(torch.sin(x * torch.sigmoid(x)).flatten(1)[:, :36])
                + torch.cumsum(x.mean((2, 3)), 1)[:, :2]
            )

    with pytest.raises(OperationError) as caught:
        interop.from_torch(Odd(), np.ones((2, 3, 8, 8), np.float32))
    assert "act (" in str(caught.value)
    with pytest.raises(OptionError, match=r"must be a torch.nn.Module"):
        interop.from_torch(3, np.ones((2, 3)))


@pytest.mark.filterwarnings("ignore")
def test_keras_round_trips(keras, networks, tmp_path):
    for name in (
        "ConvNet batchnorm",
        "FullyConnectedNet layernorm",
        "resnet8",
        "activations",
        "prelu",
        "maxout",
        "norms",
        "strides",
        "shared",
        "two inputs",
    ):
        model, X = networks[name]
        again = interop.from_keras(interop.export(model, "keras", tmp_path / "net.keras").files[0])
        same_bits(describe(model), describe(again), name)
        agree(model, X, again.loss(X), name)


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_keras_own_style(keras):
    L = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            L.Rescaling(1 / 255),
            L.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
            L.BatchNormalization(),
            L.DepthwiseConv2D(3, padding="same"),
            L.LeakyReLU(),
            L.MaxPooling2D(2, padding="same"),
            L.Dropout(0.3),
            L.Flatten(),
            L.Dense(7, activation="elu"),
            L.Dense(4, activation="softmax"),
        ]
    )
    X = np.random.default_rng(0).uniform(0, 255, (3, 9, 8, 3)).astype(np.float32)
    with pytest.warns(UserWarning, match="softmax"):
        ours = interop.from_keras(model)
    p = np.exp(ours.loss(X.transpose(0, 3, 1, 2)))
    right = model(X, training=False).detach().numpy()
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), right, rtol=1e-4, atol=1e-6)


# damaged and hostile files


def refused(words, error, path):
    with pytest.raises(error, match=words):
        interop.from_onnx(path)


def test_hostile_onnx_files(tmp_path, networks):
    onnx = pytest.importorskip("onnx")
    from handgrad.interop.onnx_out import model_proto

    good = model_proto(describe(networks["strides"][0]))

    def changed(change):
        model = onnx.ModelProto()
        model.CopyFrom(good)
        change(model.graph)
        return model.SerializeToString()

    def external(graph):
        tensor = graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    def cycle(graph):
        graph.node[0].input[0] = graph.node[2].output[0]

    def huge(graph):
        graph.initializer[0].dims[:] = [1 << 40, 1 << 40]

    def lying(graph):
        graph.initializer[0].dims[:] = [7, 7]

    def loop(graph):
        graph.node[2].op_type = "Loop"
        graph.node[3].op_type = "Whatever"

    refused("etc/passwd.*not read", DataError, changed(external))
    refused("cycle", DataError, changed(cycle))
    refused("shape", DataError, changed(huge))
    refused("damaged", DataError, changed(lying))
    with pytest.raises(OperationError, match=r"\(Loop\)") as caught:
        interop.from_onnx(changed(loop))
    assert "Whatever" not in str(caught.value) or "Loop" in str(caught.value)
    refused("no ONNX file|no nodes", DataError, b"\x00" * 50)
    refused("cannot be read", DataError, tmp_path / "none.onnx")
    refused("must be a file", OptionError, 5)
    data = good.SerializeToString()
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(HandgradError):
            interop.from_onnx(data[:length])


def test_mutated_onnx_files():
    pytest.importorskip("onnx")
    from interop.fuzz_onnx import fuzz

    found = fuzz(400)
    assert found["read"] > 20
    assert found["refused"] > 200


def test_weights_come_back_to_the_last_bit_and_mutated_ones_are_refused(tmp_path, networks):
    from interop.fuzz_onnx import fuzz_weights

    for name in ("ConvNet batchnorm", "sequences", "norms", "shared"):
        model, X = networks[name]
        (file,) = interop.export(model, "safetensors", tmp_path / "w.safetensors").files
        again = copy.deepcopy(model)
        for w in again.params.values():
            w[...] = 0
        interop.load_state_dict(again, file)
        np.testing.assert_array_equal(again.loss(X), model.loss(X))
    found = fuzz_weights(200, tmp_path)
    assert found["read"]
    assert found["refused"] > 100


@pytest.mark.filterwarnings("ignore")
def test_rows_become_images(tmp_path, keras):
    """As in decoders: PyTorch and ONNX with their channels first, Keras with them last."""
    torch = pytest.importorskip("torch")
    parts = [torch.nn.Linear(5, 60), torch.nn.ReLU(), torch.nn.Unflatten(1, (3, 4, 5))]
    parts += [torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(12, 4)]
    module, X = torch.nn.Sequential(*parts), np.random.default_rng(0).standard_normal((6, 5))
    X = X.astype(np.float32)
    net = interop.from_torch(module, X)
    agree(net, X, module(torch.tensor(X)).detach().numpy(), "torch")
    assert interop.compare(net, module, X).same
    for target, read in (("onnx", interop.from_onnx), ("keras", interop.from_keras)):
        file = interop.export(net, target, tmp_path / f"net.{target}").files[0]
        agree(net, X, read(file).loss(X), target)
    theirs = keras.Sequential([keras.Input((5,)), keras.layers.Dense(60)])
    for layer in (
        keras.layers.Reshape((4, 5, 3)),
        keras.layers.Conv2D(2, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(4),
    ):
        theirs.add(layer)
    ours = interop.from_keras(theirs)
    agree(ours, X, theirs(X, training=False).detach().numpy(), "keras")
