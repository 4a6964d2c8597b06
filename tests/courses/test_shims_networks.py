"""The courses' networks, Solvers and files: live parameters, options by generation, pickles."""

import copy
import importlib
import io
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from courses.cells import MODULES

from handgrad.courses import PROFILES, stop_using, use
from handgrad.courses.shims import networks
from handgrad.errors import DataError, OptionError
from handgrad.gradcheck import eval_numerical_gradient, rel_error

COURSES = list(PROFILES)


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    state = np.random.get_state()
    np.random.seed(0)
    yield
    np.random.set_state(state)
    stop_using()


def take(course, module, name, **options):
    """Use the course, and return one of its names; `module` is a key of the table of modules."""
    use(course, **options)
    return getattr(importlib.import_module(MODULES[PROFILES[course].course][module]), name)


def toy(N=60, D=8, C=3):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((N, D)), rng.integers(0, C, N)
    return {"X_train": X, "y_train": y, "X_val": X[:20], "y_val": y[:20], "X_test": X, "y_test": y}


def net(course, **options):
    np.random.seed(0)
    make = take(course, "fc_net", "FullyConnectedNet")
    return make([6], input_dim=8, num_classes=3, dtype=np.float64, **options)


def check_gradients(model, X, y):
    """Compare all gradients with central differences, away from the kinks at biases of zero."""
    for name in model.params:
        if name.startswith("b"):
            model.params[name] += 0.1 * np.random.randn(*model.params[name].shape)
    _, grads = model.loss(X, y)
    assert grads.keys() == model.params.keys()
    for name, gradient in grads.items():
        numerical = eval_numerical_gradient(
            lambda _: model.loss(X, y)[0], model.params[name], verbose=False, h=1e-6
        )
        # a bias before batch normalisation has no gradient at all
        np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-8, err_msg=name)
    assert any(gradient.any() for gradient in grads.values())


# live parameters


@pytest.mark.parametrize("course", COURSES)
def test_params_are_live(course):
    data = toy()
    X, y = data["X_val"], data["y_val"]
    model = net(course)
    before = model.loss(X, y)[0]
    for change in (0.5, -0.5):
        model.params["W1"][0, 0] += change
        assert (model.loss(X, y)[0] == pytest.approx(before, rel=1e-14)) == (change < 0)
    model.params["b2"] = np.arange(3.0)
    assert model.loss(X, y)[0] != before
    model.params = {name: np.zeros_like(w) for name, w in model.params.items()}
    assert model.loss(X, y)[0] == pytest.approx(np.log(3))
    model.reg = 2.0
    model.params["W1"] += 1
    assert model.loss(X, y)[0] == pytest.approx(np.log(3) + 48)


def test_gradients_perturb_in_place():
    check = take("cs231n-2020", "gradient_check", "eval_numerical_gradient_array")
    x, seen = np.ones(3), []
    check(lambda ignored: seen.append(x.copy()) or x**2, x, np.ones(3))
    assert len({row.tobytes() for row in seen}) == 6
    np.testing.assert_array_equal(x, 1)


# the options of a generation


@pytest.mark.parametrize("course", COURSES)
def test_attributes(course):
    profile = PROFILES[course]
    keyword, off = profile.dropout_option
    model = net(course, **{keyword: 0.25, "seed": 3})
    assert model.use_dropout
    assert model.dropout_param == {"mode": "train", "p": 0.25, "seed": 3}
    assert model.bn_params == []
    assert (model.reg, model.num_layers, model.dtype) == (0.0, 2, np.float64)
    has_bool = profile.normalization_option == "use_batchnorm"
    normalized = net(course, **{profile.normalization_option: True if has_bool else "batchnorm"})
    assert normalized.bn_params == [{"mode": "train"}]
    assert list(normalized.params) == ["W1", "b1", "gamma1", "beta1", "W2", "b2"]
    if has_bool:
        assert normalized.use_batchnorm is True
        assert model.use_batchnorm is False
    else:
        assert normalized.normalization == "batchnorm"
        assert net(course, normalization="layernorm").bn_params == [{}]
    for number in (0, 1) if keyword == "dropout" else (1,):
        assert not net(course, **{keyword: number}).use_dropout
    assert off in (0, 1)


