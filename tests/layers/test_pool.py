"""Pooling: the course's figures, PyTorch, ties, NaN, overlapping windows, and sizes of every kind."""

import numpy as np
import pytest

from handgrad import engines, layers
from handgrad.errors import OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error
from handgrad.layers import (
    avg_pool_backward,
    avg_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)

ENGINES = ["naive", "vectorized"]
every_engine = pytest.mark.parametrize("engine", engines.available())
each_engine = pytest.mark.parametrize("engine", ENGINES)
each_layer = pytest.mark.parametrize("layer", ["max_pool", "avg_pool"])

# x (N, C, H, W), window, stride
SIZES = [
    ((2, 3, 6, 8), (2, 2), (2, 2)),
    ((2, 3, 7, 7), (3, 3), (1, 1)),
    ((1, 2, 8, 9), (3, 2), (2, 1)),
    ((2, 2, 7, 5), (2, 2), (3, 3)),
    ((3, 1, 5, 4), (5, 4), (1, 1)),
    ((1, 4, 3, 3), (1, 1), (1, 1)),
]
each_size = pytest.mark.parametrize(("shape", "window", "stride"), SIZES)


def pool_param(window, stride=None):
    param = {"pool_height": window[0], "pool_width": window[1]}
    return param if stride is None else param | {"stride": stride}


def run(layer, x, param, engine, dout=None):
    """Return (out, dx), for a random dout unless one is given."""
    out, cache = getattr(layers, f"{layer}_forward")(x, param, engine=engine)
    if dout is None:
        dout = np.random.default_rng(1).standard_normal(out.shape)
    return out, getattr(layers, f"{layer}_backward")(dout, cache)


# the course's figures


