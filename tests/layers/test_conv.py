"""Convolution: the course's figures, PyTorch, sizes of every kind, and the traps of known submissions."""

import json

import numpy as np
import pytest

from handgrad.cli.app import run as run_command
from handgrad.errors import DtypeError, OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error
from handgrad.layers import (
    conv_backward,
    conv_forward,
    conv_transpose_forward,
    upsample_forward,
)

ENGINES = ["naive", "vectorized"]
each_engine = pytest.mark.parametrize("engine", ENGINES)

# x (N, C, H, W), w (F, C, HH, WW), stride, pad
SIZES = [
    ((2, 3, 7, 7), (4, 3, 3, 3), 1, 1),
    ((2, 3, 8, 7), (2, 3, 3, 3), 2, 1),
    ((1, 1, 9, 11), (2, 1, 2, 4), (3, 2), (0, 3)),
    ((3, 2, 5, 6), (5, 2, 1, 1), 1, 0),
    ((2, 4, 6, 6), (3, 4, 2, 2), 4, 0),
    ((2, 2, 3, 3), (3, 2, 5, 5), 1, 4),
    ((2, 3, 4, 5), (2, 3, 4, 5), 1, 0),
]
each_size = pytest.mark.parametrize(("x_shape", "w_shape", "stride", "pad"), SIZES)


def inputs(rng, x_shape, w_shape, dtype="float64"):
    shapes = (x_shape, w_shape, w_shape[:1])
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def run(arrays, conv_param, engine, dout=None, seed=1):
    """Return (out, dx, dw, db), for a random dout unless one is given."""
    out, cache = conv_forward(*arrays, conv_param, engine=engine)
    if dout is None:
        dout = np.random.default_rng(seed).standard_normal(out.shape).astype(out.dtype)
    return out, *conv_backward(dout, cache)


# the course's figures