@pytest.mark.parametrize(
    ("course", "zeros"),
    [("cs231n-2017", 0.25), ("skynet", 0.25), ("nndl-drop", 0.25), ("cs231n-2020", 0.75),
     ("nndl-keep", 0.75), ("nndl-2024-mix", 0.75), ("cs231n-2026", 0.75)],
)  # fmt: skip
def test_the_networks_own_dropout_has_the_meaning_of_the_layer(course, zeros):
    """Seen in the gradient of the output layer's weights: a dropped unit has none."""
    keyword, _ = PROFILES[course].dropout_option
    make = take(course, "fc_net", "FullyConnectedNet")
    model = make([2000], input_dim=4, num_classes=3, dtype=np.float64, **{keyword: 0.25})
    model.params["b1"][:] = 100  # all units are on
    _, grads = model.loss(np.ones((1, 4)), np.array([1]))
    assert (grads["W2"][:, 0] == 0).mean() == pytest.approx(zeros, abs=0.04)
    forward = take(course, "layers", "dropout_forward")
    out, _ = forward(np.ones((1, 20000)), {"mode": "train", "p": 0.25})
    assert (out == 0).mean() == pytest.approx(zeros, abs=0.02)
    assert out.mean() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("course", ["cs231n-2016", "nndl-drop", "nndl-keep", "skynet"])
def test_batchnorm_leaves_train_mode_for_scores(course):
    """The staff's bug, ``bn_param[mode] = mode``, is not repeated."""
    data = toy()
    model = net(course, use_batchnorm=True)
    model.loss(data["X_train"], data["y_train"])
    scores = model.loss(data["X_val"])
    np.testing.assert_allclose(model.loss(data["X_val"][:1]), scores[:1], rtol=1e-12)
    assert model.bn_params[0]["mode"] == "test"


def test_float_sizes():
    """skynet's notebook gives input_dim as 3072.0."""
    model = take("skynet", "fc_net", "TwoLayerNet")(input_dim=8.0, hidden_dim=5, num_classes=3)
    assert model.params["W1"].shape == (8, 5)


# nndl


def test_three_layer_conv_net_of_nndl():
    make = take("nndl-keep", "cnn", "ThreeLayerConvNet")
    args = ((2, 6, 6), 2, 3, 4, 3, 1e-1, 0.1, np.float64)
    model = make(*args, True)  # use_batchnorm by position
    assert model.use_batchnorm is True
    assert {"gamma1", "beta1", "gamma2", "beta2"} <= model.params.keys()
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5, 2, 6, 6)), rng.integers(0, 3, 5)
    check_gradients(model, X, y)
    plain = make(*args)
    assert not plain.use_batchnorm
    assert list(plain.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert make((2, 6, 6), 2, 3, 4).params["W1"].dtype == np.float32
    check_gradients(plain, X, y)


def test_float_pad_and_more_keys():
    forward = take("nndl-keep", "layers", "conv_forward_naive")
    fast = importlib.import_module("cs231n.fast_layers").conv_forward_fast
    x, w, b = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), np.array([128])
    param = {"stride": 1.0, "pad": 1.0, "mode": "train", "other": None}
    for f in (forward, fast):
        assert f(x, w, b, param)[0].shape == (1, 1, 4, 4)


def toy_model():
    np.random.seed(0)
    model = take("nndl-keep", "fc_net", "TwoLayerNet")  # another class of the same name
    assert model is networks.TwoLayerNetNndl
    from nndl.neural_net import TwoLayerNet

    model = TwoLayerNet(4, 10, 3, std=1e-1)
    np.random.seed(1)
    return model, 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])


def test_the_two_layer_net_that_trains_itself():
    model, X, y = toy_model()
    assert model.params["W1"].shape == (10, 4)
    expected = [
        [-1.07260209, 0.05083871, -0.87253915],
        [-2.02778743, -0.10832494, -1.52641362],
        [-0.74225908, 0.15259725, -0.39578548],
        [-0.38172726, 0.10835902, -0.17328274],
        [-0.64417314, -0.18886813, -0.41106892],
    ]
    assert np.abs(model.loss(X) - expected).sum() < 1e-7
    loss, grads = model.loss(X, y, reg=0.05)
    assert abs(loss - 1.071696123862817) < 1e-12
    for name, gradient in grads.items():
        numerical = eval_numerical_gradient(
            lambda _: model.loss(X, y, reg=0.05)[0], model.params[name], verbose=False
        )
        assert rel_error(numerical, gradient) < 1e-8
    np.testing.assert_array_equal(model.predict(X), np.argmax(expected, axis=1))


