"""Forms of others that are no layer here, but are made of ours: shuffled channels, separable convolutions."""

import numpy as np
import pytest
from interop.judge import imported

from handgrad import export, interop, nn
from handgrad.errors import OperationError, OptionError
from handgrad.interop.describe import describe
from handgrad.interop.network import Images
from handgrad.interop.onnx_out import model_proto


def test_shuffled_channels(tmp_path):
    torch = pytest.importorskip("torch")
    T = torch.nn
    torch.manual_seed(0)

    class Shuffle(T.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = T.Conv2d(4, 6, 1, groups=2), T.Conv2d(6, 6, 3, padding=1, groups=6)
            self.scores = T.Linear(6 * 5 * 7, 3)

        def forward(self, x):
            x = torch.relu(self.a(x))
            n, c, h, w = x.shape
            x = x.view(n, 3, c // 3, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
            return self.scores(self.b(x).flatten(1))

    theirs = Shuffle().eval()
    X = np.random.default_rng(0).standard_normal((3, 4, 5, 7)).astype(np.float32)
    net = interop.from_torch(theirs, torch.tensor(X))
    np.testing.assert_allclose(net.loss(X), theirs(torch.tensor(X)).detach().numpy(), atol=1e-6)
    found = interop.compare(net, theirs, train=2)
    assert found.same, str(found)
    again = interop.from_onnx(export(net, "onnx", tmp_path / "net.onnx").files[0])
    np.testing.assert_array_equal(again.loss(X), net.loss(X))


@pytest.mark.filterwarnings("ignore")
def test_separable_convolutions_of_keras(keras):
    K = keras.layers
    image = keras.Input((9, 8, 3))
    x = K.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", strides=2, activation="relu")(
        image
    )
    model = keras.Model(image, K.Dense(4)(K.Flatten()(K.SeparableConv2D(6, 2, use_bias=False)(x))))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape))
    X = rng.standard_normal((3, 3, 9, 8)).astype(np.float32)
    right = model(X.transpose(0, 2, 3, 1)).detach().numpy()
    net = interop.from_keras(model)
    np.testing.assert_allclose(net.loss(X), right, rtol=1e-4, atol=1e-4)
    assert interop.compare(net, model).same


def test_an_onnx_file_without_rows_is_refused_by_name(tmp_path):
    onnx = pytest.importorskip("onnx")
    net = nn.Sequential([nn.Affine(3)], input_shape=(4,), rng=0)
    file = model_proto(describe(net))
    del file.graph.input[0].type.tensor_type.shape.dim[0]
    onnx.save(file, tmp_path / "one.onnx")
    with pytest.raises(OptionError, match=r"has the shape \(4\), without an axis for the rows"):
        interop.from_onnx(tmp_path / "one.onnx")
    file.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(OptionError, match="pass input_shape"):
        interop.from_onnx(file.SerializeToString())


@pytest.mark.filterwarnings("ignore")
def test_files_that_take_pixels_are_compared(keras, tmp_path):
    images = Images(mean=np.float64([[[3.1]]]), std=np.float64([[[5.7]]]))
    net = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.Affine(3)], input_shape=(2, 6, 6), rng=0)
    net.images = images
    network = describe(net, images)
    file = export(network, "keras", tmp_path / "net.keras").files[0]
    module = imported(export(network, "torch", tmp_path / "net.py").files[0]).load()
    for other in (file, module):
        found = interop.compare(net, other, train=1)
        assert found.same, str(found)
        assert "takes pixels" in str(found)
    module.conv1.weight.data *= 1.5
    found = interop.compare(net, module)
    assert (found.layer, found.cause) == ("conv1", "W holds other numbers: it is multiplied by 1.5")


def test_an_onnx_file_with_foreign_operators_is_compared(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    net = nn.Sequential(
        [nn.Affine(6), nn.Tanh(), nn.Affine(6), nn.ReLU(), nn.Affine(3)], input_shape=(4,), rng=0
    )
    net._params = {name: w + np.float32(0.1) for name, w in net.params.items()}
    file = model_proto(describe(net))
    path = tmp_path / "net.onnx"
    (tanh,) = (node for node in file.graph.node if node.op_type == "Tanh")
    (relu,) = (node for node in file.graph.node if node.op_type == "Relu")
    relu.op_type = "Max"  # of the number and 0: the same numbers, and no operator that is read
    relu.input.append("zero")
    file.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "zero"))
    onnx.save(file, path)
    with pytest.raises(OperationError, match="Max"):
        interop.from_onnx(path)
    found = interop.compare(net, path)
    assert found.same, str(found)
    assert "ONNX Runtime computed it" in str(found)
    tanh.op_type = "Softsign"
    onnx.save(file, path)
    found = interop.compare(net, path)
    assert (found.layer, found.cause) == ("tanh1", "it is a softsign")
    tanh.op_type = "Nothing"
    onnx.save(file, path)
    found = interop.compare(net, path)
    assert found.layer == "tanh1"
    assert "ends with tanh1: " in str(found)
