"""Advice on arrays, labels, layers and update rules."""

from __future__ import annotations

import re

import numpy as np
import pytest
from advice.rows import follows, refused, said
from training.toys import Softmax, make_data, solver_of

import handgrad
from handgrad import engines, gradcheck, layers, nn, optim
from handgrad.training import Solver

X = np.random.default_rng(0).standard_normal((6, 3))
SCORES = np.random.default_rng(1).standard_normal((6, 3))
CLASSES = np.array([0, 1, 2, 0, 1, 2])


def train(y_train, y_val=None):
    model = handgrad.TwoLayerNet(input_dim=3, hidden_dim=4, num_classes=3, rng=0)
    data = {
        "X_train": X,
        "y_train": y_train,
        "X_val": X,
        "y_val": CLASSES if y_val is None else y_val,
    }
    Solver(model, data, num_epochs=1, batch_size=3, verbose=False).train()


@follows("convert it with {call_of('long()' if is_torch else 'astype(int)', name, given)}",
         "; convert it with {call_of('astype(int)', name, given)}")  # fmt: skip
@pytest.mark.parametrize(
    "y",
    [CLASSES.astype(float), CLASSES.astype(object), CLASSES == 1, CLASSES.astype(float).tolist()],
)
def whole_numbers_become_integers(y):
    for call in (train, lambda y: layers.softmax_loss(SCORES, y)):
        text = refused(lambda call=call: call(y))
        names = {"y": y, "y_train": y, "np": np}
        converted = eval(said(text, r"; convert it with (\S+)$"), names)
        assert converted.dtype == int
        assert np.array_equal(converted, np.asarray(y).astype(int))
        call(converted)


@follows(
    "; number the classes: classes = np.unique({train}), then {name} = np.searchsorted(classes, {name})"
)
@pytest.mark.parametrize("kind", [str, object])
def texts_are_numbered(kind):
    texts = np.array(["ant", "bee", "cow", "ant", "bee", "cow"], dtype=kind)
    names = {"np": np, "y_train": texts, "y_val": texts[::-1], "y": texts}
    for name, call in (
        ("y_train", lambda: train(names["y_train"], names["y_val"])),
        ("y_val", lambda: train(CLASSES, names["y_val"])),
        ("y", lambda: layers.softmax_loss(SCORES, names["y"])),
    ):
        text = refused(call)
        if name == "y_val":
            names["y_train"] = texts
        exec(said(text, r"(classes = .*), then"), names)
        exec(said(text, r"then (.*)$"), names)
        expected = CLASSES[::-1] if name == "y_val" else CLASSES
        assert np.array_equal(names[name], expected)
        if name == "y_train":
            names["y_val"] = expected
        call()
        names["y_val"] = texts[::-1]


@follows("; leave out the rows without a label, keep = np.isfinite({name}), and then {convert}")
def rows_without_a_label():
    y = np.array([0, 1, np.nan, 0, 1, 2])
    text = refused(lambda: layers.softmax_loss(SCORES, y))
    names = {"np": np, "y": y}
    exec(said(text, r"(keep = [^,]*\))"), names)
    names["y"] = y[names["keep"]]
    layers.softmax_loss(SCORES[names["keep"]], eval(said(text, r"convert it with (\S+)$"), names))


@follows("for a regression, give a network a loss of numbers")
def a_regression():
    y = X @ np.array([0.3, -0.2, 0.5])
    text = refused(lambda: train(y))
    assert "astype" not in text
    assert text.endswith(refused(lambda: layers.softmax_loss(SCORES, y)).partition("; ")[2])
    model = nn.Sequential([nn.Affine(1)], (3,), dtype=None, loss="mse", rng=0)
    before = model.loss(X, y)[0]
    configs = {name: {"learning_rate": 0.1} for name in model.params}
    for _ in range(200):
        _, grads = model.loss(X, y)
        for name, w in model.params.items():
            model.params[name], configs[name] = optim.sgd(w, grads[name], configs[name])
    assert model.loss(X, y)[0] < before / 100


