"""The first block of a network in one call: float32 beside the vectorized engine in float64."""

from itertools import pairwise

import numpy as np
import pytest
from engines.native import POOL, _kernels, arguments, control, native, setting

from handgrad.errors import ShapeError
from handgrad.layers import (
    conv_bn_relu_pool_backward,
    conv_bn_relu_pool_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)

NAMES = ("out", "running_mean", "running_var", "dx", "dw", "db", "dgamma", "dbeta")
SIZES = [  # N, C, H, W, F, HH, WW, pad
    (5, 3, 9, 7, 32, 3, 3, (1, 1)),
    (2, 1, 28, 28, 32, 5, 5, (2, 2)),
    (3, 2, 6, 11, 64, 3, 5, (0, 2)),
    (2, 4, 5, 5, 96, 2, 2, (1, 0)),
    (7, 3, 40, 40, 32, 1, 3, (0, 1)),
    (2, 1, 4, 4, 32, 5, 5, (2, 2)),
    (9, 3, 4, 3, 32, 3, 3, (2, 3)),
    (1, 10, 36, 4, 32, 1, 1, (0, 0)),
]


def run(arrays, conv_param, dout, engine, need_dx=False, given=None):
    bn_param = {"mode": "train"} if given is None else {"mode": "test", **given}
    out, cache = conv_bn_relu_pool_forward(*arrays, conv_param, bn_param, POOL, engine=engine)
    gradients = conv_bn_relu_pool_backward(dout, cache, need_dx=need_dx)
    made = [out, bn_param["running_mean"], bn_param["running_var"], *gradients]
    return dict(zip(NAMES, made, strict=True)), cache


def takes(arrays, pad):
    return _kernels.conv_takes_pool(*arrays[:2], (1, 1), pad, rectify=True, normed=True)


def assert_close(got, wanted, bound=2e-6):
    for name, expected in wanted.items():
        if name == "db" or expected is None:
            continue
        error = np.abs(got[name] - expected).max() / max(np.abs(expected).max(), 1e-3)
        assert error < bound, (name, error)


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("sizes", SIZES)
def test_the_block_equals_its_layers(sizes, isa):
    arrays, conv_param, dout = arguments(*sizes)
    with setting(isa=isa):
        assert takes(arrays, sizes[-1])
        got, cache = run(arrays, conv_param, dout, "native")
        assert isinstance(cache.saved.kept[0], native.fused.BlockSaved)
        both, _ = run(arrays, conv_param, dout, "native", need_dx=True)
    exact = [array.astype(np.float64) for array in arrays]
    wanted, _ = run(exact, conv_param, dout.astype(np.float64), "vectorized", need_dx=True)
    assert got["dx"] is None
    assert not got["db"].any()
    assert all(got[name].dtype == np.float32 for name in NAMES if name != "dx")
    assert_close(both, wanted)
    assert_close(got, wanted | {"dx": None})


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("sizes", SIZES)
def test_the_block_with_given_moments_equals_its_layers(sizes, isa):
    arrays, conv_param, dout = arguments(*sizes)
    moments = np.random.default_rng(1).uniform(0.1, 2, (2, sizes[4])).astype(np.float32)
    given = {"running_mean": moments[0], "running_var": moments[1]}
    for need_dx in (False, True):
        with setting(isa=isa):
            got, cache = run(arrays, conv_param, dout, "native", need_dx, given)
        assert isinstance(cache.saved.kept[0], native.fused.BlockSaved)
        exact = [array.astype(np.float64) for array in arrays]
        wanted, _ = run(exact, conv_param, dout.astype(np.float64), "vectorized", need_dx, given)
        assert_close(got, wanted)
        np.testing.assert_allclose(got["db"], wanted["db"], rtol=1e-4, atol=1e-4)
        for name, value in given.items():
            np.testing.assert_array_equal(got[name], value)


