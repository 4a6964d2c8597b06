"""conv - relu - 2x2 pool of images in one call: float32 beside the vectorized engine in float64."""

import numpy as np
import pytest
from engines import native
from engines.native import POOL, control, setting

from handgrad.layers import conv_relu_pool_backward, conv_relu_pool_forward

SIZES = [  # N, C, H, W, F, HH, WW, pad
    (5, 3, 9, 7, 32, 3, 3, (1, 1)),
    (50, 3, 12, 12, 32, 7, 7, (3, 3)),
    (2, 1, 28, 28, 32, 5, 5, (2, 2)),
    (3, 2, 6, 11, 64, 3, 5, (0, 2)),
    (2, 4, 5, 5, 96, 2, 2, (1, 0)),
    (33, 7, 8, 9, 32, 5, 6, (2, 3)),
    (1, 1, 40, 35, 32, 1, 31, (0, 15)),
    (2, 5, 4, 4, 32, 4, 5, (1, 2)),
]


def arguments(*sizes):
    arrays, conv_param, dout = native.arguments(*sizes, shift=0.0)
    return arrays[:3], conv_param, dout


def run(arrays, conv_param, dout, engine, need_dx=False):
    out, cache = conv_relu_pool_forward(*arrays, conv_param, POOL, engine=engine)
    return [out, *conv_relu_pool_backward(dout, cache, need_dx=need_dx)], cache


def is_whole(cache):
    return isinstance(cache.saved.kept[0], native.native.fused.BlockSaved)


def assert_close(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        if a is not None:
            assert a.dtype == np.float32
            assert np.abs(a - b).max() <= 2e-6 * np.abs(b).max()


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("sizes", SIZES)
def test_the_block_equals_its_layers(sizes, isa):
    arrays, conv_param, dout = arguments(*sizes)
    with setting(isa=isa):
        got, cache = run(arrays, conv_param, dout, "native")
        assert is_whole(cache)
        both, _ = run(arrays, conv_param, dout, "native", need_dx=True)
    exact = [array.astype(np.float64) for array in arrays]
    wanted, _ = run(exact, conv_param, dout.astype(np.float64), "vectorized", need_dx=True)
    assert got[1] is None
    assert_close(got, wanted)
    assert_close(both, wanted)


def test_windows_that_the_rectifier_closes_pass_nothing_on():
    arrays, conv_param, dout = arguments(*SIZES[0])
    arrays[2][:16] = -1000
    (out, _, dw, db), _ = run(arrays, conv_param, dout, "native")
    for array in (out[:, :16], dw[:16], db[:16]):
        assert not array.any()
    assert out[:, 16:].any()
    assert dw[16:].any()
    assert db[16:].all()


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_where_x_is_not_finite_every_pixel_counts(bad):
    """As in the vectorized engine, zero gradients times infinity are NaN."""
    arrays, conv_param, dout = arguments(*SIZES[0])
    arrays[0][1, 2, 4, 3] = bad
    with np.errstate(invalid="ignore"):
        wanted, _ = run(arrays, conv_param, dout, "vectorized")
    got, cache = run(arrays, conv_param, dout, "native")
    assert is_whole(cache)
    for a, b in zip(got, wanted, strict=True):
        if a is not None:
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
            np.testing.assert_array_equal(np.isposinf(a), np.isposinf(b))


def test_the_same_bits_for_any_number_of_threads():
    arrays, conv_param, dout = arguments(*SIZES[1])
    results = []
    for threads in 1, 2, 3, 8:
        with setting(threads=threads):
            results.append(run(arrays, conv_param, dout, "native")[0])
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("change", ["float64", "stride", "pool", "filters", "groups"])
def test_other_blocks_go_layer_by_layer(change):
    arrays, conv_param, _ = arguments(4, 6, 8, 8, 32, 3, 3, (1, 1))
    pool = dict(POOL)
    if change == "float64":
        arrays = [array.astype(np.float64) for array in arrays]
    elif change == "stride":
        conv_param["stride"] = 2
    elif change == "pool":
        pool["stride"] = 1
    elif change == "filters":
        arrays[1:] = [array[:31] for array in arrays[1:]]
    else:
        conv_param["groups"], arrays[1] = 2, arrays[1][:, :3]
    _, cache = conv_relu_pool_forward(*arrays, conv_param, pool, engine="native")
    assert not is_whole(cache)