@each_engine
def test_max_pool_forward_table_of_the_course(engine):
    x = np.linspace(-0.3, 0.4, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    expected = np.array(
        [
            [
                [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
                [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
                [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
            ],
            [
                [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
                [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
                [[0.32631579, 0.34105263], [0.38526316, 0.4]],
            ],
        ]
    )
    out, _ = max_pool_forward(x, pool_param((2, 2), 2), engine=engine)
    assert out.shape == expected.shape
    assert rel_error(out, expected) == pytest.approx(4.1666665157267834e-08, rel=1e-6)


@each_engine
def test_max_pool_backward_figure_of_the_course(engine):
    np.random.seed(231)
    x, dout = np.random.randn(3, 2, 8, 8), np.random.randn(3, 2, 4, 4)
    param = pool_param((2, 2), 2)
    _, dx = run("max_pool", x, param, engine, dout)
    numerical = eval_numerical_gradient_array(
        lambda x: max_pool_forward(x, param, engine=engine)[0], x, dout
    )
    assert rel_error(dx, numerical) == pytest.approx(3.27562514223145e-12, rel=1e-3)


def test_engines_are_equal_on_the_course_benchmark():
    np.random.seed(231)
    x, dout = np.random.randn(100, 3, 32, 32), np.random.randn(100, 3, 16, 16)
    results = [run("max_pool", x, pool_param((2, 2), 2), engine, dout) for engine in ENGINES]
    for naive, vectorized in zip(*results, strict=True):
        np.testing.assert_array_equal(naive, vectorized)


# against others


@each_layer
@each_size
def test_engines_agree(rng, layer, shape, window, stride):
    x = rng.standard_normal(shape)
    results = [run(layer, x, pool_param(window, stride), engine) for engine in ENGINES]
    for naive, vectorized in zip(*results, strict=True):
        np.testing.assert_allclose(vectorized, naive, rtol=1e-12, atol=1e-14)


@each_layer
@each_engine
@each_size
def test_agrees_with_torch(rng, layer, engine, shape, window, stride):
    torch = pytest.importorskip("torch")
    array = rng.standard_normal(shape)
    x = torch.from_numpy(array.copy()).requires_grad_()
    expected = getattr(torch.nn.functional, f"{layer}2d")(x, window, stride)
    dout = rng.standard_normal(expected.shape)
    expected.backward(torch.from_numpy(dout))
    out, dx = run(layer, array, pool_param(window, stride), engine, dout)
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dx, x.grad.numpy(), rtol=1e-12, atol=1e-14)


@each_layer
@each_engine
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(rng, layer, engine, dtype):
    x = rng.standard_normal((2, 2, 4, 4))
    expected = run(layer, x, pool_param((3, 3), 1), engine)
    got = run(layer, x.astype(dtype), pool_param((3, 3), 1), engine)
    eps = np.finfo(dtype).eps
    for value, want in zip(got, expected, strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, want, rtol=9 * eps, atol=9 * eps)


# ties and NaN


@each_engine
def test_gradient_of_a_tie_goes_to_the_first_maximum(engine):
    """Row by row: its sum is that of dout, which it would not be if each maximum had all of it."""
    x = np.array([[0, 7, 7, 1], [7, 7, 2, 1], [5, 5, 3, 9], [5, 5, 9, 9]], float).reshape(
        1, 1, 4, 4
    )
    dout = np.array([[10.0, 20.0], [30.0, 40.0]]).reshape(1, 1, 2, 2)
    expected = [[0, 10, 20, 0], [0, 0, 0, 0], [30, 0, 0, 40], [0, 0, 0, 0]]
    out, dx = run("max_pool", x, pool_param((2, 2), 2), engine, dout)
    np.testing.assert_array_equal(out[0, 0], [[7, 7], [5, 9]])
    np.testing.assert_array_equal(dx[0, 0], expected)


@each_engine
def test_gradient_of_overlapping_ties_keeps_its_sum(rng, engine):
    x = rng.integers(0, 3, (2, 3, 6, 6)).astype(float)
    dout = rng.integers(-9, 10, (2, 3, 4, 4)).astype(float)
    _, dx = run("max_pool", x, pool_param((3, 3), 1), engine, dout)
    np.testing.assert_array_equal(dx.sum(axis=(2, 3)), dout.sum(axis=(2, 3)))


def test_engines_break_ties_alike(rng):
    x = rng.integers(0, 3, (3, 2, 9, 8)).astype(float)
    for window, stride in (((2, 2), 2), ((3, 3), 1), ((2, 4), (3, 2))):
        results = [run("max_pool", x, pool_param(window, stride), engine) for engine in ENGINES]
        for naive, vectorized in zip(*results, strict=True):
            np.testing.assert_allclose(vectorized, naive, rtol=1e-13, atol=1e-13)


@each_engine
@pytest.mark.parametrize("places", [[0], [3], [1, 2], [0, 3], [0, 1, 2, 3]])
def test_nan_is_the_maximum_wherever_it_is(engine, places):
    x = np.array([4.0, 1.0, 2.0, 5.0])
    x[places] = np.nan
    out, dx = run(
        "max_pool", x.reshape(1, 1, 2, 2), pool_param((2, 2)), engine, np.full((1, 1, 1, 1), 3.0)
    )
    assert np.isnan(out).all()
    np.testing.assert_array_equal(dx.ravel(), np.where(np.arange(4) == places[0], 3.0, 0.0))


@each_engine
def test_infinities_are_numbers(engine):
    """Also a window of nothing but -inf has a maximum, and an infinite gradient has one place."""
    x = np.array([[-np.inf, -np.inf, 1, np.inf], [-np.inf, -np.inf, 2, 3]]).reshape(1, 1, 2, 4)
    dout = np.array([2.0, np.inf]).reshape(1, 1, 1, 2)
    out, dx = run("max_pool", x, pool_param((2, 2)), engine, dout)
    np.testing.assert_array_equal(out.ravel(), [-np.inf, np.inf])
    np.testing.assert_array_equal(dx[0, 0], [[2, 0, 0, np.inf], [0, 0, 0, 0]])


@each_engine
def test_complex_numbers_are_compared_by_their_real_parts(engine):
    x = np.array([1 + 9j, 3 - 2j, 3 + 8j, 2 + 7j]).reshape(1, 1, 2, 2)
    out, dx = run("max_pool", x, pool_param((2, 2)), engine, np.full((1, 1, 1, 1), 1 - 1j))
    assert out.item() == 3 - 2j
    np.testing.assert_array_equal(dx.ravel(), [0, 1 - 1j, 0, 0])


@pytest.mark.parametrize("window", [(16, 16), (1, 256), (1, 257), (20, 20)])
def test_large_windows_have_room_for_every_place(rng, window):
    """The chosen place is stored in as few bits as the window allows."""
    x = np.zeros((1, 1, *window))
    for place in (0, window[0] * window[1] - 2, window[0] * window[1] - 1):
        x.flat[place] = place + 1
        _, dx = run("max_pool", x, pool_param(window), "vectorized", np.full((1, 1, 1, 1), 5.0))
        assert np.flatnonzero(dx).tolist() == [place]


# windows


@each_engine
def test_overlapping_windows_add_their_gradients(engine):
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    dout = np.array([[1.0, 2.0], [4.0, 8.0]]).reshape(1, 1, 2, 2)
    _, dx = run("max_pool", x, pool_param((2, 2), 1), engine, dout)
    np.testing.assert_array_equal(dx, 15 * x)
    _, dx = run("avg_pool", x, pool_param((2, 2), 1), engine, dout)
    np.testing.assert_array_equal(dx[0, 0] * 4, [[1, 3, 2], [5, 15, 10], [4, 12, 8]])


@each_engine
def test_what_no_window_reaches_has_gradient_zero(rng, engine):
    """Below and beside the last whole window, and between windows where stride is the larger."""
    x = rng.standard_normal((2, 3, 5, 7))
    out, dx = run("avg_pool", x, pool_param((2, 2), (2, 3)), engine)
    assert out.shape == (2, 3, 2, 2)
    reached = np.zeros((5, 7), bool)
    reached[:4, [0, 1, 3, 4]] = True
    assert np.all(dx[:, :, reached] != 0)
    assert np.all(dx[:, :, ~reached] == 0)
    _, dx = run("max_pool", x, pool_param((2, 2), (2, 3)), engine)
    assert np.count_nonzero(dx) == out.size
    assert np.all(dx[:, :, ~reached] == 0)


@each_layer
@each_engine
def test_default_stride_is_the_window(rng, layer, engine):
    x = rng.standard_normal((1, 2, 6, 6))
    results = [run(layer, x, pool_param((2, 3), stride), engine) for stride in (None, (2, 3))]
    assert results[0][0].shape == (1, 2, 3, 2)
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got, want)


@each_layer
@each_engine
@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_integer_images_count_as_float64(rng, layer, engine, dtype):
    x = rng.integers(0, 256, (2, 2, 4, 4)).astype(dtype)
    results = [run(layer, image, pool_param((2, 2)), engine) for image in (x, x.astype(float))]
    for got, want in zip(*results, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, want)


@each_layer
@each_engine
@pytest.mark.parametrize("window", [(1, 1), (2, 2)])
def test_pass_leaves_its_inputs_alone(rng, layer, engine, window):
    """Read-only strided inputs; fresh writable results; backward twice gives the same answer."""
    x = rng.standard_normal((4, 6, 5, 2)).transpose(3, 0, 1, 2)[:, ::-1]
    x.flags.writeable = False
    param = pool_param(window)
    out, cache = getattr(layers, f"{layer}_forward")(x, param, engine=engine)
    packed = run(layer, x.copy(order="C"), param, engine)
    np.testing.assert_array_equal(out, packed[0])
    out += 1
    dout = np.random.default_rng(1).standard_normal(out.shape)
    dout.flags.writeable = False
    for _ in range(2):
        dx = getattr(layers, f"{layer}_backward")(dout, cache)
        np.testing.assert_array_equal(dx, packed[1])
        dx += 1
    assert param == pool_param(window)


# padding and ceil_mode


@pytest.mark.thorough(keep=16)
@every_engine
@each_layer
@pytest.mark.parametrize("pad", [0, 1, (0, 1), (2, 1)])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("window", [(2, 2), (3, 3), (4, 2)])
@pytest.mark.parametrize("stride", [None, 1, 2, (3, 4)])
def test_pools_beside_torch(rng, engine, layer, pad, ceil_mode, window, stride):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn.functional, f"{layer}2d")
    options = {"ceil_mode": ceil_mode}
    rows = (1, 2) if engine == "naive" else (2, 3)  # its loops are slow
    for include in (True, False) if layer == "avg_pool" else (None,):
        if include is not None:
            options["count_include_pad"] = include
        param = pool_param(window, stride) | options | {"pad": pad}
        for image in ((1, 1), (2, 5), (5, 4), (7, 6)):
            x = rng.standard_normal((*rows, *image))
            tensor = torch.tensor(x, requires_grad=True)
            try:
                expected = theirs(tensor, window, stride, pad, **options)
            except RuntimeError:  # the pad is too large, or no window fits
                with pytest.raises((OptionError, ShapeError)):
                    getattr(layers, f"{layer}_forward")(x, param, engine=engine)
                continue
            dout = rng.standard_normal(tuple(expected.shape))
            expected.backward(torch.tensor(dout))
            out, dx = run(layer, x, param, engine, dout)
            np.testing.assert_allclose(out, expected.detach().numpy(), rtol=0, atol=1e-14)
            np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=0, atol=1e-13)


@every_engine
@pytest.mark.parametrize("value", [-np.inf, np.nan, -1e300])
def test_padding_is_never_the_maximum(engine, value):
    x = np.full((1, 1, 2, 3), value)
    dout = np.arange(1.0, 13.0).reshape(1, 1, 3, 4)
    out, dx = run("max_pool", x, pool_param((2, 2), 1) | {"pad": 1}, engine, dout)
    np.testing.assert_array_equal(out, np.full((1, 1, 3, 4), value))
    expected = [[1 + 2 + 5 + 6, 3 + 7, 4 + 8], [9 + 10, 11, 12]]
    np.testing.assert_array_equal(dx, [[expected]])


@every_engine
def test_a_pad_of_many_rows_costs_no_more_than_the_image(engine):
    param = {"pool_height": 2 * 10**8, "pool_width": 1, "stride": 1, "pad": (10**8, 0)}
    out, dx = run("max_pool", np.array([[[[1.0], [2.0]]]]), param, engine)
    np.testing.assert_array_equal(out, np.full((1, 1, 3, 1), 2.0))
    assert dx.shape == (1, 1, 2, 1)


@each_layer
def test_padding_and_its_neighbours_are_checked(layer):
    forward = getattr(layers, f"{layer}_forward")
    for options, message in (
        ({"pad": 2}, "pad'] must be at most half of the window"),
        ({"pad": (0, 2)}, "pad'] must be at most half of the window"),
        ({"pad": -1}, "pad'] must be at least 0"),
        ({"ceil_mode": 1}, "ceil_mode'] must be true or false"),
        ({"padding": 1}, 'unrecognized "padding"; known are .*; did you mean "pad"'),
    ):
        with pytest.raises(OptionError, match=message):
            forward(np.ones((1, 1, 4, 4)), pool_param((3, 3)) | options)
    with pytest.raises(ShapeError, match=f"{layer}_forward: the window is larger"):
        forward(np.ones((1, 1, 1, 4)), pool_param((3, 3), 2) | {"ceil_mode": True})
    with pytest.raises(OptionError, match="count_include_pad"):
        forward(np.ones((1, 1, 4, 4)), pool_param((3, 3)) | {"count_include_pad": 1})


# the native engine computes images of few and of many channels by kernels that pool inside of the image
@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize(
    ("channels", "filters", "size", "rows"), [(3, 32, 3, 31), (3, 32, 3, 32), (32, 32, 3, 31)]
)
@pytest.mark.parametrize("name", ["conv_pool", "conv_relu_pool", "conv_bn_relu_pool"])
@pytest.mark.parametrize("options", [{"pad": 1}, {"ceil_mode": True}, {}])
def test_sandwiches_pool_with_padding(rng, name, options, channels, filters, size, rows):
    shapes = [(2, channels, rows, rows), (filters, channels, size, size), (filters,)]
    params = [{"pad": size // 2}, pool_param((2, 2)) | options]
    if "bn" in name:
        shapes += [(filters,), (filters,)]
        params.insert(1, {"mode": "train"})
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    results = []
    for engine in engines.available()[1:]:
        forward, backward = (getattr(layers, f"{name}_{way}") for way in ("forward", "backward"))
        out, cache = forward(*arrays, *[dict(param) for param in params], engine=engine)
        windows = 1 + (rows + 2 * options.get("pad", 0) - 2 + options.get("ceil_mode", 0)) // 2
        assert out.shape == (2, filters, windows, windows)
        dout = np.random.default_rng(0).standard_normal(out.shape).astype(np.float32)
        results.append([out, *backward(dout, cache)])
    for other in results[1:]:
        for mine, theirs in zip(results[0][:1], other[:1], strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-4 * np.abs(mine).max())
        assert [g.shape for g in other] == [g.shape for g in results[0]]


# global average pooling


@each_engine
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 1, 1), (3, 2, 7, 1)])
def test_global_avg_pool_is_the_mean_of_each_channel(rng, engine, shape):
    x = rng.standard_normal(shape)
    dout = rng.standard_normal(shape[:2])
    out, cache = global_avg_pool_forward(x, engine=engine)
    dx = global_avg_pool_backward(dout, cache)
    assert out.shape == shape[:2]
    np.testing.assert_allclose(out, x.mean(axis=(2, 3)), rtol=1e-13, atol=1e-15)
    assert dx.shape == shape
    assert dx.flags.writeable
    np.testing.assert_allclose(dx.sum(axis=(2, 3)), dout, rtol=1e-13)
    np.testing.assert_allclose(np.ptp(dx, axis=(2, 3)), 0, atol=0)


@each_engine
def test_global_avg_pool_is_avg_pool_of_the_whole_image(rng, engine):
    x, dout = rng.standard_normal((2, 3, 4, 6)), rng.standard_normal((2, 3))
    out, cache = global_avg_pool_forward(x, engine=engine)
    whole, whole_cache = avg_pool_forward(x, pool_param((4, 6)), engine=engine)
    np.testing.assert_allclose(out, whole[:, :, 0, 0], rtol=1e-13)
    np.testing.assert_array_equal(
        global_avg_pool_backward(dout, cache),
        avg_pool_backward(dout[:, :, None, None], whole_cache),
    )


# errors


@each_layer
@pytest.mark.parametrize(
    ("error", "message", "shape", "param"),
    [
        (ShapeError, r"x must have 4 dimensions \(N, C, H, W\), got 2", (4, 4), {}),
        (ShapeError, "images of 4 x 1 .*the window is 2 x 2", (1, 1, 4, 1), {}),
        (ShapeError, "beyond any memory", (1, 1, 4, 4), {"stride": 2**60}),
        (OptionError, r"\['pool_height'\] must be at least 1", (1, 1, 4, 4), {"pool_height": 0}),
        (OptionError, r"\['pool_width'\] must be an integer", (1, 1, 4, 4), {"pool_width": (2, 2)}),
        (OptionError, r"\['stride'\] must be at least 1", (1, 1, 4, 4), {"stride": (1, -2)}),
    ],
)
def test_errors_say_what_came(layer, error, message, shape, param):
    with pytest.raises(error, match=f"{layer}_forward: .*{message}"):
        getattr(layers, f"{layer}_forward")(np.ones(shape), pool_param((2, 2)) | param)


@each_layer
def test_missing_keys_are_named(layer):
    with pytest.raises(OptionError, match="pool_param lacks the key 'pool_width'"):
        getattr(layers, f"{layer}_forward")(np.ones((1, 1, 2, 2)), {"pool_height": 2})
    with pytest.raises(OptionError, match="pool_param must be a dictionary, got int"):
        getattr(layers, f"{layer}_forward")(np.ones((1, 1, 2, 2)), 2)


def test_global_avg_pool_wants_pixels():
    with pytest.raises(ShapeError, match=r"must have pixels to average, got shape \(2, 3, 0, 4\)"):
        global_avg_pool_forward(np.ones((2, 3, 0, 4)))


def test_dout_must_have_the_shape_of_the_output(rng):
    x = rng.standard_normal((2, 2, 4, 4))
    _, cache = max_pool_forward(x, pool_param((2, 2)))
    with pytest.raises(ShapeError, match="max_pool_backward: dout must have the output's shape"):
        max_pool_backward(np.ones((2, 2, 2, 1)), cache)
