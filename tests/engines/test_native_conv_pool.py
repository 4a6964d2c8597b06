"""conv - 2x2 pool and conv - relu - 2x2 pool by Winograd's algorithm, beside the same kernels one by one."""

import numpy as np
import pytest
from engines import native
from engines.native import POOL, _kernels, control, setting
from engines.test_native_winograd import tile

from handgrad import engines, layers, nn

WINDOW = ((2, 2), (2, 2))
SIZES = [  # N, C, H, W, F, HH, WW, pad
    (3, 8, 8, 8, 16, 3, 3, (1, 1)),
    (2, 24, 13, 11, 40, 3, 3, (1, 1)),  # odd: what is left over is in no window
    (2, 17, 9, 20, 33, 3, 3, (0, 2)),
    (5, 3, 4, 5, 7, 3, 3, (2, 0)),
    (1, 9, 19, 2, 70, 3, 3, (1, 1)),
    (70, 16, 4, 4, 32, 3, 3, (1, 1)),
]


def arguments(*sizes, seed=0):
    (x, w, b, *_), conv_param, dout = native.arguments(*sizes, seed=seed, shift=0.0)
    return x, w, b, conv_param["pad"], dout


def at_once(x, w, b, pad, dout, rectify):
    out, kept = _kernels.conv_forward(x, w, b, (1, 1), pad, pool=True, rectify=rectify)
    return [out, *kept, *_kernels.conv_backward(dout, x, w, (1, 1), pad, kept=kept)]


