"""The deterministic cells of the notebooks, under the profiles of their generations.

The figures are the published ones.  Errors of numerical gradients move with the order of sums, so
they are held to a small factor; losses are exact.
"""

import numpy as np
import pytest
from courses import cells
from optim.test_course_figures import (
    ADAM_M,
    ADAM_V,
    ADAM_W,
    MOMENTUM_W,
    NESTEROV_W,
    RMSPROP_CACHE,
    RMSPROP_W,
    VELOCITY,
)

from handgrad.courses import PROFILES

EXACT = 1e-12
PRINTED = {"rtol": 0, "atol": 6e-9}  # NumPy prints eight decimals

COURSES = (
    "cs231n-2016",
    "cs231n-2017",
    "cs231n-2018",
    "cs231n-2020",
    "cs231n-2021",
    "cs231n-2026",
    "nndl-drop",
    "nndl-keep",
    "nndl-2024-mix",
    "skynet",
)
SINCE_2018 = [name for name in PROFILES if name[:6] == "cs231n" and PROFILES[name].year >= 2018]

each_course = pytest.mark.parametrize("course", COURSES)


@pytest.fixture(autouse=True)
def _restore_global_stream():
    state = np.random.get_state()
    yield
    np.random.set_state(state)


def near(figures, factor=2.0):
    """Errors of at most `factor` times the published ones."""
    return lambda errors: np.all(np.asarray(errors) <= factor * np.asarray(figures))


# FullyConnectedNets


@each_course
def test_affine_and_relu(course):
    found = cells.run(course, cells.AFFINE, cells.RELU, cells.AFFINE_RELU)
    assert found["F1"] == pytest.approx(9.7698e-10, rel=1e-4)
    # F2, F5: the numerical gradient's rounding, so the order of sums decides; the bound is e-10
    assert np.all(np.asarray(found["F2"]) < 5e-10)
    assert found["F3"] == pytest.approx(4.999999798022158e-08, rel=1e-9)
    assert near(3.27563e-12)(found["F4"])
    assert np.all(np.asarray(found["F5"]) < 5e-10)


@each_course
def test_losses(course):
    found = cells.run(course, cells.LOSSES)
    assert found["F6"][0] == pytest.approx(8.999602749096233, rel=EXACT)
    assert found["F7"][0] == pytest.approx(2.302545844500738, rel=EXACT)
    assert near([1.4021566e-09, 9.384673e-09])([found["F6"][1], found["F7"][1]])


@pytest.mark.thorough(keep=5)
@each_course
def test_two_layer_net(course):
    hidden = "hidden_dims" if course.startswith("nndl") else "hidden_dim"
    found = cells.run(course, cells.TWO_LAYERS, hidden=hidden)
    assert found["F8"] == pytest.approx([3.4702243556, 26.5948426952], abs=1e-10)
    assert found["scores"][0, 0] == pytest.approx(11.53165108, abs=1e-8)
    assert found["scores"][2, 6] == pytest.approx(16.2846319, abs=1e-7)
    assert max(found["errors"]) < 1e-6
    assert len(found["errors"]) == 8


@each_course
def test_fully_connected_net(course):
    with_gradients = course in ("cs231n-2017", "cs231n-2020", "nndl-keep")  # a class each
    found = cells.run(course, cells.DEEP, gradients=with_gradients)
    assert found["F9"] == pytest.approx([2.3004790897684924, 7.052114776533016], rel=EXACT)
    if with_gradients:
        without_reg, with_reg = found["errors"][:6], found["errors"][6:]
        assert max(without_reg) < 1e-4  # W2, at its kinks: 2.2e-5 in every submission
        assert max(with_reg) < 1e-6


@each_course
def test_fully_connected_net_with_batchnorm(course):
    has_bool = PROFILES[course].normalization_option == "use_batchnorm"
    batchnorm = "use_batchnorm=True" if has_bool else 'normalization="batchnorm"'
    found = cells.run(course, cells.DEEP_BATCHNORM, batchnorm=batchnorm)
    assert found["B5"] == pytest.approx([2.2611955101340957, 6.996533220108303], rel=EXACT)


# Dropout


@pytest.mark.parametrize("course", SINCE_2018)
def test_dropout_that_keeps(course):
    found = cells.run(course, cells.DROPOUT, ps=(0.25, 0.4, 0.7), p=0.2)
    assert found["mean"] == pytest.approx(10.000207878477502, rel=EXACT)
    expected = [
        (10.014059116977283, 0.749784, 0.0),
        (9.977917658761159, 0.600796, 0.0),
        (9.987811912159426, 0.30074, 0.0),
    ]
    np.testing.assert_allclose(found["rows"], expected, rtol=EXACT)
    assert found["error"] == pytest.approx(5.44560814873387e-11, rel=0.01)


