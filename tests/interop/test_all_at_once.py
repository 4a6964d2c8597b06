"""What has no counterpart is named with its place, all of it at once; axes may be counted from the end."""

import io

import numpy as np
import pytest

from handgrad import interop
from handgrad.errors import OperationError

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional

pytestmark = pytest.mark.filterwarnings("ignore")
torch.set_num_threads(1)


class Squeeze(nn.Module):
    """Squeeze and excitation: the product of two values."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = F.relu(self.conv(x))
        w = torch.sigmoid(self.fc(F.adaptive_avg_pool2d(x, 1)))
        return x * w


class Net(nn.Module):
    """Three blocks, then a part that splits the channels and joins them: five places."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Squeeze(), Squeeze(), Squeeze())
        self.act = nn.Hardswish()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.act(self.blocks(x))
        a, b = x.chunk(2, dim=1)
        x = torch.cat([b, F.relu(a)], 1)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_all_places_of_a_module():
    with pytest.raises(OperationError) as caught:
        interop.from_torch(Net(), np.zeros((2, 4, 8, 8), np.float32))
    places = str(caught.value).partition("counterpart here for ")[2].split("; ")
    assert places == [
        *(f"blocks.{i} (mul): of two values" for i in range(3)),
        "act (hardswish)",
        "chunk (chunk)",
    ]


@pytest.mark.parametrize("says", [False, True])
def test_all_places_of_an_onnx_file(says):
    """Behind a split only the shapes that the file says let what follows be judged."""
    onnx = pytest.importorskip("onnx")
    file = io.BytesIO()
    torch.onnx.export(Net().eval(), torch.zeros(2, 4, 8, 8), file, dynamo=False)
    model = onnx.load_from_string(file.getvalue())
    last = onnx.helper.make_node("Det", [model.graph.output[0].name], ["end"], name="end")
    model.graph.node.append(last)
    model.graph.output[0].name = "end"
    if says:
        model = onnx.shape_inference.infer_shapes(model)
    with pytest.raises(OperationError) as caught:
        interop.from_onnx(model.SerializeToString())
    places = str(caught.value).partition("counterpart here for ")[2].split("; ")
    kinds = [place.partition("(")[2].partition(")")[0] for place in places]
    assert kinds == ["Mul", "Mul", "Mul", "HardSwish", "Slice", "Slice", "Det"]


def test_all_places_of_a_keras_model(keras):
    layers = keras.layers

    def squeeze(x):
        w = layers.GlobalAveragePooling2D(keepdims=True)(x)
        w = layers.Conv2D(4, 1, activation="sigmoid")(w)
        return layers.Multiply()([x, w])

    x = inputs = keras.Input((8, 8, 4))
    for _ in range(2):
        x = squeeze(layers.Conv2D(4, 3, activation="relu")(x))
    x = layers.Activation("hard_silu", name="act")(x)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    with pytest.raises(OperationError) as caught:
        interop.from_keras(keras.Model(inputs, x))
    places = str(caught.value).partition("counterpart here for ")[2].split("; ")
    kinds = [place.partition("(")[2].partition(")")[0] for place in places]
    assert kinds == ["Multiply", "Multiply", "Activation"]


@pytest.mark.parametrize(
    "turn",
    [
        lambda x: x.permute(0, -1, 1, 2),
        lambda x: x.permute(0, -2, -3, -1),
        lambda x: x.transpose(-1, -2),
        lambda x: x.transpose(1, -1),
        lambda x: x.swapaxes(-3, 2),
        lambda x: x.movedim(-1, 1),
        lambda x: torch.moveaxis(x, (-1, 1), (1, -1)),
    ],
)
def test_axes_from_the_end(turn):
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(60, 3)

        def forward(self, x):
            return self.fc(turn(x).flatten(1))

    module = Turned().double().eval()
    X = np.random.default_rng(0).standard_normal((3, 3, 4, 5))
    with torch.no_grad():
        right = module(torch.as_tensor(X)).numpy()
    model = interop.from_torch(module, X)
    np.testing.assert_allclose(model.loss(X), right, rtol=1e-12, atol=1e-13)


def test_sequences_are_transposed():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.again = nn.Conv1d(3, 4, 3), nn.Conv1d(6, 2, 3)

        def forward(self, x):
            x = F.relu(self.conv(x)).transpose(-1, -2)
            return self.again(x).flatten(1)

    module = Turned().double().eval()
    X = np.random.default_rng(1).standard_normal((3, 3, 8))
    with torch.no_grad():
        right = module(torch.as_tensor(X)).numpy()
    model = interop.from_torch(module, X)
    np.testing.assert_allclose(model.loss(X), right, rtol=1e-12, atol=1e-13)


def test_a_file_for_a_fixed_number_of_rows():
    """As PyTorch's newer exporter writes it: the rows of the example stand in the shape of a Reshape."""
    onnx = pytest.importorskip("onnx")
    make, floats = onnx.helper.make_node, onnx.TensorProto.FLOAT
    nodes = [make("Reshape", ["x", "to"], ["rows"]), make("Gemm", ["rows", "W"], ["y"])]
    rng = np.random.default_rng(2)
    W = rng.standard_normal((12, 3)).astype(np.float32)
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", floats, [2, 3, 2, 2])],
        [onnx.helper.make_tensor_value_info("y", floats, [2, 3])],
        [onnx.numpy_helper.from_array(a, n) for a, n in ((W, "W"), (np.array([2, 12]), "to"))],
    )
    X = rng.standard_normal((5, 3, 2, 2)).astype(np.float32)
    model = interop.from_onnx(onnx.helper.make_model(graph).SerializeToString())
    np.testing.assert_allclose(model.loss(X), X.reshape(5, -1) @ W, rtol=1e-5, atol=1e-6)