def one_by_one(x, w, b, pad, dout, rectify):
    y, _ = _kernels.conv_forward(x, w, b, (1, 1), pad)
    # of few channels, dense in rows, the pooling would keep its places in another order
    channels_last = np.ascontiguousarray(y.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    out, places = _kernels.max_pool_forward(channels_last, *WINDOW, rectify)
    dy = _kernels.max_pool_backward(dout, places, y.shape, *WINDOW)
    return [out, places, *_kernels.conv_backward(dy, x, w, (1, 1), pad)]


def assert_the_same(got, wanted):
    """Bit by bit, but db, whose sum goes over the windows in place of all pixels."""
    for a, b in zip(got[:-1], wanted[:-1], strict=True):
        np.testing.assert_array_equal(a.reshape(b.shape), b)
    np.testing.assert_allclose(got[-1], wanted[-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("sizes", SIZES)
def test_at_once_and_one_by_one_are_the_same(sizes, size, rectify, isa):
    drawn = arguments(*sizes)
    with setting(isa=isa), tile(size):
        assert _kernels.conv_takes_pool(*drawn[:2], (1, 1), drawn[3], rectify=rectify)
        got = at_once(*drawn, rectify)
        assert_the_same(got, one_by_one(*drawn, rectify))
    assert set(np.unique(got[1])) == set(range(5 if rectify else 4))


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("rectify", [False, True])
def test_of_equal_pixels_the_first_is_chosen(rectify, isa):
    """Of zeros, too, whatever their sign; behind a rectifier none of them is."""
    x = np.zeros((2, 16, 8, 8), np.float32)
    w, b = np.ones((32, 16, 3, 3), np.float32), np.zeros(32, np.float32)
    dout = np.ones((2, 32, 4, 4), np.float32)
    for shift in 0.0, 1.0:
        with setting(isa=isa), tile(4):
            out, places, dx, *_ = at_once(x, w, b + shift, (1, 1), dout, rectify)
            assert (places == (4 if rectify and not shift else 0)).all()
            assert (out == shift).all()
            assert dx.any() == (not rectify or shift > 0)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 1e-42])
@pytest.mark.parametrize("place", ["x", "w", "dout"])
def test_numbers_that_winograd_does_not_take(bad, place):
    """Not finite, or all as good as subnormal: direct sums instead, as one by one."""
    for rectify in False, True:
        x, w, b, pad, dout = arguments(*SIZES[1])
        array = {"x": x, "w": w, "dout": dout}[place]
        if bad == 1e-42:
            array *= np.float32(1e-41)
            assert array.any()
        else:
            array[1, 2, 1, 2] = bad
        with tile(4), np.errstate(invalid="ignore"):
            got = at_once(x, w, b, pad, dout, rectify)
            assert_the_same(got, one_by_one(x, w, b, pad, dout, rectify))


def test_exact_convolutions_are_exact_here_too():
    x, w, b, pad, dout = arguments(*SIZES[1])
    with tile(4), setting(exact=True):
        assert not _kernels.conv_takes_pool(x, w, (1, 1), pad)
        got = at_once(x, w, b, pad, dout, True)
        assert_the_same(got, one_by_one(x, w, b, pad, dout, True))
    with tile(4):
        out = at_once(x, w, b, pad, dout, True)[0]
        _, kept = _kernels.conv_forward(x, w, b, (1, 1), pad, pool=True, rectify=True)
    assert not np.array_equal(out, got[0])
    with setting(exact=True):  # a backward after a change
        after = _kernels.conv_backward(dout, x, w, (1, 1), pad, kept=kept)
        dy = _kernels.max_pool_backward(dout, *kept, (2, 40, 13, 11), *WINDOW)
        assert_the_same(after, _kernels.conv_backward(dy, x, w, (1, 1), pad))


def test_the_same_bits_for_any_number_of_threads():
    drawn = arguments(*SIZES[-1])
    results = []
    for threads in 1, 2, 3, 8:
        with setting(threads=threads), tile(4):
            results.append(at_once(*drawn, True))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_the_door_does_not_take_is_refused():
    x, w, b, pad, dout = arguments(*SIZES[0])
    sizes = x, w, b, (1, 1), pad
    out, kept = _kernels.conv_forward(*sizes, pool=True)
    norm = b, b, 1e-5
    with pytest.raises(ValueError, match="a pass of its own"):
        _kernels.conv_forward(*sizes, rectify=True)
    with pytest.raises(ValueError, match="behind a norm"):
        _kernels.conv_forward(*sizes, pool=True, norm=norm)
    with pytest.raises(ValueError, match=r"norm is \(gamma, beta, eps\)"):
        _kernels.conv_forward(*sizes, pool=True, rectify=True, norm=norm[1:])
    with pytest.raises(ValueError, match="takes a norm"):  # of 8 x 8 images in steps of 2
        _kernels.conv_forward(x, w, b, (2, 2), pad, pool=True, rectify=True, norm=norm)
    for wrong in (kept * 2, kept * 7):
        with pytest.raises(ValueError, match="kept is not of a forward"):
            _kernels.conv_backward(dout, x, w, (1, 1), pad, kept=wrong)
    for other in (dout[:1], out[:, :1]):
        with pytest.raises(ValueError, match="dout does not fit"):
            _kernels.conv_backward(other, x, w, (1, 1), pad, kept=kept)
    with pytest.raises(ValueError, match="dout does not fit"):
        _kernels.conv_backward(dout, x, w, (1, 1), pad, kept=(kept[0][1:],))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [((1, 1), (1, 1), (1, 1), 2), ((2, 1), (1, 1), (1, 1), 1), ((1, 1), (2, 2), (2, 2), 1)],
)
def test_a_pooling_that_no_driver_takes_is_a_pass_behind(options, dtype):
    """In groups, with strides or dilated, the door gives the bits of its two steps."""
    x, w, b, _, _ = arguments(2, 8, 9, 8, 16, 3, 3, (1, 1))
    x, w, b = (array.astype(dtype) for array in (x, w[:, : 8 // options[3]], b))
    assert not _kernels.conv_takes_pool(x, w, *options)
    for rectify in False, True:
        y, _ = _kernels.conv_forward(x, w, b, *options)
        out, kept = _kernels.conv_forward(x, w, b, *options, pool=True, rectify=rectify)
        wanted, places = _kernels.max_pool_forward(y, *WINDOW, rectify)
        dout = np.random.default_rng(5).standard_normal(out.shape).astype(dtype)
        dy = _kernels.max_pool_backward(dout, places, y.shape, *WINDOW)
        got = [out, *kept, *_kernels.conv_backward(dout, x, w, *options, kept=kept)]
        assert_the_same(got, [wanted, places, *_kernels.conv_backward(dy, x, w, *options)])


PAIRS = {
    "conv_pool": (layers.conv_pool_forward, layers.conv_pool_backward),
    "conv_relu_pool": (layers.conv_relu_pool_forward, layers.conv_relu_pool_backward),
}


@pytest.mark.parametrize("sandwich", PAIRS)
@pytest.mark.parametrize("need_dx", [True, False])
def test_the_sandwiches_use_it(sandwich, need_dx):
    x, w, b, pad, dout = arguments(8, 16, 16, 16, 32, 3, 3, (1, 1))
    forward, backward = PAIRS[sandwich]
    options = {"pad": pad}, POOL
    out, cache = forward(x, w, b, *options, engine="native")
    assert isinstance(cache.saved.kept[0], native.native.fused.BlockSaved)
    got = [out, *backward(dout, cache, need_dx=need_dx)]
    exact = (array.astype(np.float64) for array in (x, w, b))
    out, cache = forward(*exact, *options, engine="vectorized")
    for a, b in zip(got, [out, *backward(dout.astype(np.float64), cache)], strict=True):
        assert (a is None) == (a is got[1] and not need_dx)
        if a is not None:
            assert a.dtype == np.float32
            assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


@pytest.mark.parametrize(
    "change", ["float64", "stride", "pool", "window", "channels", "groups", "dilation"]
)
def test_other_sizes_go_layer_by_layer(change):
    x, w, b, pad, _ = arguments(8, 16, 16, 16, 32, 3, 3, (1, 1))
    conv_param, pool = {"pad": pad}, dict(POOL)
    if change == "float64":
        x, w, b = (array.astype(np.float64) for array in (x, w, b))
    elif change == "stride":
        conv_param["stride"] = 2
    elif change == "pool":
        pool["stride"] = 1
    elif change == "window":
        w = w[:, :, :2, :2]
    elif change == "channels":
        x, w = x[:, :7], w[:, :7]
    elif change == "groups":
        conv_param["groups"], w = 2, w[:, :8]
    else:
        conv_param["dilation"] = 2
    _, cache = layers.conv_pool_forward(x, w, b, conv_param, pool, engine="native")
    assert isinstance(cache.saved.kept[0], native.native.fused.Saved)


def test_networks_use_it_and_compute_the_same():
    def made(fuse):
        parts = [
            nn.Conv2d(32, 3, pad=1),
            nn.MaxPool(2),
            nn.Conv2d(32, 3, pad=1),
            nn.ReLU(),
            nn.MaxPool(2),
        ]
        return nn.Sequential([*parts, nn.Flatten(), nn.Affine(10)], (16, 16, 16), fuse=fuse, rng=0)

    fused, plain = made(True), made(False)
    names = [step.sandwich for step in fused._recorded([(8, 16, 16, 16)], "train").steps]
    assert names == ["conv_pool", "conv_relu_pool", None]
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((8, 16, 16, 16)).astype(np.float32), rng.integers(0, 10, 8)
    with engines.use("native"), tile(4):
        (loss, gradients), (other, others) = fused.loss(X, y), plain.loss(X, y)
    assert loss == other
    for name, gradient in gradients.items():
        tolerance = 1e-5 * np.abs(others[name]).max() if name.endswith("b") else 0
        np.testing.assert_allclose(gradient, others[name], rtol=0, atol=tolerance, err_msg=name)