@pytest.mark.parametrize("course", ["cs231n-2016", "cs231n-2017", "skynet", "nndl-drop"])
def test_dropout_that_drops(course):
    found = cells.run(course, cells.DROPOUT, ps=(0.3, 0.6, 0.75), p=0.8)
    expected = [
        (9.990848162756775, 0.300672, 0.0),
        (9.977917658761159, 0.600796, 0.0),
        (9.991640741515118, 0.750232, 0.0),
    ]
    np.testing.assert_allclose(found["rows"], expected, rtol=EXACT)
    assert found["error"] == pytest.approx(1.8929028e-11, rel=0.01)


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("course", SINCE_2018)
def test_network_with_dropout(course):
    option, _ = PROFILES[course].dropout_option
    assert option == ("dropout" if PROFILES[course].year <= 2020 else "dropout_keep_ratio")
    with_gradients = course == "cs231n-2018"
    found = cells.run(
        course,
        cells.DEEP_DROPOUT,
        dropout=option,
        dropouts=(1, 0.75, 0.5),
        gradients=with_gradients,
    )
    expected = [2.3004790897684924, 2.302371489704412, 2.3042759220785896]
    assert found["D3"] == pytest.approx(expected, rel=EXACT)
    assert max(found["errors"], default=0) < 1e-4


@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("course", ["cs231n-2016", "cs231n-2017", "skynet"])
def test_network_that_drops_is_the_one_that_keeps_the_rest(course):
    found = cells.run(
        course,
        cells.DEEP_DROPOUT,
        dropout="dropout",
        dropouts=(0, 0.25, 0.5),
        gradients=course == "cs231n-2017",
    )
    expected = [2.3004790897684924, 2.302371489704412, 2.3042759220785896]
    assert found["D3"] == pytest.approx(expected, rel=EXACT)
    assert max(found["errors"], default=0) < 1e-4


@pytest.mark.parametrize(
    ("course", "dropouts", "losses", "error"),
    [
        (
            "nndl-drop",
            (0, 0.25, 0.5),
            [2.3051948273987857, 2.29898614757146, 2.302437587710995],
            1.8929e-11,
        ),
        (
            "nndl-keep",
            (0.5, 0.75, 1),
            [2.3097712096101186, 2.306133548427975, 2.3053332250963194],
            5.445602445737837e-11,
        ),
        (
            "nndl-2024-mix",
            (0, 0.25, 0.5),
            [2.3051948273987857, 2.3126468345657742, 2.302437587710995],
            5.445602445737837e-11,
        ),
    ],
)
def test_dropout_of_nndl(course, dropouts, losses, error):
    np.random.seed(5)  # what stands before does not matter
    found = cells.run(course, cells.NNDL_DROPOUT, dropouts=dropouts)
    assert found["N6"] == pytest.approx(losses, rel=EXACT)
    assert found["N7"] == pytest.approx(error, rel=0.05)


# BatchNormalization


@each_course
def test_batchnorm(course):
    found = cells.run(course, cells.BATCHNORM)
    before, after, scaled = found["B1"]
    np.testing.assert_allclose(
        before,
        [[-2.3814598, -13.18038246, 1.91780462], [27.18502186, 34.21455511, 37.68611762]],
        **PRINTED,
    )
    np.testing.assert_allclose(after, [[0] * 3, [0.99999999, 1, 1]], **PRINTED)
    np.testing.assert_allclose(scaled[0], [11, 12, 13], **PRINTED)
    np.testing.assert_allclose(
        found["B2"],
        [[-0.03927354, -0.04349152, -0.10452688], [1.01531428, 1.01238373, 0.97819988]],
        **PRINTED,
    )
    assert near([1.70292e-09, 2e-11, 2e-11])(found["B3"])


@pytest.mark.parametrize("course", ["cs231n-2018", "cs231n-2021", "cs231n-2026"])
def test_layernorm(course):
    before, stds, after, means, scaled = cells.run(course, cells.LAYERNORM)["B6"]
    np.testing.assert_allclose(
        before, [-59.06673243, -47.60782686, -43.31137368, -26.40991744], **PRINTED
    )
    np.testing.assert_allclose(stds, [10.07429373, 28.39478981, 35.28360729, 4.01831507], **PRINTED)
    np.testing.assert_allclose(after, [0.99999995, 0.99999999, 1, 0.99999969], **PRINTED)
    np.testing.assert_allclose(means, [5] * 4, **PRINTED)
    np.testing.assert_allclose(scaled, [2.99999985, 2.99999998, 2.99999999, 2.99999907], **PRINTED)