def test_its_training(capsys):
    model, X, y = toy_model()
    np.random.seed(0)
    model.params["b2"] += 0.0
    stats = model.train(
        X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=101, batch_size=2, verbose=True
    )
    out = capsys.readouterr().out.splitlines()
    assert out == [f"iteration {i} / 101: loss {stats['loss_history'][i]}" for i in (0, 100)]
    assert len(stats["loss_history"]) == 101
    assert stats["loss_history"][-1] < 0.05 < stats["loss_history"][0]
    # 5 / 2 rows: an epoch begins at steps 0, 5, 10, ...
    assert len(stats["val_acc_history"]) == len(stats["train_acc_history"]) == 21
    assert stats["val_acc_history"][-1] == 1.0


def test_its_published_training():
    """The toy cell of two_layer_nn: the network is drawn anew, and training goes on in its stream."""
    _, X, y = toy_model()
    from nndl.neural_net import TwoLayerNet

    np.random.seed(0)
    model = TwoLayerNet(4, 10, 3, std=1e-1)
    stats = model.train(X, y, X, y, learning_rate=1e-1, reg=5e-6, num_iters=100)
    assert stats["loss_history"][-1] == pytest.approx(0.014497864587765906, rel=1e-12)


def test_its_learning_rate_decays_at_the_start_of_an_epoch():
    model, X, y = toy_model()
    history = model.train(X, y, X, y, 1e-1, 0.0, 0.0, num_iters=5, batch_size=5)
    assert len(history["train_acc_history"]) == 5
    weights = {name: w.copy() for name, w in model.params.items()}
    again, _, _ = toy_model()
    np.random.seed(1), np.random.randn(5, 4)
    again.train(X, y, X, y, 1e-1, 0.0, 0.0, num_iters=1, batch_size=5)
    for name, w in again.params.items():  # the first step alone moved them
        np.testing.assert_array_equal(weights[name], w)
    assert weights["b2"].any()


def test_layer_tests_print_what_they_printed(capsys):
    use("nndl-drop")
    tests = importlib.import_module("nndl.layer_tests")
    np.random.seed(0)
    for name in ("affine_forward", "affine_backward", "relu_forward", "relu_backward"):
        getattr(tests, name + "_test")()
    tests.affine_relu_test()
    tests.fc_net_test()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "difference: 9.769849468192957e-10" or lines[1][:18] == "difference: 9.7698"
    errors = [line for line in lines if " error: " in line and "relative" not in line]
    assert [line.split()[0] for line in errors] == [*("dx", "dw", "db"), "dx", *("dx", "dw", "db")]
    assert all(float(line.split(": ")[1]) < 1e-8 for line in errors)
    assert "difference: 4.999999798022158e-08" in lines
    assert lines.count("Running check with reg = 0") == 1
    relative = [line for line in lines if "relative error" in line]
    assert [line.split()[0] for line in relative] == ["W1", "W2", "W3", "b1", "b2", "b3"] * 2
    assert all(float(line.split(": ")[1]) < 1e-3 for line in relative)


def test_layer_tests_test_what_nndl_holds(capsys):
    """A student's function put into the module is the one that is tested."""
    use("nndl-drop")
    tests = importlib.import_module("nndl.layer_tests")
    right = importlib.import_module("nndl.layers").affine_forward
    sys_layers = importlib.import_module("nndl.layers")
    sys_layers.affine_forward = lambda x, w, b: (right(x, w, b)[0] + 1, None)
    tests.affine_forward_test()
    assert float(capsys.readouterr().out.split()[-1]) > 0.1


# skynet


@pytest.mark.parametrize("use_batchnorm", [True, False])
def test_ant_conv_net(use_batchnorm):
    make = take("skynet", "cnn", "AntConvNet")
    conv_params = [{"num_filters": 2, "filter_size": 3}, {"num_filters": 3, "filter_size": 3}]
    before = copy.deepcopy(conv_params)
    model = make(
        input_dim=(2, 8, 8),
        conv_params=conv_params,
        hidden_dims=[5, 4],
        num_classes=3,
        dropout=0.4,
        use_batchnorm=use_batchnorm,
        weight_scale=0.3,
        reg=0.1,
        seed=7,
    )
    assert conv_params == before
    assert model.params["W3"].shape == (12, 5)
    assert model.dtype is np.float64
    assert ("gamma4" in model.params) == use_batchnorm
    assert "gamma5" not in model.params
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 2, 8, 8)), rng.integers(0, 3, 6)
    check_gradients(model, X, y)
    np.testing.assert_array_equal(model.predict(X), np.argmax(model.loss(X), axis=1))
    assert model.dropout_param["p"] == 0.4


