"""Winograd's algorithm within the forward error theorem, element by element; what is promised is tighter.

toom_cook.py computes the bound from the matrices of the points that the kernels are made of.
"""

import re

import numpy as np
import pytest
from engines.native import control, setting
from engines.test_native_winograd import (
    DRAWS,
    generated,
    problem,
    reference,
    run,
    tile,
    tiles_of,
    turned,
)
from engines.toom_cook import (
    NATIVE,
    PROMISED,
    UNIT,
    ceiling,
    gamma,
    growth,
    matrices,
    roundings,
    sizes_of_outputs,
    sizes_of_weights,
)

SIZES = [2, 4, 8]
TINY = float(np.finfo(np.float32).tiny)


@pytest.mark.parametrize("size", SIZES)
def test_the_matrices_convolve(size):
    A, B, G = matrices(size)
    made = np.einsum("pi,pj,pk->ijk", A, B, G)
    wanted = np.zeros((size, size + 2, 3))
    for k in range(3):
        wanted[np.arange(size), np.arange(size) + k, k] = 1
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-14)


def flat(tiles):
    """(N, C, down, across, a, b) -> (N down across, C, a, b)."""
    return np.moveaxis(tiles, 1, 3).reshape(-1, tiles.shape[1], *tiles.shape[4:])


def output_sizes(x, w, size, pad, counts):
    """Return the theorem's sum of sizes for each output (N, F, H, W)."""
    tiles = tiles_of(x, size + 2, size, pad, counts)
    N, _, down, across = tiles.shape[:4]
    sums = sizes_of_outputs(flat(tiles), w.astype(np.float64), size)
    whole = sums.reshape(N, down, across, len(w), size, size).transpose(0, 3, 1, 4, 2, 5)
    return whole.reshape(N, len(w), down * size, across * size)[:, :, : counts[0], : counts[1]]


def shares(case, pad, size):
    """Return the largest error of out, dx and dw, in shares of the theorem's bound of the same element."""
    x, w, b, dout = case
    C, F = x.shape[1], len(w)
    patches = flat(tiles_of(x, size + 2, size, pad, dout.shape[2:]))
    gradients = flat(tiles_of(dout, size, size, (0, 0), dout.shape[2:]))
    back = 2 - pad[0], 2 - pad[1]
    bounds = (
        gamma(roundings(size, C))
        * (output_sizes(x, w, size, pad, dout.shape[2:]) + np.abs(b)[:, None, None]),
        gamma(roundings(size, F)) * output_sizes(dout, turned(w), size, back, x.shape[2:]),
        gamma(roundings(size, len(patches), weights=True))
        * sizes_of_weights(patches, gradients, size),
    )
    with tile(size):
        results = run(*case, pad)
    # A rounding below the smallest normal number is as large as it is there.
    return [
        (np.abs(got - wanted) / (bound + UNIT * TINY)).max()
        for got, wanted, bound in zip(results, reference(*case, pad), bounds, strict=True)
    ]


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("size", SIZES)
def test_every_element_stays_within_the_theorem(size, isa, rng):
    with setting(isa=isa):
        for number, shape in enumerate(generated(21)):
            case = problem(rng, shape, DRAWS[number % 7], DRAWS[number // 7])
            assert max(shares(case, shape[-1], size)) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_what_is_promised_is_tighter_than_the_theorem(size):
    assert PROMISED[size] < ceiling(size) < ceiling(size, 100)


def test_the_ceilings_of_one_channel():
    assert [round(growth(size)) for size in SIZES] == [16, 157, 1254]
    assert [round(ceiling(size)) for size in SIZES] == [224, 2514, 25077]


def limits():
    """Return {size: limit} of the self-test in C++, in eps of its largest sum of sizes."""
    text = (NATIVE / "self_test.cpp").read_text()
    (row,) = re.findall(r"for \(auto \[tile, limit\] : {(.*?)}\) {", text)
    return {int(a): float(b) for a, b in re.findall(r"{(\d), ([\d.]+)}", row)}


# those of the self-test, of 3 x 3 and stride 1: N, C, F, H, W, pad
SHAPES = [(2, 3, 16, 9, 8, (1, 1)), (1, 17, 33, 7, 9, (1, 1)), (2, 1, 9, 6, 5, (0, 0))]


@pytest.mark.parametrize("size", SIZES)
def test_the_self_test_allows_less_than_the_theorem(size, rng):
    for shape in SHAPES:
        pad = shape[-1]
        x, w, b, dout = problem(rng, shape)
        out, dx, dw = reference(*(np.abs(a) for a in (x, w, b, dout)), pad)  # sums of sizes
        counts, back = dout.shape[2:], (2 - pad[0], 2 - pad[1])
        patches = flat(tiles_of(x, size + 2, size, pad, counts))
        gradients = flat(tiles_of(dout, size, size, (0, 0), counts))
        sums = [
            output_sizes(x, w, size, pad, counts).max() / out.max(),
            output_sizes(dout, turned(w), size, back, x.shape[2:]).max() / dx.max(),
            sizes_of_weights(patches, gradients, size).max() / dw.max(),
        ]
        assert limits()[size] < min(sums) * gamma(roundings(size, 1)) / (2 * UNIT)
