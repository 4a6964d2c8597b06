"""The courses ignore keys that their code does not read: the shims drop what the library refuses."""

import importlib
import inspect

import numpy as np
import pytest
from courses.cells import MODULES

from handgrad import layers
from handgrad.courses import PROFILES, stop_using, use
from handgrad.courses.shims.dropping import READ, lenient, read_of
from handgrad.errors import OptionError

COURSES = sorted(PROFILES)
JUNK = {"odd": 1, "padding": 3, "lr": 9.0}
each_course = pytest.mark.parametrize("course", COURSES)


@pytest.fixture(autouse=True)
def no_course_afterwards():
    yield
    stop_using()


def module(course, name):
    use(course)
    return importlib.import_module(MODULES[PROFILES[course].course][name])


def functions(course):
    """Yield the functions of all modules of the course that take a dictionary of a layer."""
    for name in MODULES[PROFILES[course].course]:
        for key, thing in vars(module(course, name)).items():
            if inspect.isfunction(thing) and key.endswith(("forward", "naive", "fast", "im2col")):
                names = [p for p in inspect.signature(thing).parameters if p.endswith("_param")]
                if names:
                    yield key, thing, names


RIGHT = {
    "conv_param": {"stride": 1, "pad": 1},
    "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2},
    "bn_param": {"mode": "train"},
    "ln_param": {},
    "gn_param": {},
    "dropout_param": {"p": 0.5, "mode": "train", "seed": 1},
}


def arguments(function, junk):
    rng = np.random.default_rng(0)
    is_image = {"conv_param", "pool_param", "gn_param"} & set(
        inspect.signature(function).parameters
    )
    spatial = is_image or "spatial" in function.__name__
    has_w = "w" in inspect.signature(function).parameters
    C = 3
    sizes = {
        "x": (2, C, 4, 4) if spatial else (4, C),
        "w": (C, C, 3, 3) if spatial else (C, C),
        "b": (C,), "gamma": (C,), "beta": (C,),
    }  # fmt: skip
    made = {}
    for name in inspect.signature(function).parameters:
        if name in sizes:
            made[name] = rng.standard_normal(sizes[name])
        elif name == "G":
            made[name] = 3
        elif name in RIGHT:
            made[name] = {**RIGHT[name], **junk}
    assert has_w or "x" in made
    return made


@each_course
def test_layers_drop_what_the_course_does_not_read(course):
    tried = set()
    for name, function, dictionaries in functions(course):
        clean, dirty = arguments(function, {}), arguments(function, JUNK)
        expected, got = function(**clean)[0], function(*dirty.values())[0]
        np.testing.assert_array_equal(got, expected, err_msg=name)
        np.testing.assert_array_equal(function(**arguments(function, JUNK))[0], expected)
        for key in dictionaries:
            assert {
                k: v for k, v in dirty[key].items() if k in JUNK
            } == JUNK  # the caller's, as it was
            assert set(dirty[key]) - set(JUNK) == set(clean[key])  # running statistics, too
        tried |= set(dictionaries)
    assert {"conv_param", "pool_param", "bn_param", "dropout_param"} <= tried
    assert tried <= set(READ)


def test_options_that_only_the_library_has_are_dropped():
    faces = module("cs231n-2020", "layers")
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4))
    param = {"pool_height": 2, "pool_width": 2, "stride": 2, "pad": 1, "ceil_mode": True}
    assert faces.max_pool_forward_naive(x, param)[0].shape == (1, 2, 2, 2)
    assert layers.max_pool_forward(x, param)[0].shape == (1, 2, 3, 3)


@each_course
@pytest.mark.parametrize("name", ["sgd", "sgd_momentum", "rmsprop", "adam"])
def test_rules_drop_what_the_course_does_not_read(course, name):
    rule = getattr(module(course, "optim"), name)
    w, dw = np.ones((2, 2)), np.full((2, 2), 0.5)
    clean, dirty = {"learning_rate": 0.1}, {"learning_rate": 0.1, "l2": 5.0, **JUNK}
    for _ in range(2):
        expected, returned = rule(w.copy(), dw, clean)
        got, kept = rule(w.copy(), dw, dirty)
        np.testing.assert_array_equal(got, expected)
        assert returned is clean
        assert kept is dirty
    junk = {**JUNK, "l2": 5.0}
    assert {key: value for key, value in dirty.items() if key in junk} == junk
    assert set(dirty) - set(junk) == set(clean) - set(junk)


@each_course
def test_the_solver_drops_settings_with_a_warning(course):
    Solver = module(course, "solver").Solver
    net = module(course, "fc_net").TwoLayerNet
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((20, 6)), rng.integers(0, 3, 20)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    losses = []
    for junk in ({}, {"lr_decay": 0.9, "lr": 3}):
        np.random.seed(0)
        model = net(6, 4, 3)
        options = {"num_epochs": 2, "batch_size": 5, "verbose": False, "update_rule": "adam"}
        config = {"learning_rate": 1e-2, **junk}
        if junk:
            with pytest.warns(UserWarning, match="lr_decay, lr in optim_config changes nothing"):
                solver = Solver(model, data, optim_config=config, **options)
        else:
            solver = Solver(model, data, optim_config=config, **options)
            assert solver.optim_config is config
        solver.train()
        losses.append(solver.loss_history)
        assert config == {"learning_rate": 1e-2, **junk}
    assert losses[0] == losses[1]


def test_a_students_rule_is_given_everything():
    Solver = module("cs231n-2020", "solver").Solver
    net = module("cs231n-2020", "fc_net").TwoLayerNet(6, 4, 3)
    X, y = np.ones((4, 6)), np.array([0, 1, 2, 0])

    def own(w, dw, config):
        return w - config["rate"] * dw, config

    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    config = {"rate": 0.1, "learning_rate": 1.0}
    Solver(net, data, update_rule=own, optim_config=config, batch_size=2, verbose=False).train()


@pytest.mark.parametrize("name", ["AntConvNet", "FunConvNet"])
def test_skynets_networks_drop_what_they_do_not_read(name):
    use("skynet")
    make = getattr(importlib.import_module("skynet.neural_network.classifiers.cnn"), name)
    conv = {"num_filters": 2, "filter_size": 3, "stride": 1}
    shapes = []
    for given in (conv, {**conv, "pool": False, "padding": 5}):
        model = make(input_dim=(3, 8, 8), conv_params=[given], hidden_dims=[4])
        shapes.append({key: w.shape for key, w in model.params.items()})
    assert shapes[0] == shapes[1]
    with pytest.raises(OptionError, match="must be a dictionary"):
        make(input_dim=(3, 8, 8), conv_params=[3])


def test_what_takes_no_dictionary_is_left_alone():
    assert lenient(layers.affine_forward) is layers.affine_forward
    assert lenient(layers.conv_forward) is lenient(layers.conv_forward)
    assert inspect.signature(lenient(layers.conv_forward)) == inspect.signature(layers.conv_forward)
    assert read_of(3, ("a",)) == 3