def sum_of_windows(x, w, b, stride, pad):
    """The forward pass as most submissions write it; the figures below are its rounding errors."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    (N, _, H, W), (F, _, HH, WW) = x.shape, w.shape
    out = np.zeros((N, F, 1 + (H - HH) // stride, 1 + (W - WW) // stride))
    for n, f, i, j in np.ndindex(out.shape):
        top, left = i * stride, j * stride
        out[n, f, i, j] = np.sum(x[n, :, top : top + HH, left : left + WW] * w[f]) + b[f]
    return out


@each_engine
def test_forward_table_of_the_course(engine):
    x = np.linspace(-0.1, 0.5, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, num=3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, num=3)
    expected = np.array(
        [
            [
                [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
                [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
                [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
            ],
            [
                [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
                [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
                [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
            ],
        ]
    )
    out, _ = conv_forward(x, w, b, {"stride": 2, "pad": 1}, engine=engine)
    assert out.shape == expected.shape
    assert rel_error(out, expected) == pytest.approx(2.2121476417505994e-08, rel=1e-6)


@each_engine
def test_backward_figures_of_the_course(engine):
    """The published errors are those of the numerical gradient; ours must not add to them."""
    np.random.seed(231)
    x, w, b = np.random.randn(4, 3, 5, 5), np.random.randn(2, 3, 3, 3), np.random.randn(2)
    dout = np.random.randn(4, 2, 5, 5)
    _, *gradients = run((x, w, b), {"stride": 1, "pad": 1}, engine, dout)
    errors = [
        rel_error(
            gradient,
            eval_numerical_gradient_array(lambda _: sum_of_windows(x, w, b, 1, 1), array, dout),
        )
        for array, gradient in zip((x, w, b), gradients, strict=True)
    ]
    figures = [1.159803161159293e-08, 2.2471264748452487e-10, 3.37264006649648e-11]
    assert errors == pytest.approx(figures, rel=1e-3)


def test_engines_agree_on_the_course_benchmark():
    """The first three images of it; row 5 of `handgrad bench` does the rest."""
    np.random.seed(231)
    x, w, b = np.random.randn(100, 3, 31, 31), np.random.randn(25, 3, 3, 3), np.random.randn(25)
    dout = np.random.randn(100, 25, 16, 16)
    results = [run((x[:3], w, b), {"stride": 2, "pad": 1}, engine, dout[:3]) for engine in ENGINES]
    for naive, vectorized in zip(*results, strict=True):
        assert naive.shape == vectorized.shape
        assert rel_error(naive, vectorized) < 1e-10
        np.testing.assert_allclose(vectorized, naive, rtol=1e-12, atol=1e-12)


@pytest.mark.long
def test_vectorized_is_100_times_as_fast_as_naive(tmp_path):
    file = tmp_path / "results.json"
    arguments = ["bench", "5", "--engine", "vectorized", "--no-torch", "--json", str(file)]
    assert run_command(arguments) == 0
    results = json.loads(file.read_text())["results"]
    ratios = {result["case"]: result["peers"][0]["ratio"] for result in results}
    assert len(ratios) == 8  # convolution and pooling, both passes, in both dtypes
    assert min(ratios.values()) >= 100, ratios


# against others


@each_size
def test_engines_agree(rng, x_shape, w_shape, stride, pad):
    arrays = inputs(rng, x_shape, w_shape)
    results = [run(arrays, {"stride": stride, "pad": pad}, engine) for engine in ENGINES]
    for naive, vectorized in zip(*results, strict=True):
        np.testing.assert_allclose(vectorized, naive, rtol=1e-12, atol=1e-13)


@each_engine
@each_size
def test_agrees_with_torch(rng, engine, x_shape, w_shape, stride, pad):
    torch = pytest.importorskip("torch")
    arrays = inputs(rng, x_shape, w_shape)
    x, w, b = (torch.from_numpy(array.copy()).requires_grad_() for array in arrays)
    expected = torch.nn.functional.conv2d(x, w, b, stride=stride, padding=pad)
    dout = rng.standard_normal(expected.shape)
    expected.backward(torch.from_numpy(dout))
    out, dx, dw, db = run(arrays, {"stride": stride, "pad": pad}, engine, dout)
    for got, tensor in zip(
        (out, dx, dw, db), (expected.detach(), x.grad, w.grad, b.grad), strict=True
    ):
        np.testing.assert_allclose(got, tensor.numpy(), rtol=1e-12, atol=1e-12)


@each_size
def test_engines_are_bit_equal_on_integer_values(rng, x_shape, w_shape, stride, pad):
    """Sums of small integers are exact in any order."""
    arrays = [
        rng.integers(-8, 9, shape).astype(np.float64) for shape in (x_shape, w_shape, w_shape[0])
    ]
    out, _ = conv_forward(*arrays, {"stride": stride, "pad": pad})
    dout = rng.integers(-8, 9, out.shape).astype(np.float64)
    results = [run(arrays, {"stride": stride, "pad": pad}, engine, dout) for engine in ENGINES]
    for naive, vectorized in zip(*results, strict=True):
        np.testing.assert_array_equal(vectorized, naive)


@each_engine
def test_float32_is_as_accurate_as_its_sums_are_long(rng, engine):
    """Each result stays within n eps of the sum of its terms' sizes, n being the number of terms."""
    arrays = inputs(rng, (2, 3, 6, 6), (4, 3, 3, 3), "float32")
    dout = rng.standard_normal((2, 4, 6, 6)).astype("float32")
    param = {"stride": 1, "pad": 1}
    results = run(arrays, param, engine, dout)
    exact = run(
        [array.astype("float64") for array in arrays], param, "naive", dout.astype("float64")
    )
    sizes = run([np.abs(array).astype("float64") for array in arrays], param, "naive", np.abs(dout))
    terms = [3 * 3 * 3 + 1, 4 * 3 * 3, 2 * 6 * 6, 2 * 6 * 6]
    for got, want, size, n in zip(results, exact, sizes, terms, strict=True):
        assert got.dtype == np.float32
        assert np.all(np.abs(got - want) <= n * np.finfo("float32").eps * size)
        assert np.max(np.abs(got - want)) > 0  # float32 indeed


# traps


@each_engine
def test_pad_0_has_its_whole_gradient(rng, engine):
    """A slice pad:-pad would be empty here."""
    arrays = inputs(rng, (2, 3, 5, 5), (4, 3, 3, 3))
    _, dx, _, _ = run(arrays, {"stride": 1, "pad": 0}, engine)
    assert dx.shape == (2, 3, 5, 5)
    assert np.all(dx != 0)


