"""Grouped, dilated and transposed convolution, upsampling and label smoothing beside PyTorch."""

import numpy as np
import pytest

from handgrad import engines, layers

torch = pytest.importorskip("torch")
functional = torch.nn.functional

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
each_engine = pytest.mark.parametrize("engine", engines.available()[1:])
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

# x (N, C, H, W), F, kernel, PyTorch's options
CONV = [
    ((2, 6, 9, 8), 9, (3, 3), {"stride": 2, "padding": 1, "groups": 3}),
    ((2, 32, 7, 9), 32, (3, 3), {"stride": 1, "padding": 1, "groups": 32}),
    ((1, 35, 9, 9), 35, (5, 5), {"stride": (2, 1), "padding": 2, "groups": 35}),
    ((2, 32, 6, 7), 32, (3, 3), {"padding": 1, "groups": 8}),
    ((2, 20, 6, 7), 20, (3, 3), {"stride": 2, "padding": 1, "groups": 10}),
    ((2, 64, 5, 6), 64, (3, 3), {"padding": 1, "groups": 2}),
    ((2, 64, 5, 6), 32, (3, 2), {"padding": 1, "groups": 2, "dilation": 2}),
    ((2, 8, 12, 11), 8, (3, 3), {"padding": 3, "groups": 8, "dilation": (3, 2), "stride": (1, 3)}),
    ((2, 5, 12, 11), 7, (3, 3), {"padding": 2, "dilation": 2}),
    ((2, 5, 12, 11), 7, (3, 4), {"padding": (1, 2), "dilation": (3, 2), "stride": (3, 2)}),
    ((2, 8, 6, 6), 16, (3, 3), {"padding": 1, "groups": 8}),
]
TRANSPOSE = [
    ((2, 6, 5, 4), 4, (4, 4), {"stride": 2, "padding": 1}),
    ((2, 6, 5, 4), 4, (3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 16, 5, 4), 12, (3, 3), {"stride": 1, "padding": 1}),
    ((2, 6, 5, 4), 9, (2, 3), {"stride": 3, "groups": 3, "output_padding": (2, 0)}),
    ((1, 20, 5, 4), 20, (3, 3), {"stride": 2, "groups": 20, "dilation": 2, "padding": (1, 2)}),
    ((1, 32, 4, 4), 32, (4, 4), {"stride": 2, "groups": 8, "padding": 1}),
    ((1, 4, 5, 6), 3, (3, 3), {"stride": 2, "dilation": (2, 3)}),
]
NAMES = {"padding": "pad", "output_padding": "output_pad"}


def beside_torch(forward, backward, theirs, arrays, options, engine):
    """Compare outputs and gradients, normwise, for one random upstream gradient."""
    out, cache = forward(
        *arrays, {NAMES.get(key, key): options[key] for key in options}, engine=engine
    )
    dout = np.random.default_rng(5).standard_normal(out.shape).astype(out.dtype)
    gradients = backward(dout, cache)
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*tensors, **options)
    expected.backward(torch.tensor(dout))
    got = [out, *(gradients if isinstance(gradients, tuple) else (gradients,))]
    for mine, other in zip(got, [expected, *(tensor.grad for tensor in tensors)], strict=True):
        other = other.detach().numpy()
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        error = np.max(np.abs(mine - other)) / np.max(np.abs(other))
        assert error <= TOLERANCE[out.dtype.name]


@each_engine
@each_dtype
@pytest.mark.parametrize("case", range(len(CONV)))
def test_convolution(case, dtype, engine, rng):
    x, F, kernel, options = CONV[case]
    shapes = (x, (F, x[1] // options.get("groups", 1), *kernel), (F,))
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    pair = layers.conv_forward, layers.conv_backward
    beside_torch(*pair, functional.conv2d, arrays, options, engine)


@each_engine
@each_dtype
@pytest.mark.parametrize("case", range(len(TRANSPOSE)))
def test_transposed_convolution(case, dtype, engine, rng):
    x, F, kernel, options = TRANSPOSE[case]
    shapes = (x, (x[1], F // options.get("groups", 1), *kernel), (F,))
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    pair = layers.conv_transpose_forward, layers.conv_transpose_backward
    beside_torch(*pair, functional.conv_transpose2d, arrays, options, engine)


@each_engine
@each_dtype
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, (2, 3)])
def test_upsampling(scale, mode, dtype, engine, rng):
    def theirs(x, scale, mode):
        return functional.interpolate(x, scale_factor=scale, mode=mode)

    x = rng.standard_normal((2, 5, 4, 6)).astype(dtype)
    pair = layers.upsample_forward, layers.upsample_backward
    beside_torch(*pair, theirs, [x], {"scale": scale, "mode": mode}, engine)


@each_engine
@each_dtype
@pytest.mark.parametrize("shape", [(7, 5), (3, 1)])
@pytest.mark.parametrize("smoothing", [0, 0.1, 1])
def test_label_smoothing(shape, smoothing, dtype, engine, rng):
    x = 3 * rng.standard_normal(shape).astype(dtype)
    y = rng.integers(shape[1], size=shape[0])
    loss, dx = layers.softmax_loss(x, y, label_smoothing=smoothing, engine=engine)
    tensor = torch.tensor(x, requires_grad=True)
    expected = functional.cross_entropy(tensor, torch.tensor(y), label_smoothing=smoothing)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=TOLERANCE[dtype])
    np.testing.assert_allclose(dx, tensor.grad.numpy(), atol=TOLERANCE[dtype])
    assert dx.dtype == dtype