def test_fun_conv_net():
    make = take("skynet", "cnn", "FunConvNet")
    model = make(
        input_dim=(2, 4, 4),
        conv_params=[{"num_filters": 3, "filter_size": 3}],
        hidden_dims=[5, 4],
        num_classes=3,
        dropout=0.25,
        use_batchnorm=True,
        weight_scale=0.3,
        reg=0.1,
        dtype=np.float64,
        seed=7,
    )
    steps = model._recorded([(6, 2, 4, 4)], "train").steps
    assert [step.chain or step.layers[0].kind for step in steps] == [
        "conv_bn_relu_pool", "dropout", "affine", "dropout", "affine", "affine",
    ]  # fmt: skip
    assert list(model.params) == [
        "W1", "b1", "gamma1", "beta1", "W2", "b2", "W3", "b3", "W4", "b4",
    ]  # fmt: skip
    assert model.params["W2"].shape == (12, 5)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 2, 4, 4)), rng.integers(0, 3, 6)
    check_gradients(model, X, y)
    assert model.predict(X).shape == (6,)
    # no ReLU between the affine layers: scores are affine in the output of the last convolution
    names = list(model.activations(X))
    assert names[-3:] == ["affine2", "affine3", "affine4"]
    hidden = model.activations(X)["affine2"]
    assert (hidden < 0).any()


def test_skynet_networks_share_nothing():
    make = take("skynet", "cnn", "AntConvNet")
    first, second = make(input_dim=(3, 8, 8)), make(input_dim=(3, 8, 8))
    assert first.params["W1"].shape == (32, 3, 7, 7)
    first.params["W1"][:] = 0
    assert second.params["W1"].any()


def test_draws_of_the_skynet_networks():
    for name in ("AntConvNet", "FunConvNet"):
        make = take("skynet", "cnn", name)
        np.random.seed(3)
        model = make((2, 4, 4), [{"num_filters": 3, "filter_size": 3}], [5], 3, weight_scale=0.5)
        np.random.seed(3)
        for W in ("W1", "W2", "W3"):
            drawn = 0.5 * np.random.randn(*model.params[W].shape)
            np.testing.assert_array_equal(model.params[W], drawn.astype(model.dtype))


# the Solver


def solver(course, **options):
    make = take(course, "solver", "Solver")
    return make(net(course), toy(), **{"batch_size": 20, "num_epochs": 2, **options})


@pytest.mark.parametrize("course", COURSES)
def test_solver_prints_and_keeps(course, capsys):
    trained = solver(course, update_rule="adam", optim_config={"learning_rate": 1e-2})
    np.random.seed(1)
    trained.train()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("(Iteration 1 / 6) loss: 1.09")
    epochs = [line for line in lines if line.startswith("(Epoch")]
    assert [line[:13] for line in epochs] == [f"(Epoch {e} / 2)"[:13] for e in (0, 1, 2)]
    assert all("train acc: 0." in line and "; val_acc: 0." in line for line in epochs)
    last = f"finished optimization. best validation accuracy: {trained.best_val_acc:f}"
    assert (lines[-1] == last) == (course == "skynet")
    assert len(trained.val_acc_history) == 3
    for name, w in trained.best_params.items():
        np.testing.assert_array_equal(trained.model.params[name], w)
    assert callable(trained.update_rule)
    assert trained.optim_configs.keys() == trained.model.params.keys()
    keys = {"v", "a"} if course.startswith("nndl") else {"m", "v"}
    assert keys <= trained.optim_configs["W1"].keys()
    assert ("m" in trained.optim_configs["W1"]) == (not course.startswith("nndl"))


def test_solvers_draws_are_the_courses():
    """One choice a step, and no more where there are fewer rows than would be drawn."""
    trained = solver("cs231n-2020", verbose=False)
    np.random.seed(5)
    trained.train()
    following = np.random.rand()
    np.random.seed(5)
    for _ in range(6):
        np.random.choice(60, 20)
    assert np.random.rand() == following