def test_the_variance_of_a_filter_that_nearly_cancels_the_image():
    """Bright and smooth images under an edge filter: the covariance of the patches needs its last digits."""
    rows, columns = np.mgrid[0:32, 0:32]
    phases = np.arange(24).reshape(8, 3, 1, 1)
    x = 200 + 50 * np.sin(rows / 9 + phases) * np.cos(columns / 11 - phases)
    arrays, _, _ = arguments(8, 3, 32, 32, 32, 3, 3, (0, 0))
    arrays[0] = x.astype(np.float32)
    arrays[1][:] = 0
    arrays[1][:, :, 1] = np.float32([-1, 2, -1])
    arrays[1][:, 0, 0, 0] = np.linspace(0, 1e-4, 32)
    _, _, dout = arguments(8, 3, 32, 32, 32, 3, 3, (0, 0))
    got, _ = run(arrays, {"pad": 0}, dout, "native")
    exact = [array.astype(np.float64) for array in arrays]
    wanted, _ = run(exact, {"pad": 0}, dout.astype(np.float64), "vectorized")
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5)


def test_bits_do_not_depend_on_threads():
    arrays, conv_param, dout = arguments(37, 3, 19, 18, 64, 3, 3, (1, 1))
    results = []
    for threads in (1, 2, 3, 8):
        with setting(threads=threads):
            results.append(run(arrays, conv_param, dout, "native")[0])
    for other in results[1:]:
        for name in NAMES:
            if name != "dx":
                np.testing.assert_array_equal(other[name], results[0][name])


