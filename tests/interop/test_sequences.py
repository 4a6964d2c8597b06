"""Sequences (N, C, L) that come from other libraries."""

import io
import warnings

import numpy as np
import pytest

from handgrad import interop
from handgrad.errors import OperationError
from handgrad.interop.describe import describe

torch = pytest.importorskip("torch")
X = np.random.default_rng(0).standard_normal((4, 2, 32)).astype(np.float32)


class Waves(torch.nn.Module):
    """Residual, dense, grouped, dilated and strided."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = torch.nn.Conv1d(2, 6, 3, padding=1)
        self.norm = torch.nn.BatchNorm1d(6)
        self.b = torch.nn.Conv1d(6, 6, 3, padding="same", groups=2)
        self.c = torch.nn.Conv1d(12, 4, 2, stride=2, dilation=2)
        self.fc = torch.nn.Linear(4, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.a(x)))
        y = torch.nn.functional.max_pool1d(torch.cat([self.b(x) + x, x], 1), 2)
        return self.fc(torch.nn.functional.avg_pool1d(self.c(y), 2, 1, 1).mean(-1))


def waves():
    module = Waves()
    with torch.no_grad():
        module(torch.tensor(X))  # running statistics
        for p in module.parameters():
            p += 0.1 * torch.randn(p.shape)
    return module.eval()


def plain():
    torch.manual_seed(1)
    parts = torch.nn
    return parts.Sequential(
        parts.Conv1d(2, 6, 3), parts.ReLU(), parts.MaxPool1d(2), parts.Dropout(0.2), parts.Conv1d(6, 4, 3),
        parts.AdaptiveAvgPool1d(1), parts.Flatten(), parts.Linear(4, 3),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("make", [waves, plain])
def test_from_pytorch(make):
    module = make()
    net = interop.from_torch(module, X)
    found = interop.compare(net, module, X)
    assert found.same, str(found)
    right = module(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(net.loss(X), right, rtol=1e-4, atol=1e-6)
    loss, grads = net.loss(X, np.arange(4) % 3)
    assert np.isfinite(loss)
    assert all(g.any() for name, g in grads.items() if name != "a.b")  # in front of a batch norm


@pytest.mark.parametrize("make", [waves, plain])
def test_from_onnx_of_pytorch(make):
    pytest.importorskip("onnx")
    module, file = make(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.tensor(X),), file, opset_version=17, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "N"}},
        )  # fmt: skip
    net = interop.from_onnx(file.getvalue())
    right = module(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(net.loss(X), right, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_from_keras(keras):
    L = keras.layers
    given = keras.Input((32, 2))
    x = L.ReLU()(L.BatchNormalization()(L.Conv1D(6, 3, padding="same")(given)))
    y = L.Add()([L.Conv1D(6, 3, padding="same", activation="tanh")(x), x])
    y = L.Conv1D(4, 3, strides=2)(L.MaxPooling1D(2)(L.Concatenate()([y, x])))
    for last in (L.GlobalAveragePooling1D(), L.Flatten()):
        model = keras.Model(given, L.Dense(3)(last(y)))
        net = interop.from_keras(model)
        right = model(X.transpose(0, 2, 1), training=False).detach().numpy()
        np.testing.assert_allclose(net.loss(X), right, rtol=1e-4, atol=1e-6)
        found = interop.compare(net, model, X)
        assert found.same, str(found)


def test_a_reshape_of_a_row_is_one_layer():
    net = interop.from_torch(plain(), X)
    assert [n.op for n in describe(net).nodes].count("reshape") == 1


def test_what_has_no_counterpart_is_named():
    module = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.ConvTranspose1d(4, 3, 2))
    with pytest.raises(OperationError, match="conv_transpose1d"):
        interop.from_torch(module, X)
