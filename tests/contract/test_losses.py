"""Losses: labels of every integer type and memory layout, and arguments left as they were."""

import numpy as np
import pytest
from contract.cases import LABEL_LOSSES, ROW_LOSSES, TARGET_LOSSES, as_dtype, assert_same, cases_of

from handgrad import engines, layers
from handgrad.errors import EngineError, LabelError, NonFiniteError, OptionError, ShapeError

LABELS = {
    "int8": lambda y: y.astype("int8"),
    "uint8": lambda y: y.astype("uint8"),
    "int32": lambda y: y.astype("int32"),
    "uint64": lambda y: y.astype("uint64"),
    "big-endian": lambda y: y.astype(">i4"),
    "strided": lambda y: np.repeat(y, 2)[::2],
    "reversed": lambda y: y[::-1].copy()[::-1],
    "list": lambda y: y.tolist(),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_labels_of_any_integer_type_and_layout(loss, engine, labels):
    for case in cases_of(loss)[::5]:
        y, *keywords = case.options
        expected = case.forward(engine=engine)
        other = case._replace(options=(LABELS[labels](y), *keywords))
        assert_same(other.forward(engine=engine), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_losses_leave_scores_and_labels(loss, engine, dtype):
    for case in cases_of(loss):
        (x,), (y, *keywords) = as_dtype(case, dtype), case.options
        x_before, y_before = x.copy(), y.copy()
        value, dx = getattr(layers, loss)(x, y, **dict(*keywords), engine=engine)
        assert_same([x, y], [x_before, y_before])
        assert value.dtype == dx.dtype == dtype
        assert np.shape(value) == ()
        assert not np.shares_memory(dx, x)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_wrong_labels_are_refused(loss, engine):
    x = np.zeros((3, 4))
    for wrong in ([0, 1, 4], [0, -1, 2], [0.0, 1.0, 2.0], [True, False, True], ["0", "1", "2"]):
        with pytest.raises(LabelError, match=f"^{loss}: y must "):
            getattr(layers, loss)(x, wrong, engine=engine)
    for wrong in ([0, 1], [[0], [1], [2]], 1, [], [0, 1, 2, 3]):
        with pytest.raises(ShapeError, match=f"^{loss}: y must have shape"):
            getattr(layers, loss)(x, wrong, engine=engine)
    with pytest.raises(EngineError, match="engine must be one of"):
        getattr(layers, loss)(x, [0, 1, 2], engine="fastest")


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("loss", TARGET_LOSSES)
def test_targets_of_any_type_and_layout(loss, engine):
    x = np.array([[0.5, -0.25], [1.5, 2.0]])
    y = np.array([[1, 0], [0, 1]])
    expected = getattr(layers, loss)(x, y.astype(float), engine=engine)
    for other in (
        y, y.tolist(), y.astype("uint8"), y.astype(bool), y.astype("float32"), y.astype(">f8"),
        np.asfortranarray(y), np.repeat(y, 2, 0)[::2],
    ):  # fmt: skip
        assert_same(getattr(layers, loss)(x, other, engine=engine), expected)
    value, dx = getattr(layers, loss)(x.astype("float32"), y.astype(float), engine=engine)
    assert value.dtype == dx.dtype == np.float32


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("loss", TARGET_LOSSES)
def test_wrong_targets_are_refused(loss, engine):
    x = np.zeros((3, 4))
    function = getattr(layers, loss)
    for wrong in (np.zeros(3), np.zeros((3, 1)), np.zeros((4, 3)), 1.0, np.zeros((0, 4))):
        with pytest.raises(ShapeError, match=f"^{loss}: y must have the shape of x"):
            function(x, wrong, engine=engine)
    with pytest.raises(LabelError, match=f"^{loss}: y must hold real numbers"):
        function(x, np.full((3, 4), "a"), engine=engine)
    for bad in (np.nan, np.inf):
        y = np.zeros((3, 4))
        y[1, 2] = bad
        with pytest.raises(
            NonFiniteError, match=rf"^{loss}: y must be finite, got {bad} at y\[1, 2\]"
        ):
            function(x, y, engine=engine)
        with pytest.raises(
            NonFiniteError, match=rf"^{loss}: x must be finite, got {bad} at x\[1, 2\]"
        ):
            function(y, x, engine=engine)


@pytest.mark.parametrize(
    ("loss", "y"),
    [("binary_cross_entropy_loss", 1.5), ("binary_cross_entropy_loss", -1), ("poisson_loss", -1)],
)
def test_targets_out_of_range_are_refused(loss, y):
    with pytest.raises(LabelError, match=f"^{loss}: y must be at (least|most)"):
        getattr(layers, loss)(np.zeros(2), [0, y])


WEIGHTED = [loss for loss in ROW_LOSSES if loss != "svm_loss"]


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("loss", WEIGHTED)
def test_a_weight_is_how_often_a_row_stands_there(loss, engine):
    function = getattr(layers, loss)
    x = np.random.default_rng(0).standard_normal((5, 3))
    y = np.array([0, 1, 2, 1, 0]) if loss in LABEL_LOSSES else (x > 0.3) * 1.0
    weights = np.array([2, 0, 1, 3, 1])
    value, dx = function(x, y, sample_weight=weights, engine=engine)
    rows = np.repeat(np.arange(5), weights)
    repeated, drows = function(x[rows], y[rows], engine=engine)
    assert value == pytest.approx(repeated, rel=1e-14)
    summed = np.zeros_like(dx)
    np.add.at(summed, rows, drows)
    np.testing.assert_allclose(dx, summed, rtol=1e-13, atol=1e-16)
    seven, _ = function(x, y, sample_weight=np.full(5, 7), engine=engine)
    assert seven == pytest.approx(function(x, y, engine=engine)[0], rel=1e-14)


@pytest.mark.parametrize("loss", ["softmax_loss", "focal_loss"])
def test_weights_of_classes_are_those_of_their_rows(loss):
    function = getattr(layers, loss)
    x, y = np.random.default_rng(0).standard_normal((5, 3)), np.array([0, 1, 2, 1, 0])
    by_class = np.array([0.5, 2.0, 3.0])
    assert_same(function(x, y, class_weight=by_class), function(x, y, sample_weight=by_class[y]))


@pytest.mark.parametrize("loss", WEIGHTED)
def test_wrong_weights_are_refused(loss):
    function = getattr(layers, loss)
    x, y = np.zeros((3, 2)), [0, 1, 1] if loss in LABEL_LOSSES else np.zeros((3, 2))
    for wrong in ([1, 2], 3.0, [[1], [2], [3]]):
        with pytest.raises(ShapeError, match=rf"^{loss}: sample_weight must have shape \(3,\)"):
            function(x, y, sample_weight=wrong)
    for wrong in ([1, -1, 2], [1, np.nan, 2], [0, 0, 0], ["a", "b", "c"]):
        with pytest.raises(OptionError, match=f"^{loss}: (sample_weight|the weights)"):
            function(x, y, sample_weight=wrong)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", engines.available())
def test_numbers_of_any_size(engine, dtype):
    """Logits and differences up to 1e30: finite, with the slopes of the limits."""
    for far in (1e3, 1e30):
        x = np.array([-far, far, -far, far], dtype)
        loss, dx = layers.binary_cross_entropy_loss(x, [0, 1, 1, 0], engine=engine)
        assert loss == pytest.approx(far / 2, rel=1e-6)
        np.testing.assert_allclose(dx, [0, 0, -0.25, 0.25], atol=1e-30)
        for name, slope in (("absolute", 1.0), ("huber", 1.0), ("quantile", 0.5)):
            loss, dx = getattr(layers, f"{name}_loss")(x, np.zeros(4), engine=engine)
            assert loss == pytest.approx(slope * far, rel=1e-3)
            np.testing.assert_allclose(dx, np.sign(x) * slope / 4)
        scores = np.array([[far, 0.0], [0.0, far]], dtype)
        for gamma in (0.0, 0.5, 2.0):
            loss, dx = layers.focal_loss(scores, [0, 0], gamma=gamma, engine=engine)
            assert loss == pytest.approx(far / 2, rel=1e-6)
            np.testing.assert_allclose(dx, [[0, 0], [-0.5, 0.5]], atol=1e-30)
    x = np.array([-40.0, 40.0], "float64")
    loss, _ = layers.binary_cross_entropy_loss(x, [0, 1], engine=engine)
    assert loss == pytest.approx(np.exp(-40.0), rel=1e-12, abs=0)  # the tail keeps its digits
    with pytest.raises(NonFiniteError, match="poisson_loss: the rate"):
        layers.poisson_loss(np.array([1e3], dtype), [1], engine=engine)
    loss, dx = layers.poisson_loss(np.array([-1e30], dtype), [0], engine=engine)
    assert (loss, dx[0]) == (0, 0)