@follows("convert it with {call_of('long()'")
def labels_of_torch():
    torch = pytest.importorskip("torch")
    y, scores = torch.tensor([0.0, 1, 2, 0, 1, 2]), torch.tensor(SCORES)
    text = refused(lambda: layers.softmax_loss(scores, y))
    layers.softmax_loss(scores, eval(said(text, r"convert it with (\S+)$")))
    for y in (CLASSES.astype(object), CLASSES.astype(float), CLASSES == 1):
        text = refused(lambda y=y: layers.softmax_loss(scores, y))
        layers.softmax_loss(scores, eval(said(text, r"convert it with (\S+)$"), {"y": y}))
    assert "np.unique(y)" in refused(lambda: layers.softmax_loss(scores, CLASSES.astype(str)))
    masked = np.ma.masked_array(CLASSES, CLASSES == 1)
    assert "y must have no mask" in refused(lambda: layers.softmax_loss(scores, masked))


@follows(
    "; flatten it with {call_of('reshape(-1)', name, given)}",
    "; it is one-hot: take the class numbers, {call_of('argmax(1)', name, given)}",
)
@pytest.mark.parametrize(
    "y",
    [
        CLASSES[:, None],
        CLASSES[None],
        CLASSES[:, None].tolist(),
        np.eye(3)[CLASSES],
        np.eye(3, dtype=int)[CLASSES],
        np.eye(3).tolist() * 2,
    ],
)
def labels_of_another_shape(y):
    pattern = r"(?:flatten it with|the class numbers,) (\S+)$"
    for call in (train, lambda y: layers.softmax_loss(SCORES, y)):
        made = eval(
            said(refused(lambda call=call: call(y)), pattern), {"y": y, "y_train": y, "np": np}
        )
        assert np.array_equal(made, CLASSES)
        call(made)
    assert "argmax" not in refused(lambda: train(SCORES))
    assert "reshape" not in refused(lambda: train(np.zeros((6, 2), int)))


@follows("leave out the rows with masked numbers, or put a number of your choice in their place")
def masked_numbers():
    x = np.ma.masked_array(X, X > 1)
    text = refused(lambda: layers.relu_forward(x))
    layers.relu_forward(eval(said(text, r"place, (\S+)$"), {"x": x, "number": 0.5}))
    layers.relu_forward(x[~x.mask.any(axis=1)].data)


@follows(
    "; convert it with {call}",
    "; convert it with {call_of('astype(np.complex128)', name, given)}",
    "; convert it with {floats}",
    "of Python objects; pass np.array({name}, float)",
)
@pytest.mark.parametrize("dtype", [bool, np.float16, object, np.complex64])
def arrays_of_another_dtype(dtype):
    x = np.array([[1, 0.5], [2, 3]]).astype(dtype)
    text = refused(lambda: layers.relu_forward(x))
    made = eval(said(text, r"(?:convert it with|; pass) (.+)$"), {"x": x, "np": np})
    assert np.array_equal(made, x)
    layers.relu_forward(made)
    for given in ([[True], [False]], np.array([[True], [False]])):
        for call in (layers.relu_forward, lambda x: solver_of(data={**make_data(columns=1), "X_val": x,
                                                                    "y_val": CLASSES[:2]})):  # fmt: skip
            text = refused(lambda call=call, given=given: call(given))
            call(eval(said(text, r"(?:with|pass) (.+)$"), {"x": given, "X_val": given, "np": np}))
    for none in (np.array([["a"]]), np.array([[None, "b"]]), np.array([["1"]])):
        text = refused(lambda none=none: layers.relu_forward(none))
        assert not re.search(r"astype|pass", text)


@follows(
    "; convert it with {name}.astype(np.float32)",
    "; if all imaginary parts are 0, take {name}.real",
)
@pytest.mark.parametrize("dtype", [int, bool, complex])
def weights_of_another_dtype(dtype):
    w, dw = np.array([1, 2]).astype(dtype), np.zeros(2)
    text = refused(lambda: optim.sgd(w, dw))
    made = eval(said(text, r"(?:convert it with|take) (\S+)$"), {"w": w, "np": np})
    assert np.array_equal(optim.sgd(made, dw)[0], w.real)


@follows("use 'vectorized'")
def arrays_that_an_engine_does_not_take():
    torch = pytest.importorskip("torch")
    for name in engines.available():
        if name == "vectorized":
            continue
        text = refused(lambda name=name: layers.relu_forward(torch.ones(2), engine=name))
        layers.relu_forward(torch.ones(2), engine=said(text, "; use '(.*)'"))


@follows(
    "dropout_param has both seed and rng; give one of them", "Dropout: give seed or rng, not both"
)
def one_source_of_randomness():
    both = {"seed": 1, "rng": np.random.default_rng(0)}
    refused(lambda: layers.dropout_forward(X, {"p": 0.5, "mode": "train", **both}))
    refused(lambda: nn.Dropout(0.5, **both))
    for key in both:
        layers.dropout_forward(X, {"p": 0.5, "mode": "train", key: both[key]})
        nn.Dropout(0.5, **{key: both[key]})


