"""Matrix products of all sizes, and the pooling of images of few channels, on every instruction set."""

import numpy as np
import pytest
from engines.native import control, difference, native, setting, vectorized

ISAS = pytest.mark.parametrize("isa", control.isas())


@ISAS
@pytest.mark.parametrize("columns", [1, 3, 4, 8, 9, 10, 16, 17, 36, 68, 100])
def test_affine_layers_of_all_sizes(isa, columns, rng):
    """Columns of part of a vector, rows of part of a tile, depths of one block or of several tasks."""
    for rows, depth in (1, 7), (6, 130), (100, 400), (101, 1600), (131, 33), (300, 129):
        x, w, b = (rng.standard_normal(s) for s in ((rows, depth), (depth, columns), (columns,)))
        dout = rng.standard_normal((rows, columns))
        out, saved = vectorized.affine_forward(x, w, b)
        expected = [out, *vectorized.affine_backward(dout, saved)]
        for threads in 1, 3:
            with setting(isa=isa, threads=threads):
                out, saved = native.affine_forward(x, w, b)
                results = [out, *native.affine_backward(dout, saved)]
            for got, right in zip(results, expected, strict=True):
                assert difference(got, right) <= 1e-12


@pytest.mark.thorough(keep=3)
@ISAS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_rows(isa, dtype, rng):
    """The product of few rows, and dx, whose rows are long, read the weights where they lie."""
    for rows in (1, 2, 3, 4, 5, 9, 24, 128):
        for depth, columns in (0, 5), (1, 1), (37, 259), (129, 300), (1100, 257), (30, 1060):
            shapes = (rows, depth), (depth, columns), (columns,), (rows, columns)
            x, w, b, dout = (rng.standard_normal(s).astype(dtype) for s in shapes)
            out, saved = vectorized.affine_forward(*(a.astype(np.float64) for a in (x, w, b)))
            expected = [out, *vectorized.affine_backward(dout.astype(np.float64), saved)]
            found = []
            for threads in 1, 3:
                with setting(isa=isa, threads=threads):
                    out, saved = native.affine_forward(x, w, b)
                    found.append([out, *native.affine_backward(dout, saved)])
            for one, three, right in zip(*found, expected, strict=True):
                assert difference(one, right) <= 40 * np.finfo(dtype).eps
                np.testing.assert_array_equal(one, three)


@ISAS
@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
@pytest.mark.parametrize("pad", [(0, 0), (1, 2)])
def test_convolutions_with_few_windows(isa, stride, pad, rng):
    """Filters of 256 numbers or more, over images of few windows, are read where they lie."""
    for N, C, H, W, F, HH, WW in (
        (1, 30, 4, 4, 50, 3, 3),
        (1, 257, 1, 1, 7, 1, 1),
        (2, 64, 2, 5, 26, 2, 2),
        (1, 11, 7, 9, 25, 5, 5),
        (2, 300, 3, 3, 1, 3, 1),
    ):
        x, w, b = (rng.standard_normal(s) for s in ((N, C, H, W), (F, C, HH, WW), (F,)))
        expected, _ = vectorized.conv_forward(x, w, b, stride, pad)
        assert expected[:, 0].size <= 64
        for images in x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2):
            found = []
            for threads in 1, 3:
                with setting(isa=isa, threads=threads, exact=True):
                    found.append(native.conv_forward(images, w, b, stride, pad)[0])
            assert difference(found[0], expected) <= 1e-13
            np.testing.assert_array_equal(*found)


def pooled(engine, x, dout):
    out, saved = engine.max_pool_forward(x, (2, 2), (2, 2))
    return out, engine.max_pool_backward(dout, saved)


@ISAS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 4, 32), (3, 1, 7, 71), (1, 15, 2, 35), (2, 4, 5, 3)])
def test_planes_are_pooled_as_images(isa, dtype, shape, rng):
    """Rows of whole vectors of windows and of parts; ties, zeros and NaN are all in there."""
    x = rng.integers(-3, 4, shape).astype(dtype)
    x[rng.random(shape) < 0.05] = np.nan
    N, C, H, W = shape
    dout = rng.standard_normal((N, C, H // 2, W // 2)).astype(dtype)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    expected = pooled(vectorized, x, dout)
    for threads in 1, 3:
        with setting(isa=isa, threads=threads):
            for images in x, last:
                for got, right in zip(pooled(native, images, dout), expected, strict=True):
                    np.testing.assert_array_equal(got, right)
            out, saved = native.fused.BEHIND["relu", "max_pool"](x, (), ((2, 2), (2, 2), None))
            (dx,) = native.fused.backward(dout, saved, True)
    np.testing.assert_array_equal(out, np.where(expected[0] < 0, 0, expected[0]))
    opened = np.where(expected[0] > 0, dout, 0)
    np.testing.assert_array_equal(dx, pooled(vectorized, x, opened)[1])