@pytest.mark.parametrize("course", COURSES)
def test_unknown_arguments(course):
    with pytest.raises(ValueError, match=r'^Unrecognized arguments "stride", "callbacks"$'):
        solver(course, stride=1, callbacks=[])
    with pytest.raises(ValueError, match=r'^Invalid update_rule "newton"$'):
        solver(course, update_rule="newton")
    old = course in ("cs231n-2016", "skynet")
    for option in ("num_train_samples", "num_val_samples", "checkpoint_name"):
        if old:
            with pytest.raises(OptionError, match=option):
                solver(course, **{option: None})
        else:
            solver(course, **{option: None})


def test_nesterov_is_a_rule_of_nndls_solver():
    trained = solver("nndl-keep", update_rule="sgd_nesterov_momentum", verbose=False)
    trained.train()
    assert "velocity" in trained.optim_configs["W1"]


def test_adam_of_2017_counts_from_one():
    steps = {}
    for course in ("cs231n-2016", "cs231n-2017", "cs231n-2018"):
        trained = solver(course, update_rule="adam", num_epochs=1, batch_size=60, verbose=False)
        trained.train()
        steps[course] = trained.optim_configs["W1"]["t"]
    assert steps == {"cs231n-2016": 1, "cs231n-2017": 2, "cs231n-2018": 1}


def test_solver_goes_on_with_nan(capsys):
    trained = solver("cs231n-2020", optim_config={"learning_rate": 1e200})
    trained.model.params["W1"] += 1
    with pytest.warns(RuntimeWarning, match="learning rate is too high.*goes on with NaN") as seen:
        trained.train()
    assert len(seen) == 1
    assert len(trained.loss_history) == 6
    assert np.isnan(trained.loss_history[-1])
    assert len(trained.val_acc_history) == 3
    share_of_class_0 = (toy()["y_val"] == 0).mean()
    assert trained.val_acc_history[-1] == share_of_class_0
    assert "(Epoch 2 / 2)" in capsys.readouterr().out


# pickles


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "rmsprop", "adam"])
def test_solver_can_be_copied_and_pickled(course, rule):
    trained = solver(course, update_rule=rule, verbose=False)
    trained.train()
    light = copy.copy(trained)
    light.X_train = light.y_train = light.X_val = light.y_val = None
    assert trained.X_train is not None
    loaded = pickle.loads(pickle.dumps(light))
    X = toy()["X_test"]
    np.testing.assert_array_equal(loaded.model.loss(X), trained.model.loss(X))
    assert loaded.update_rule is trained.update_rule
    assert loaded.val_acc_history == trained.val_acc_history


@pytest.mark.parametrize(
    ("course", "module", "name", "options"),
    [
        ("skynet", "cnn", "AntConvNet", {"dropout": 0.3, "use_batchnorm": True}),
        ("skynet", "cnn", "FunConvNet", {"input_dim": (3, 8, 8)}),
        ("nndl-keep", "cnn", "ThreeLayerConvNet", {"use_batchnorm": True}),
        ("cs231n-2020", "cnn", "ThreeLayerConvNet", {}),
        ("cs231n-2026", "fc_net", "TwoLayerNet", {}),
    ],
)
def test_networks_can_be_pickled(course, module, name, options):
    model = take(course, module, name)(**options)
    data = pickle.dumps(model)
    stop_using()  # a file is read where no course is in use
    loaded = pickle.loads(data)
    assert type(loaded) is type(model)
    for key, w in model.params.items():
        np.testing.assert_array_equal(loaded.params[key], w)


CHECKPOINT = {
    "model",
    "update_rule",
    "lr_decay",
    "optim_config",
    "batch_size",
    "num_train_samples",
    "num_val_samples",
    "epoch",
    "loss_history",
    "train_acc_history",
    "val_acc_history",
}