@follows(
    "look for a learning rate that is too high, or NaN in the data",
    "look for NaN in X and in the model's parameters",
)
def scores_that_are_not_finite():
    from handgrad.training.evaluate import evaluate

    bad = np.where(X[2, 1] == X, np.nan, X)
    model = handgrad.TwoLayerNet(input_dim=3, hidden_dim=4, num_classes=3, rng=0)
    assert "NaN in the data" in refused(lambda: layers.softmax_loss(bad, CLASSES))
    assert "NaN in X" in refused(lambda: evaluate(model, bad, CLASSES, ["a", "b", "c"]))
    fine = ~np.isnan(bad).any(axis=1)
    layers.softmax_loss(bad[fine], CLASSES[fine])
    evaluate(model, bad[fine], CLASSES[fine], ["a", "b", "c"])


@follows("has NaN or infinity; remove such rows")
def rows_that_are_not_finite():
    data = make_data()
    data["X_train"][7, 1] = np.nan
    row = int(said(refused(lambda: solver_of(data=data)), r"row (\d+) has"))
    for name in ("X_train", "y_train"):
        data[name] = np.delete(data[name], row, axis=0)
    solver_of(data=data).train()


@follows(
    "the batch itself is not finite: look at augment",
    "the learning rate is too high; try a tenth of it",
    "try a tenth of the learning rate, or smaller initial weights",
)
def steps_that_are_not_finite():
    assert "look at augment" in refused(solver_of(augment=lambda X, rng: X * np.nan).train)
    solver_of(augment=lambda X, rng: X * 1.01).train()
    large = solver_of(optim_config={"learning_rate": 1e200}, num_epochs=1)
    assert "try a tenth" in refused(large.train)
    rate = 1e200
    for _ in range(210):  # a tenth, and a tenth of that, as often as it takes
        try:
            solver_of(optim_config={"learning_rate": rate}, num_epochs=1).train()
        except handgrad.errors.NonFiniteError:
            rate /= 10
        else:
            break
    assert rate < 1e200
    text = refused(solver_of(update_rule="adam", model=huge_gradients()).train)
    assert "state of the update rule is not finite" in text
    solver_of(update_rule="adam").train()  # smaller weights


def huge_gradients():
    class Huge(Softmax):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            return (
                result if y is None else (result[0], {k: v * 1e200 for k, v in result[1].items()})
            )

    return Huge()


@follows("constant that does not depend on X; use larger batches")
def batches_of_one_row():
    model = handgrad.FullyConnectedNet([4], input_dim=6, num_classes=3, normalization="batchnorm")
    with pytest.warns(UserWarning, match="use larger batches"):
        solver_of(model=model, batch_size=1)
    solver_of(model=model, batch_size=2).train()


@follows("; did you mean {', '.join(near)}?")
@pytest.mark.parametrize("wrong", ["num_epoch", "numEpochs", "epochs"])
def arguments_of_the_solver(wrong):
    text = refused(lambda: solver_of(**{wrong: 3}))
    known = said(text, r"known are (.*?);").split(", ")
    meant = said(text, r'did you mean "(.*)"\?$')
    assert meant in known
    assert solver_of(**{meant: 3}).num_epochs == 3


@follows("epochs are done: train() has no step to do")
def more_epochs_than_asked_for():
    from handgrad.training import ResumeWarning

    solver = solver_of(num_epochs=3, callbacks=[])
    solver.place.position = 9  # as after three epochs, before the end of the call
    solver.num_epochs = 2
    with pytest.warns(ResumeWarning, match="3 of 2 epochs are done") as caught:
        solver.train()
    more = int(said(str(caught[0].message), r"the next call trains (\d+) epochs"))
    solver.train()
    assert len(solver.loss_history) == 3 * more
    solver.place.position, solver.num_epochs = (
        9,
        int(said(str(caught[0].message), r"above (\d+) first")) + 1,
    )
    solver.train()
    assert len(solver.loss_history) == 3 * more + 3


