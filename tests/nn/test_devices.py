"""Networks on PyTorch's arrays; "torch:cpu" takes the way of "cuda" without a GPU."""

import numpy as np
import pytest
from gpus import GPUS
from nn.nets import NETS_OF_ALL, batch, shifted

from handgrad import nn
from handgrad.engines.devices import check_device
from handgrad.errors import EngineError
from handgrad.models import ConvNet

pytest.importorskip("torch")
devices = pytest.mark.parametrize("device", ["torch:cpu", *GPUS])


def close(a, b):
    assert a[0] == pytest.approx(b[0], rel=1e-12)
    scale = max(np.abs(dw).max() for dw in b[1].values())
    for name, dw in a[1].items():
        assert type(dw) is np.ndarray
        np.testing.assert_allclose(dw, b[1][name], rtol=0, atol=1e-12 * scale, err_msg=name)


@devices
@pytest.mark.parametrize("net", NETS_OF_ALL)
def test_tensors_give_the_same_numbers(net, device):
    here = shifted(net(dtype=np.float64, rng=0))
    there = shifted(net(dtype=np.float64, rng=0, device=device))
    X, y = batch(here)
    for _ in range(2):
        close(there.loss(X, y), here.loss(X, y))
    np.testing.assert_allclose(there.loss(X), here.loss(X), rtol=1e-10, atol=1e-12)
    for name, value in there.buffers().items():
        assert type(value) is np.ndarray
        np.testing.assert_allclose(value, here.buffers()[name], rtol=1e-12)
    there.load_buffers(there.buffers())
    np.testing.assert_allclose(there.loss(X), here.loss(X), rtol=1e-10, atol=1e-12)
    assert all(type(out) is np.ndarray for out in there.activations(X).values())


@devices
def test_a_ready_network_too(device):
    def made():
        conv = {"num_filters": 3, "filter_size": 3}
        return ConvNet((2, 6, 6), [conv], [5], 4, "batchnorm", 0.5, dtype=np.float64, seed=1, rng=0)

    here, there = made(), made()
    there.device = device
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5, 2, 6, 6)), rng.integers(4, size=5)
    for _ in range(2):
        close(there.loss(X, y), here.loss(X, y))
    np.testing.assert_allclose(there.loss(X), here.loss(X), rtol=1e-10)
    assert all(type(value) is np.ndarray for value in there.buffers().values())
    there.load_buffers(there.buffers())
    np.testing.assert_allclose(there.loss(X), here.loss(X), rtol=1e-10)


@pytest.mark.skipif(bool(GPUS), reason="a CUDA device is there")
def test_no_cuda_is_an_error_that_says_so():
    with pytest.raises(
        EngineError, match=r"Sequential: there is no device 'cuda' here, PyTorch .* sees 0"
    ):
        nn.Sequential([nn.Affine(2)], (3,), device="cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", None, 0, ["cpu"]])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(EngineError, match="here: device must be 'cpu', 'cuda'"):
        check_device("here", device)