def test_ties_go_to_the_first_pixel_and_closed_windows_get_nothing():
    """Filters that see their centre only, on images of equal windows: neighbours tell who was chosen."""
    arrays, conv_param, dout = arguments(2, 3, 8, 8, 32, 3, 3, (1, 1))
    arrays[0] = arrays[0][:, :, ::2, ::2].repeat(2, axis=2).repeat(2, axis=3)
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    arrays[1][:, :, around] = 0
    arrays[4][::2] = -100  # the rectifier closes these features
    got, _ = run(arrays, conv_param, dout, "native")
    exact = [array.astype(np.float64) for array in arrays]
    wanted, _ = run(exact, conv_param, dout.astype(np.float64), "vectorized")
    assert not got["dw"][::2].any()
    assert not got["dbeta"][::2].any()
    assert_close(got, wanted | {"dx": None}, 1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_what_is_not_finite_spreads_as_through_the_layers(bad):
    arrays, conv_param, dout = arguments(2, 3, 8, 8, 32, 3, 3, (1, 1))
    arrays[0][1, 2, 3, 3] = bad
    with np.errstate(all="ignore"):
        got, _ = run(arrays, conv_param, dout, "native")
        wanted, _ = run(arrays, conv_param, dout, "vectorized")
    if (
        bad < np.inf
    ):  # squares overflow float32: the layers give NaN or infinity, double precision does not
        assert np.isfinite(got["running_mean"]).all()
        return
    for name in ("out", "running_mean", "running_var", "dw"):
        assert not np.isfinite(got[name]).any() or name == "out"
        if name != "dw":
            np.testing.assert_array_equal(np.isfinite(got[name]), np.isfinite(wanted[name]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "given", [None, {"running_mean": np.zeros(32), "running_var": np.ones(32)}]
)
def test_a_bias_that_is_not_finite_shows(given, bad):
    arrays, conv_param, dout = arguments(2, 3, 8, 8, 32, 3, 3, (1, 1))
    arrays[2][1] = bad
    with np.errstate(all="ignore"):
        got, _ = run(arrays, conv_param, dout, "native", given=given)
        wanted, _ = run(arrays, conv_param, dout, "vectorized", given=given)
    for name in ("out", "running_mean", "running_var", "dw", "dgamma"):
        finite = np.isfinite(wanted[name])
        np.testing.assert_array_equal(np.isfinite(got[name]), finite)
        assert not finite.all() or given


def test_changes_behind_forward_reach_no_gradient():
    """The vectors, as those of the layers; images and filters are kept as they are."""
    for given in (None, {"running_mean": np.zeros(32), "running_var": np.ones(32)}):
        gradients = []
        for change in (0, 3):
            arrays, conv_param, dout = arguments(2, 3, 8, 8, 32, 3, 3, (1, 1))
            bn_param = {"mode": "train"} if given is None else {"mode": "test"} | given
            _, cache = conv_bn_relu_pool_forward(
                *arrays, conv_param, bn_param, POOL, engine="native"
            )
            for vector in (*arrays[2:], bn_param["running_mean"], bn_param["running_var"]):
                vector += change
            gradients.append(conv_bn_relu_pool_backward(dout, cache))
        for before, after in zip(*gradients, strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("isas", list(pairwise(control.isas())))
def test_another_instruction_set_before_backward(isas):
    arrays, conv_param, dout = arguments(2, 3, 8, 8, 16, 3, 3, (1, 1))
    exact = [array.astype(np.float64) for array in arrays]
    wanted, _ = run(exact, conv_param, dout.astype(np.float64), "vectorized")
    _, pooled = conv_relu_pool_forward(*exact[:3], conv_param, POOL, engine="vectorized")
    _, plain_dw, _ = conv_relu_pool_backward(dout.astype(np.float64), pooled)
    for forward, backward in (isas, isas[::-1]):
        with setting(isa=forward):
            _, cache = run(arrays, conv_param, dout, "native")
            _, pooled = conv_relu_pool_forward(*arrays[:3], conv_param, POOL, engine="native")
        with setting(isa=backward):
            gradients = conv_bn_relu_pool_backward(dout, cache, need_dx=False)
            _, dw, _ = conv_relu_pool_backward(dout, pooled, need_dx=False)
        assert_close(dict(zip(NAMES[3:], gradients, strict=True)), {"dw": wanted["dw"]})
        assert_close({"dw": dw}, {"dw": plain_dw})


def test_one_large_image_takes_no_memory_for_idle_threads():
    arrays, conv_param, dout = arguments(1, 3, 300, 300, 32, 3, 3, (0, 0))
    kept = []
    for threads in (1, 16):
        _kernels.trim_buffers()
        before = sum(_kernels.buffer_statistics()[:2])
        with setting(threads=threads):
            run(arrays, conv_param, dout, "native")
        kept.append(sum(_kernels.buffer_statistics()[:2]) - before)
    assert kept[1] < 1.5 * kept[0]


def test_other_sizes_and_dtypes_take_the_layers():
    arrays, _, dout = arguments(2, 3, 8, 8, 32, 3, 3, (1, 1))
    cases = [
        ([array.astype(np.float64) for array in arrays], (1, 1)),
        ([arrays[0], arrays[1][:5], *(array[:5] for array in arrays[2:])], (1, 1)),
        ([arrays[0][:, :, :3], *arrays[1:]], (0, 0)),
    ]
    for given, pad in cases:
        assert not takes(given, pad)
    for conv_param, pool_param in (
        ({"stride": 2, "pad": 1}, POOL),
        ({"pad": 1}, {**POOL, "pool_width": 3}),
    ):
        _, cache = conv_bn_relu_pool_forward(
            *arrays, conv_param, {"mode": "train"}, pool_param, engine="native"
        )
        assert isinstance(cache.saved.kept[0], native.fused.Saved)
    _, cache = run(arrays, {"pad": 1}, dout, "native")
    with pytest.raises(ValueError, match="conv_backward: dout does not fit"):
        native.fused.backward(dout[:1], cache.saved.kept[0], False)


@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_scales_of_another_number_of_filters_are_refused(name):
    arrays, conv_param, dout = arguments(2, 3, 8, 8, 32, 3, 3, (1, 1))
    place = ["x", "w", "b", "gamma", "beta"].index(name)
    arrays[place] = arrays[place][:31]
    message = rf"^spatial_batchnorm_forward: {name} must have shape \(32,\).*got \(31,\)"
    with pytest.raises(ShapeError, match=message):
        run(arrays, conv_param, dout, "native")


@pytest.mark.parametrize(
    "option", [{"groups": 2}, {"dilation": 2}, {"dilation": (1, 2)}, {"dilation": (2, 1)}]
)
def test_groups_and_dilations_take_the_layers(option):
    arrays, conv_param, _ = arguments(2, 2, 9, 9, 32, 3, 3, (1, 1))
    arrays[1] = arrays[1][:, : 2 // option.get("groups", 1)]
    exact = [array.astype(np.float64) for array in arrays]
    parameters = {**conv_param, **option}, {"mode": "train"}, POOL
    wanted, _ = conv_bn_relu_pool_forward(*exact, *parameters, engine="vectorized")
    dout = np.random.default_rng(1).standard_normal(wanted.shape)
    wanted, _ = run(exact, parameters[0], dout, "vectorized", need_dx=True)
    got, cache = run(arrays, parameters[0], dout.astype(np.float32), "native", need_dx=True)
    assert isinstance(cache.saved.kept[0], native.fused.Saved)
    assert_close(got, wanted)