def test_checkpoints(tmp_path, capsys):
    trained = solver("cs231n-2018", checkpoint_name="runs/best")
    (tmp_path / "runs").mkdir()
    trained.train()
    files = ["best_epoch_0.pkl", "best_epoch_1.pkl", "best_epoch_2.pkl"]
    assert sorted(file.name for file in Path("runs").iterdir()) == files
    lines = capsys.readouterr().out.splitlines()
    at = lines.index('Saving checkpoint to "runs/best_epoch_1.pkl"')
    assert lines[at + 1].startswith("(Epoch 1 / 2)")
    with Path("runs/best_epoch_2.pkl").open("rb") as file:
        found = pickle.load(file)
    assert found.keys() == CHECKPOINT
    assert found["epoch"] == 2
    assert found["loss_history"] == trained.loss_history
    assert found["model"].loss(toy()["X_val"]).shape == (20, 3)

    load_models = take("cs231n-2018", "data_utils", "load_models")
    load_pickle = take("cs231n-2018", "data_utils", "load_pickle")
    with pytest.raises(DataError, match=r"runs: a pickle.*trust_pickles=True"):
        load_models("runs")
    with (
        Path("runs/best_epoch_2.pkl").open("rb") as file,
        pytest.raises(DataError, match="a pickle"),
    ):
        load_pickle(file)
    use("cs231n-2018", trust_pickles=True)
    (tmp_path / "runs" / "README.txt").write_text("not a pickle")
    models = load_models("runs")
    assert sorted(models) == files
    assert models[files[0]].params.keys() == trained.model.params.keys()
    with Path("runs/best_epoch_2.pkl").open("rb") as file:
        assert load_pickle(file)["epoch"] == 2
    stop_using()
    with pytest.raises(DataError):
        load_models("runs")


def test_models_are_not_unpickled_unasked():
    """Not even the first opcode: the file would leave a trace."""

    class Trace:
        def __reduce__(self):
            return os.mkdir, ("trace",)

    load_pickle = take("cs231n-2020", "data_utils", "load_pickle")
    data = pickle.dumps(Trace())
    with pytest.raises(DataError):
        load_pickle(io.BytesIO(data))
    assert not Path("trace").exists()
    use("cs231n-2020", trust_pickles=True)
    load_pickle(io.BytesIO(data))
    assert Path("trace").exists()


@pytest.mark.parametrize("name", ["TwoLayerNet", "FullyConnectedNet"])
def test_save_and_load_since_2025(name, capsys):
    make = take("cs231n-2025", "fc_net", name)
    options = {"hidden_dims": [4]} if name == "FullyConnectedNet" else {"hidden_dim": 4}
    model, other = (make(input_dim=3, num_classes=2, **options) for _ in range(2))
    assert not other.load("best.npy")
    model.save("best.npy")
    saved = np.load("cs231n/saved/best.npy", allow_pickle=True).item()
    assert saved.keys() == model.params.keys()
    with pytest.raises(DataError, match=r"best\.npy: a pickle"):
        other.load("best.npy")
    use("cs231n-2025", trust_pickles=True)
    assert other.load("best.npy") is True
    for key, w in model.params.items():
        np.testing.assert_array_equal(other.params[key], w)
    assert capsys.readouterr().out.splitlines() == [
        "best.npy not available.",
        "best.npy saved.",
        "best.npy loaded.",
    ]
    # the folder is no package
    assert use("cs231n-2025").name == "cs231n-2025"
    assert not hasattr(take("cs231n-2024", "fc_net", name), "save")


# the update rules


@pytest.mark.parametrize("rule", ["rmsprop", "adam"])
def test_states_of_nndl_are_read_and_written_in_place(rule):
    theirs = take("nndl-keep", "optim", rule)
    ours = take("cs231n-2020", "optim", rule)
    names = {"cache": "a"} if rule == "rmsprop" else {"m": "v", "v": "a"}
    rng = np.random.default_rng(0)
    w = rng.standard_normal(5)
    mine, config = {}, {"learning_rate": 1e-2, "note": 3}
    for _ in range(3):
        dw = rng.standard_normal(5)
        next_w, returned = theirs(w, dw, config)
        assert returned is config
        expected, mine = ours(w, dw, {"learning_rate": 1e-2, **mine})
        np.testing.assert_array_equal(next_w, expected)
        w = next_w
        for our, their in names.items():
            np.testing.assert_array_equal(config[their], mine[our])
    assert "m" not in config
    assert "cache" not in config
    assert config["note"] == 3
    assert theirs(w, dw)[1].keys() >= set(names.values())


def test_arguments_by_name():
    adam = take("skynet", "optim", "adam")
    w, config = adam(x=np.ones(2), dx=np.ones(2), config=None)
    assert config["t"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adam(w, np.ones(2), config)
    assert config["t"] == 2
