"""Wrong calls are refused with an error that names the layer and the argument; none is broadcast."""

import numpy as np
import pytest
from contract.cases import PAIRS, random_like, representatives

from handgrad import engines
from handgrad.errors import CacheError, DtypeError, EngineError, HandgradError, ShapeError

# shapes of parameters that a layer takes for more than one meaning
ALSO_RIGHT = {("prelu", "a", ()), ("prelu", "a", (1,))}
ONE_EACH = representatives(1, PAIRS)
# tests/layers/test_recurrent.py refuses each of the two of a step of an LSTM
OF_ONE_OUTPUT = [case for case in representatives(3, PAIRS) if case.layer != "lstm_step"]


def wrong_shapes(array, fixed_axes=None):
    """Return arrays that differ from `array` in shape, most of which would broadcast to it.

    fixed_axes: how many of the axes, from the first, may have one size only; None is all.
    """
    wrong = [array[None], array[..., None], np.zeros(()), np.stack([array, array])]
    wrong += [array[:0]] if array.ndim else []
    for axis, size in enumerate(array.shape[:fixed_axes]):
        if size > 1:
            wrong += [array.take([0], axis), array.take(range(size - 1), axis)]
            wrong += [array.sum(axis)]
    wrong.append(array.T)
    return [value for value in wrong if value.shape != array.shape]


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", OF_ONE_OUTPUT, ids=lambda case: case.id)
def test_dout_of_another_shape_is_refused(case, engine):
    out, cache = case.forward(engine=engine)
    dout = random_like(case, out)
    wrong = wrong_shapes(dout)
    assert len(wrong) >= 3
    for value in wrong:
        with pytest.raises(
            ShapeError, match=f"^{case.layer}_backward: {case.dout} must have"
        ) as error:
            case.backward(value, cache)
        assert str(out.shape) in str(error.value)
        assert str(value.shape) in str(error.value)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.id)
def test_another_cache_is_refused(case, engine):
    out, cache = case.forward(engine=engine)
    other = next(row for row in ONE_EACH if row.layer != case.layer)
    _, foreign = other.forward(engine=engine)
    for value in (foreign, None, (), tuple(cache), cache.saved, out):
        with pytest.raises(CacheError, match=f"^{case.layer}_backward: cache must be"):
            case.backward(random_like(case, out), value)


@pytest.mark.parametrize("case", representatives(2, PAIRS), ids=lambda case: case.id)
def test_parameters_of_another_shape_are_refused(case):
    for position, name in enumerate(case.arrays):
        if position == 0:
            continue  # x may have any batch
        arrays = list(case.arrays.values())
        array = arrays[position]
        fixed_axes = 2 if name == "w" else None  # filters have any height and width
        for wrong in wrong_shapes(array, fixed_axes):
            values = [*arrays[:position], wrong, *arrays[position + 1 :]]
            only_channels = case.layer == "concat" and (
                (wrong.shape[:1], wrong.shape[2:]) == (array.shape[:1], array.shape[2:])
            )
            if (case.layer, name, wrong.shape) not in ALSO_RIGHT and not only_channels:
                with pytest.raises(ShapeError, match=r"^\w+_forward: .* got .*\("):
                    case.forward(*values)


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.id)
def test_things_that_are_no_arrays_are_refused(case):
    for position, name in enumerate(case.arrays):
        for wrong in (None, "text", {}):
            values = list(case.arrays.values())
            values[position] = wrong
            with pytest.raises(DtypeError, match=f"^{case.layer}_forward: {name} "):
                case.forward(*values)


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.id)
def test_an_unknown_engine_is_refused(case):
    with pytest.raises(EngineError, match="engine must be one of"):
        case.forward(engine="fastest")


@pytest.mark.parametrize(
    "case", [case for case in ONE_EACH if case.options], ids=lambda case: case.id
)
def test_options_that_are_no_options_are_refused(case):
    for position, option in enumerate(case.options):
        for wrong in (None, "text", [], -1):
            no_norm = wrong is None and "_bn_" in case.layer  # their bn_param may be None
            if not no_norm and (isinstance(option, dict) or wrong != -1):
                options = (*case.options[:position], wrong, *case.options[position + 1 :])
                with pytest.raises(HandgradError, match=r"^\w+_forward: "):
                    case._replace(options=options).forward()
