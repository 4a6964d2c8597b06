"""Losses: labels of every integer type and memory layout, and arguments left as they were."""

import numpy as np
import pytest
from contract.cases import ROW_LOSSES, as_dtype, assert_same, cases_of

from handgrad import engines, layers
from handgrad.errors import EngineError, LabelError, ShapeError

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
@pytest.mark.parametrize("loss", ROW_LOSSES)
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
@pytest.mark.parametrize("loss", ROW_LOSSES)
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