@each_engine
@pytest.mark.parametrize("pad", [(0, 2), (2, 0)])
def test_pad_0_on_one_axis_is_the_image_with_zeros_around(rng, engine, pad):
    x, w, b = inputs(rng, (1, 2, 4, 5), (2, 2, 3, 3))
    wide = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    inner = np.s_[:, :, pad[0] : pad[0] + 4, pad[1] : pad[1] + 5]
    out, dx, dw, db = run((x, w, b), {"pad": pad}, engine)
    expected = run((wide, w, b), {"pad": 0}, engine)
    for got, want in zip(
        (out, dx, dw, db), (expected[0], expected[1][inner], *expected[2:]), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13)


@each_engine
def test_rows_that_no_window_reaches_have_gradient_zero(rng, engine):
    arrays = inputs(rng, (2, 2, 6, 8), (3, 2, 3, 3))
    out, dx, _, _ = run(arrays, {"stride": (2, 3), "pad": 0}, engine)
    assert out.shape == (2, 3, 2, 2)
    reached = np.zeros((6, 8), bool)
    reached[:5, :6] = True
    assert np.all(dx[:, :, reached] != 0)
    assert np.all(dx[:, :, ~reached] == 0)


@each_engine
def test_pixels_between_windows_have_gradient_zero(rng, engine):
    arrays = inputs(rng, (1, 2, 5, 5), (2, 2, 2, 2))
    _, dx, _, _ = run(arrays, {"stride": 3, "pad": 0}, engine)
    assert np.all(dx[:, :, 2, :] == 0)
    assert np.all(dx[:, :, :, 2] == 0)
    assert np.all(dx[:, :, [0, 1, 3, 4]][..., [0, 1, 3, 4]] != 0)


@each_engine
def test_integer_arrays_count_as_float64(rng, engine):
    """Neither the output nor a gradient is truncated, whatever is an integer."""
    x, w, b = (rng.integers(-9, 10, shape) for shape in ((2, 2, 4, 4), (2, 2, 3, 3), 2))
    dout = rng.standard_normal((2, 2, 4, 4))
    floats = [array.astype(np.float64) for array in (x, w, b)]
    expected = run(floats, {"pad": 1}, engine, dout)
    for arrays in ((x, w, b), (floats[0], floats[1], b), (x, floats[1], floats[2])):
        for got, want in zip(run(arrays, {"pad": 1}, engine, dout), expected, strict=True):
            assert got.dtype == np.float64
            np.testing.assert_array_equal(got, want)


@each_engine
@pytest.mark.parametrize("wide", [0, 1, 2])
def test_dtype_is_the_promoted_one(rng, engine, wide):
    """One float64 argument makes all results float64, be it only the bias."""
    arrays = inputs(rng, (1, 2, 4, 4), (2, 2, 3, 3), "float32")
    assert {result.dtype for result in run(arrays, {}, engine)} == {np.dtype("float32")}
    arrays[wide] = arrays[wide].astype("float64")
    assert {result.dtype for result in run(arrays, {}, engine)} == {np.dtype("float64")}