@follows("try a smaller learning rate, or other initial weights", "try a larger learning rate")
def layers_that_are_dead_or_still():
    from handgrad.training import HealthCheck, LayerStatistics

    def warned(rate, bias=0.0):
        data = make_data()
        model = handgrad.FullyConnectedNet(
            [8, 8], input_dim=6, num_classes=3, weight_scale="kaiming", rng=0
        )
        model.params["b1"] += bias
        solver = solver_of(
            model=model, data=data, optim_config={"learning_rate": rate}, rng=0,
            callbacks=[LayerStatistics(data["X_val"]), HealthCheck()], update_rule="adam",
        )  # fmt: skip
        solver.train()
        return " ".join(solver.warnings.values())

    assert "try a larger learning rate" in warned(1e-12)
    assert "does not move" not in warned(1e-2)
    assert "other initial weights" in warned(1e-2, bias=-100.0)
    assert "try a smaller learning rate" in warned(100.0)
    assert "dead ReLUs" not in warned(1e-2)


@follows("look for {cause}")
def an_initial_loss_that_is_far():
    from handgrad.training import HealthCheck

    def warned(scale):
        model = handgrad.TwoLayerNet(
            input_dim=6, hidden_dim=8, num_classes=3, weight_scale=scale, rng=0
        )
        solver = solver_of(model=model, num_epochs=1, callbacks=[HealthCheck()], rng=0)
        solver.train()
        return " ".join(solver.warnings.values())

    assert "weights that start too large (weight_scale)" in warned(10.0)
    assert warned(0.01) == ""


@follows("x.copy(), which f must then read", "pass x.copy(), which f must then read",
         "; pass x.filled(number), with a ", "is lost beside x", "take the real part, as in")  # fmt: skip
def points_of_numerical_gradients():
    def gradient(x, f=np.sum):
        return gradcheck.eval_numerical_gradient(f, x, verbose=False)

    for x in (
        np.broadcast_to(1.0, 3),
        np.lib.stride_tricks.as_strided(np.ones(1), (3,), (0,)),
        np.ma.masked_equal(np.ones(3), 2),
        np.full(3, 1000, np.float32),
    ):
        text = refused(lambda x=x: gradient(x))
        better = eval(said(text, r"pass (x\.\w+\([^)]*\))"), {"np": np, "x": x, "number": 0})
        np.testing.assert_allclose(gradient(better), 1, rtol=1e-6)
    assert "or a larger h" in text
    text = refused(lambda: gradient(better, lambda x: x.sum() * (2 + 1j)))
    real = eval(said(text, r"as in (.*)$"), {"f": lambda x: x.sum() * (2 + 1j)})
    np.testing.assert_allclose(gradient(better, real), 2, rtol=1e-6)


@follows("for a regression, give a network a loss of numbers")
def whole_numbers_that_are_no_classes():
    """Ages, prices or 1 and -1: as integers they would be refused the next moment, or be wrong."""
    for y in (np.array([0.0, 310, 72, 5, 1, 40]), -CLASSES / 1, np.array([1.0, 2, 3, 4, 5, 6])):
        for call in (train, lambda y: layers.softmax_loss(SCORES, y)):
            text = refused(lambda call=call, y=y: call(y))
            assert "astype" not in text
            assert "for a regression" in text
    one = nn.Sequential([nn.Affine(1)], (3,), loss=lambda s, y: (0.0, s))
    data = {"X_train": X, "X_val": X, "y_train": CLASSES / 1, "y_val": CLASSES / 1}
    assert "astype" not in refused(lambda: Solver(one, data))
    y_train = CLASSES + 1.0  # as of files that count from 1
    text = refused(lambda: train(y_train))
    names = {"np": np, "y_train": y_train}
    exec(said(text, r"classes: (classes = [^,]*), then "), names)
    exec(said(text, r", then ([^;]*);"), names)
    train(names["y_train"])


@follows("np.where(np.real(x) < 0, -x, x) for np.abs(x), or use eval_numerical_gradient_array")
def absolute_values_of_complex_numbers():
    x = np.array([-2.0, 0.5, 3.0])
    text = refused(lambda: gradcheck.complex_step_jacobians(lambda x: np.abs(x) ** 3, [x]))
    names = {"np": np}
    written = said(text, r"Write (np\.where\(.+\)) for np\.abs")
    (jacobian,) = gradcheck.complex_step_jacobians(
        lambda x: eval(written, names, {"x": x}) ** 3, [x]
    )
    assert np.allclose(np.diag(jacobian), 3 * x * np.abs(x), rtol=1e-12)
    measured = getattr(gradcheck, said(text, r"or use (\w+)$"))(
        lambda x: np.abs(x) ** 3, x, np.ones(3)
    )
    assert np.allclose(measured, np.diag(jacobian), rtol=1e-6)
