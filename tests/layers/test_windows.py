"""The checks of windows, at their limits: what just fits passes, one more is refused."""

import numpy as np
import pytest

from handgrad.errors import LARGEST_SIZE, ShapeError
from handgrad.layers import conv_forward
from handgrad.layers.windows import check_windows, reach_of

HALF = 1 << 20
FITS = {  # images (N, C, H, W), channels, window, stride, pad: each holds 2**59 of something
    "the padded images": ((1 << 9, 1 << 10, HALF - 2, HALF - 4), 1, (1, 1), (1, 1), (1, 2)),
    "the output": ((2, 1, 2 * HALF + 1, 4 * HALF - 2), 1 << 18, (3, 2), (2, 4), (0, 0)),
    "a stride": ((1, HALF, 1 << 10, 1 << 10), 1, (1, 1), (1 << 10, 1 << 9), (0, 0)),
    "a stride over one pixel": ((1, 1, 1, 1), 1, (1, 1), (1 << 29, 1 << 30), (0, 0)),
}
TOO_LARGE = {
    "the padded images": (((1 << 9) + 1, 1 << 10, HALF - 2, HALF - 4), 1, (1, 1), (1, 1), (1, 2)),
    "the output": ((2, 1, 2 * HALF + 1, 4 * HALF - 2), (1 << 18) + 1, (3, 2), (2, 4), (0, 0)),
    "a stride": ((1, HALF, 1 << 10, 1 << 10), 1, (1, 1), (1 << 10, (1 << 9) + 1), (0, 0)),
    "a stride over one pixel": ((1, 1, 1, 1), 1, (1, 1), (1 << 29, (1 << 30) + 1), (0, 0)),
    "a stride over no channels": ((1, 0, 1, 1), 1, (1, 1), (1 << 29, (1 << 30) + 1), (0, 0)),
}


def test_the_limit_is_what_the_documentation_says():
    assert LARGEST_SIZE == 1 << 59


@pytest.mark.parametrize("case", FITS)
def test_the_largest_sizes_pass(case):
    check_windows("layer", *FITS[case])


@pytest.mark.parametrize("case", TOO_LARGE)
def test_larger_sizes_are_refused(case):
    with pytest.raises(ShapeError, match=r"^layer: these sizes are beyond any memory"):
        check_windows("layer", *TOO_LARGE[case])


@pytest.mark.parametrize("window", [(6, 5), (5, 6)])
def test_a_window_that_is_one_pixel_too_large_is_refused(window):
    check_windows("layer", (1, 1, 3, 3), 1, (5, 5), (1, 1), (1, 1))
    with pytest.raises(ShapeError, match=r"^layer: the window is larger .* are 5 x 5"):
        check_windows("layer", (1, 1, 3, 3), 1, window, (1, 1), (1, 1))


@pytest.mark.parametrize(
    ("size", "reach", "got"), [((0, 3), (0, 5), "0 x 5"), ((3, 0), (5, 0), "5 x 0")]
)
def test_a_window_without_pixels_is_refused_however_dilated(size, reach, got):
    assert reach_of(size, (2, 2)) == reach
    w = np.ones((2, 1, *size))
    with pytest.raises(ShapeError, match=rf"^conv_forward: the window must have pixels, got {got}"):
        conv_forward(np.ones((1, 1, 9, 9)), w, np.ones(2), {"dilation": 2})