def test_result_does_not_depend_on_strides(rng):
    x, w, b = inputs(rng, (4, 6, 9, 5), (8, 6, 3, 3))
    x, w, b = x[::2, ::-2, ::-1].transpose(0, 1, 3, 2), w[::-2, :3, :, ::-1], b[1::2]
    dout = rng.standard_normal((9, 5, 4, 2)).T
    packed = [np.ascontiguousarray(array) for array in (x, w, b)]
    expected = run(packed, {"pad": 1}, "naive", dout.copy())
    for got, want in zip(run((x, w, b), {"pad": 1}, "vectorized", dout), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@each_engine
@pytest.mark.parametrize("pad", [0, 1])
def test_pass_leaves_its_inputs_alone(rng, engine, pad):
    """They may be read-only; and calling backward twice gives the same answer."""
    arrays = inputs(rng, (2, 2, 4, 4), (2, 2, 3, 3))
    for array in arrays:
        array.flags.writeable = False
    param = {"stride": 1, "pad": pad}
    out, cache = conv_forward(*arrays, param, engine=engine)
    dout = rng.standard_normal(out.shape)
    dout.flags.writeable = False
    first = [gradient.copy() for gradient in conv_backward(dout, cache)]
    for once, again in zip(first, conv_backward(dout, cache), strict=True):
        np.testing.assert_array_equal(once, again)
    assert param == {"stride": 1, "pad": pad}


# parameters and errors


@each_engine
@pytest.mark.parametrize(
    "param",
    [
        {"stride": 2.0, "pad": np.float64(1.0)},
        {"stride": np.int32(2), "pad": (1, 1)},
        {"stride": [2, 2], "pad": [1.0, 1]},
    ],
)
def test_parameters_may_be_integral_floats_or_pairs(rng, engine, param):
    arrays = inputs(rng, (1, 2, 5, 5), (2, 2, 3, 3))
    out, _ = conv_forward(*arrays, param, engine=engine)
    expected, _ = conv_forward(*arrays, {"stride": 2, "pad": 1}, engine=engine)
    np.testing.assert_array_equal(out, expected)


def test_pairs_are_vertical_then_horizontal(rng):
    arrays = inputs(rng, (1, 1, 6, 6), (1, 1, 2, 2))
    assert conv_forward(*arrays, {"stride": (1, 2), "pad": (0, 3)})[0].shape == (1, 1, 5, 6)


@pytest.mark.parametrize(
    ("message", "x", "w", "b"),
    [
        (r"x must have 4 dimensions \(N, C, H, W\), got 3", (3, 4, 4), (2, 3, 3, 3), 2),
        (r"w must have 4 dimensions \(F, C, HH, WW\)", (1, 3, 4, 4), (2, 27), 2),
        (r"w must have shape \(2, 3, 3, 3\).*C of x", (1, 3, 4, 4), (2, 1, 3, 3), 2),
        (r"b must have shape \(2,\).*got \(3,\)", (1, 3, 4, 4), (2, 3, 3, 3), 3),
        (r"images of 4 x 4.* are 4 x 4, the window is 5 x 3", (1, 3, 4, 4), (2, 3, 5, 3), 2),
    ],
)
def test_shapes_that_do_not_fit_are_named(message, x, w, b):
    with pytest.raises(ShapeError, match=f"conv_forward: .*{message}"):
        conv_forward(np.ones(x), np.ones(w), np.ones(b), {})


@pytest.mark.parametrize(
    ("error", "message", "param"),
    [
        (ShapeError, "beyond any memory", {"pad": 10**9}),
        (ShapeError, "beyond any memory", {"stride": 2**60}),
        (ShapeError, "beyond any memory", {"stride": 2**60, "pad": 2**60}),
        (OptionError, r"conv_param\['stride'\] must be at most 9223", {"stride": 10**30}),
        (OptionError, r"conv_param\['stride'\] must be at least 1, got 0", {"stride": 0}),
        (OptionError, r"conv_param\['pad'\] must be at least 0, got -1", {"pad": -1}),
        (OptionError, r"conv_param\['pad'\] must be an integer.* got 1.5", {"pad": 1.5}),
        (OptionError, r"\['stride'\] must be an integer or a pair", {"stride": (1, 1, 1)}),
        (OptionError, "conv_param must be a dictionary, got int", 1),
    ],
)
def test_parameters_that_make_no_sense_are_named(error, message, param):
    with pytest.raises(error, match=f"conv_forward: .*{message}"):
        conv_forward(np.ones((1, 1, 4, 4)), np.ones((1, 1, 1, 1)), np.ones(1), param)


@each_engine
def test_dout_must_have_the_shape_of_the_output(rng, engine):
    out, cache = conv_forward(*inputs(rng, (2, 2, 4, 4), (3, 2, 3, 3)), {}, engine=engine)
    with pytest.raises(ShapeError, match="conv_backward: dout must have the output's shape"):
        conv_backward(np.ones_like(out)[:, :1], cache)


def test_strings_are_refused():
    with pytest.raises(DtypeError, match="conv_forward: x must be float32"):
        conv_forward(np.array([[[["a"]]]]), np.ones((1, 1, 1, 1)), np.ones(1), {})


@each_engine
@pytest.mark.parametrize("groups", [1, 2])
def test_the_transpose_is_the_input_gradient(groups, engine, rng):
    """conv_transpose(dout, w) = dx of conv(x, w), where the sizes leave nothing over."""
    param = {"stride": 2, "pad": 1, "dilation": 2, "groups": groups}
    x, w = rng.standard_normal((2, 4, 9, 7)), rng.standard_normal((6, 4 // groups, 3, 2))
    out, cache = conv_forward(x, w, np.zeros(6), param, engine=engine)
    dout = rng.standard_normal(out.shape)
    dx, _, _ = conv_backward(dout, cache)
    back, _ = conv_transpose_forward(
        dout, w, np.zeros(4), {**param, "output_pad": (0, 0)}, engine=engine
    )
    np.testing.assert_allclose(back, dx[:, :, : back.shape[2], : back.shape[3]], atol=1e-13)
    left_over = {(0, 0), (0, 1)}  # rows and columns of x that no window reaches
    assert {tuple(np.subtract(dx.shape[2:], back.shape[2:]))} <= left_over


@pytest.mark.parametrize(
    ("param", "error", "match"),
    [
        (
            {"groups": 3},
            ShapeError,
            r"conv_param\['groups'\] must divide the 4 channels of x, got 3",
        ),
        (
            {"groups": 4},
            ShapeError,
            r"conv_param\['groups'\] must divide the 6 filters of w, got 4",
        ),
        ({"groups": 2}, ShapeError, r"w must have shape \(6, 2, 3, 3\) \(\(F, C / 2, HH, WW\)"),
        ({"groups": 0}, OptionError, r"conv_param\['groups'\] must be at least 1, got 0"),
        ({"groups": (2, 2)}, OptionError, r"conv_param\['groups'\] must be an integer"),
        ({"dilation": 0}, OptionError, r"conv_param\['dilation'\] must be at least 1, got 0"),
        ({"dilation": 3}, ShapeError, "the window is larger than the padded image: .* 7 x 7"),
        ({"dilation": "2"}, OptionError, r"conv_param\['dilation'\] must be an integer"),
    ],
)
def test_wrong_groups_and_dilations(param, error, match, rng):
    x, w = rng.standard_normal((2, 4, 6, 6)), rng.standard_normal((6, 4, 3, 3))
    with pytest.raises(error, match=f"^conv_forward: {match}"):
        conv_forward(x, w, np.zeros(6), param)


@pytest.mark.parametrize(
    ("param", "error", "match"),
    [
        ({"output_pad": 1}, OptionError, r"conv_param\['output_pad'\] must be below the stride"),
        ({"stride": 2, "output_pad": -1}, OptionError, r"conv_param\['output_pad'\] must be at"),
        ({"pad": 4}, ShapeError, "the pad leaves nothing of the output, 0 x 0"),
        ({"stride": 2**40}, ShapeError, "these sizes are beyond any memory"),
        ({"groups": 3}, ShapeError, r"conv_param\['groups'\] must divide the 4 channels of x"),
        ({"groups": 2}, ShapeError, r"b must have shape \(12,\)"),
        (None, OptionError, "conv_param must be a dictionary"),
    ],
)
def test_wrong_transposed_convolutions(param, error, match, rng):
    x, w = rng.standard_normal((2, 4, 6, 6)), rng.standard_normal((4, 6, 3, 3))
    with pytest.raises(error, match=f"^conv_transpose_forward: {match}"):
        conv_transpose_forward(x, w, np.zeros(6), param)


@pytest.mark.parametrize(
    ("x", "param", "error", "match"),
    [
        ((1, 2, 3, 3), {}, OptionError, "upsample_param lacks the key 'scale'"),
        ((1, 2, 3, 3), {"scale": 0}, OptionError, r"upsample_param\['scale'\] must be at least 1"),
        (
            (1, 2, 3, 3),
            {"scale": 2, "mode": "cubic"},
            OptionError,
            r"upsample_param\['mode'\] must",
        ),
        ((1, 2, 3), {"scale": 2}, ShapeError, "x must have 4 dimensions"),
        ((1, 2, 0, 3), {"scale": 2}, ShapeError, "x must have pixels to enlarge"),
        ((1, 2, 3, 3), {"scale": 2**40}, ShapeError, "the output would hold"),
    ],
)
def test_wrong_upsamplings(x, param, error, match):
    with pytest.raises(error, match=f"^upsample_forward: {match}"):
        upsample_forward(np.zeros(x), param)