# ConvolutionalNetworks


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("course", ["cs231n-2017", "cs231n-2025", "nndl-drop", "skynet"])
def test_convolution(course):
    one = 1.0 if course.startswith("nndl") else 1  # nndl's pads are floats
    found = cells.run(course, cells.CONV, cells.POOL, one=one)
    assert found["C1"] == pytest.approx(2.2121476417505994e-08, rel=1e-6)
    assert all(np.less(found["C2"], [3e-8, 5e-9, 5e-10]))  # "around e-8 or less"
    assert found["C3"] == pytest.approx(4.1666665157267834e-08, rel=1e-6)
    assert near(3.27562514223145e-12)(found["C4"])
    assert all(np.less(found["C5"], [5e-11, 5e-11, 1e-12, 1e-13]))
    assert found["C6"] == [0.0, 0.0]


@pytest.mark.thorough(keep=5)
@each_course
def test_conv_sandwiches_and_the_network_after_them(course):
    found = cells.run(course, cells.CONV_SANDWICHES)
    larger = [9.6e-9, 1.5e-8, 2.1e-9, 3.6e-9, 2.8e-10, 1.5e-10]
    assert near(larger, factor=4)(found["C7"])
    assert found["C8"][0] == pytest.approx(2.302586071243987, rel=EXACT)
    assert found["C8"][1] == pytest.approx(2.508255638232932, abs=4e-8)


@each_course
def test_spatial_batchnorm(course):
    found = cells.run(course, cells.SPATIAL_BATCHNORM)
    for got, expected in zip(
        found["C10"] + found["C11"],
        [
            [9.33463814, 8.90909116, 9.11056338],
            [3.61447857, 3.19347686, 3.5168142],
            [0.99999962, 0.99999951, 0.9999996],
            [2.99999885, 3.99999804, 4.99999798],
            [-0.08034406, 0.07562881, 0.05716371, 0.04378383],
            [0.96718744, 1.0299714, 1.02887624, 1.00585577],
        ],
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, **PRINTED)
    assert near([2.78664819e-07, 4 * 7.0974817e-12, 4 * 3.2756e-12])(found["C12"])


@pytest.mark.parametrize("course", ["cs231n-2018", "cs231n-2021", "cs231n-2026"])
def test_groupnorm(course):
    found = cells.run(course, cells.GROUPNORM)
    for got, expected in zip(
        found["C13"],
        [
            [9.72505327, 8.51114185, 8.9147544, 9.43448077],
            [3.67070958, 3.09892597, 4.27043622, 3.97521327],
            [0.99999963, 0.99999948, 0.99999973, 0.99999968],
        ],
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, **PRINTED)
    assert found["shapes"] == [(2, 6, 4, 5), (1, 6, 1, 1), (1, 6, 1, 1)]
    assert near([7.4131e-08, 4 * 9.468e-12, 4 * 3.354e-12])(found["C14"])


# the update rules


def table(text):
    return [float(number) for number in text.split()]


@each_course
@pytest.mark.parametrize("rule", ["sgd_momentum", "rmsprop", "adam", "sgd_nesterov_momentum"])
def test_update_rules(course, rule):
    is_nndl = course.startswith("nndl")
    if rule == "sgd_nesterov_momentum" and not is_nndl:
        with pytest.raises(ImportError):
            cells.run(course, "from {optim} import sgd_nesterov_momentum")
        return
    cache, first, second = ("a", "v", "a") if is_nndl else ("cache", "m", "v")
    momentum = '{"learning_rate": 1e-3, "velocity": line(0.6, 0.9)}'
    config, next_w, tables, figures = {
        "sgd_momentum": (
            momentum,
            MOMENTUM_W,
            {"velocity": VELOCITY},
            [8.882347033505819e-09, 4.269287743278663e-09],
        ),
        "sgd_nesterov_momentum": (
            momentum,
            NESTEROV_W,
            {"velocity": VELOCITY},
            [1.0875186845081027e-08, 4.269287743278663e-09],
        ),
        "rmsprop": (
            f'{{"learning_rate": 1e-2, "{cache}": line(0.6, 0.9)}}',
            RMSPROP_W,
            {cache: RMSPROP_CACHE},
            [9.524687511038133e-08, 2.6477955807156126e-09],
        ),
        "adam": (
            f'{{"learning_rate": 1e-2, "{first}": line(0.6, 0.9), '
            f'"{second}": line(0.7, 0.5), "t": 5}}',
            ADAM_W,
            {second: ADAM_V, first: ADAM_M},
            [1.1395691798535431e-07, 4.208314038113071e-09, 4.214963193114416e-09],
        ),
    }[rule]
    found = cells.run(
        course,
        cells.RULE,
        rule=rule,
        config=config,
        next_w=table(next_w),
        tables={key: table(text) for key, text in tables.items()},
    )
    assert found["errors"] == pytest.approx(figures, rel=1e-5)
