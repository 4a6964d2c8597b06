"""Advice on what comes from elsewhere: other libraries' arrays, pixels, weights, losses, threads."""

from __future__ import annotations

import copy
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from advice.rows import follows, refused, said
from training.toys import make_data, solver_of
from wrong_calls.stranger_calls import Frame

import handgrad
from handgrad import gradcheck, layers, nn
from handgrad.data import Preprocessing

X = np.random.default_rng(0).standard_normal((4, 6))
Y = np.array([0, 1, 2, 0])
PIXELS = np.arange(48).reshape(3, 1, 4, 4) % 17


def net(**options):
    return nn.Sequential([nn.Affine(3)], (6,), dtype=np.float64, rng=0, **options)


class Table(Frame):
    """A data frame with the two methods of pandas' that are advised."""

    def drop(self, columns):
        return Table(**{name: self[name] for name in self.columns if name not in columns})

    def astype(self, dtype):
        return Table(**{name: np.asarray(self[name]).astype(dtype) for name in self.columns})

    def __array__(self, dtype=None, copy=None):
        kind = object if len({np.asarray(self[name]).dtype for name in self.columns}) > 1 else None
        return np.stack([np.asarray(self[name], kind) for name in self.columns], axis=1)


@follows(
    "with no plain numbers in the {which}", "; convert or drop such, as in ",
    "whose columns are of several kinds; pass {name}.astype(float)",
)  # fmt: skip
def data_frames():
    numbers = {f"x{i}": X[:, i] for i in range(5)}
    names = {"X": Table(**numbers, is_new=Y > 0, town=np.array(["a", "b", "c", "d"]))}
    model = nn.Sequential([nn.Affine(3)], (6,), rng=0)
    for pattern in (r"as in (X\.drop\(.*\))$", r"pass (X\.astype\(.*\))$"):
        names["X"] = eval(said(refused(lambda: model.loss(names["X"])), pattern), names)
    expected = np.column_stack([X[:, :5], Y > 0])
    assert np.array_equal(model.loss(names["X"]), model.loss(expected))


@follows("which is sparse; pass {name}.toarray()", "collect its items with np.stack(list({name}))")
def arrays_that_are_none_yet():
    class Sparse:
        def toarray(self):
            return X

    model = net()
    for given in (Sparse(), iter(X)):
        text = refused(lambda given=given: model.loss(given))
        made = eval(said(text, r"(?:pass|with) (\S+)$"), {"X": given, "np": np})
        assert np.array_equal(model.loss(made), model.loss(X))


@follows(
    "{name} must be an array that NumPy can read, got {kind} that {what}", "; pass {given}.{hint}"
)
def tensors_that_numpy_cannot_read():
    torch = pytest.importorskip("torch")

    class OnGpu:
        device = SimpleNamespace(type="cuda")

        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

        def cpu(self):
            return torch.tensor(X)

    grown = torch.tensor(X, requires_grad=True)
    for given in (
        grown, grown.bfloat16(), torch.tensor(X).bfloat16(), torch.tensor(X).to_sparse(),
        list(grown), tuple(grown.bfloat16()), OnGpu(),
    ):  # fmt: skip
        data = {**make_data(), "X_val": given, "y_val": Y}
        for _ in range(3):
            text = refused(lambda data=data: solver_of(data=data))
            made = said(text, r"; pass (\S+)$")
            data["X_val"] = eval(made, {"X_val": data["X_val"], "torch": torch})
            try:
                solver_of(data=data)
                break
            except handgrad.errors.DtypeError:
                continue
        assert np.allclose(data["X_val"], X, atol=0.02)


@follows("{name} must be dense, got a sparse tensor; pass {name}.to_dense()")
def sparse_tensors():
    torch = pytest.importorskip("torch")
    x = torch.tensor(X).to_sparse()
    text = refused(lambda: layers.relu_forward(x))
    out, _ = layers.relu_forward(eval(said(text, r"pass (\S+)$"), {"x": x}))
    assert np.array_equal(out, np.maximum(X, 0))


@follows("; take its first, ", "as in lambda x: f(x)[0]")
def functions_that_return_a_tuple():
    def f(x):
        return np.sum(x**2), 2 * x

    for check, expected in (
        (lambda f: gradcheck.eval_numerical_gradient(f, X.copy()), 2 * X),
        (lambda f: gradcheck.eval_numerical_gradient_array(f, X.copy(), 1.0), 2 * X),
    ):
        text = refused(lambda check=check: check(f))
        found = check(eval(said(text, r"as in (lambda .*)$"), {"f": f}))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@follows("; take its mean (and divide dscores by N)")
def a_loss_a_row():
    def per_row(scores, y):
        error = scores - np.eye(3)[y]
        return 0.5 * np.sum(error**2, axis=1), error

    def mean(scores, y):
        loss, dscores = per_row(scores, y)
        return loss.mean(), dscores / len(scores)

    assert "take its mean" in refused(lambda: net(loss=per_row).loss(X, Y))
    assert handgrad.check(net(loss=mean), inputs=(X, Y))


@follows("pass {name}.detach().cpu().numpy()", "pass np.asarray({name})", "{name}.filled(number)")
def params_of_other_kinds():
    torch = pytest.importorskip("torch")
    model = net()
    expected, w = model.loss(X), model.params["affine1.W"].copy()
    for given in (
        torch.tensor(w, requires_grad=True), torch.tensor(w), w.tolist(), np.ma.masked_array(w, w == 9),
    ):  # fmt: skip
        model.params["affine1.W"] = given
        text = refused(lambda: model.loss(X))
        names = {"np": np, "params": model.params, "number": 0.0}
        model.params["affine1.W"] = eval(said(text, r"(?:pass|ones,) (.*)$"), names)
        assert np.array_equal(model.loss(X), expected)


@follows("; convert it with {call}")
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, bool, np.complex64, object])
def params_of_another_dtype(dtype):
    model = net()
    w = np.round(model.params["affine1.W"] * 8).astype(dtype)
    model.params["affine1.W"] = w
    if w.dtype == np.float64:
        pytest.skip("a longdouble is a float64 here")
    text = refused(lambda: model.loss(X))
    made = said(text, r"(?:convert it with|; pass) (.*)$")
    model.params["affine1.W"] = eval(made, {"np": np, "params": model.params})
    np.testing.assert_allclose(model.loss(X), X @ w.astype(complex), rtol=1e-6)


@follows(
    "; did you mean its transpose?", "; its transpose would fit: pass a dictionary with {name}.T"
)
def weights_that_are_transposed():
    model, w = net(), np.arange(18.0).reshape(3, 6)
    model.params["affine1.W"] = w
    assert "transpose?" in refused(lambda: model.loss(X))
    model.params["affine1.W"] = w.T
    assert np.array_equal(model.loss(X), X @ w.T)
    source = {"affine1.W": w, "affine1.b": np.zeros(3)}
    name = said(refused(lambda: handgrad.load_weights(model, source)), r"with (\S+)\.T$")
    handgrad.load_weights(model, {**source, name: source[name].T})
    assert np.array_equal(model.loss(X), X @ w.T)


@follows(
    ". Pass rename={source's name: model's name}, or strict=False to ", "; did you mean {near}?"
)
def weights_of_other_names():
    model, w = net(), np.ones((6, 3))
    source = {"affin1.W": w, "affine1.b": np.zeros(3)}
    text = refused(lambda: handgrad.load_weights(model, source))
    new = said(text, r"did you mean (\S+)\?")
    option, value = said(text, r"or (\w+=\w+) to take what fits").split("=")
    taken = handgrad.load_weights(model, source, **{option: {"False": False}[value]})
    assert taken.taken == ("affine1.b",)
    old = said(text, r"the model has no (\S+)")
    handgrad.load_weights(model, source, rename={old: new})
    assert np.array_equal(model.params["affine1.W"], w)
    text = refused(lambda: handgrad.load_weights(model, source, rename={"afin1.W": new}))
    handgrad.load_weights(model, source, rename={said(text, r"did you mean '(.*)'\?"): new})


@follows(
    "cannot train it at the same time; train it from one thread ", "copy.deepcopy(model) before"
)
def two_threads_of_one_model():
    is_inside, go_on = threading.Event(), threading.Event()

    def loss(scores, y):
        if threading.current_thread().name == "slow":
            is_inside.set()
            assert go_on.wait(60)
        return np.sum(scores**2), 2 * scores

    model = net(loss=loss)
    own = copy.deepcopy(model)
    thread = threading.Thread(target=lambda: model.loss(X, Y), name="slow")
    thread.start()
    assert is_inside.wait(60)
    try:
        assert "the thread 'slow'" in refused(lambda: model.loss(X, Y))
        assert own.loss(X, Y)
        assert model.loss(X).shape == (4, 3)  # predictions
    finally:
        go_on.set()
        thread.join()
    assert model.loss(X, Y)  # one after the other


@follows("it has no weights yet; call train first")
def classifiers_without_weights():
    from handgrad.courses.shims.linear import LinearSVM

    classifier = LinearSVM()
    method = said(refused(lambda: classifier.predict(X)), r"call (\w+) first")
    getattr(classifier, method)(X, Y, num_iters=3)
    assert classifier.predict(X).shape == (4,)


@follows(
    "{where}: {expected}, {got}; if their white is 1, pass images * {levels}",
    "{where}: {expected}, {got}; if True is white, pass images * {levels}",
    "if their white is {white}, pass images * ({levels} / {white})",
    "or read as signed numbers? ",
)
def pixels_of_another_range():
    use = Preprocessing.fit("mine", PIXELS, levels=16)
    for images in (PIXELS / 16, PIXELS > 8, PIXELS * 15, np.full_like(PIXELS, 4000)):
        text = refused(lambda images=images: use(images))
        made = eval(said(text, r"pass (images .*)$"), {"images": images})
        assert made.min() >= 0
        assert 15 <= made.max() <= 16
        use(made)
    assert "Pass the pixels themselves" in refused(lambda: use(use(PIXELS)))
    use(PIXELS)


@follows("if their white is 1, pass images * {levels}", "nearly black")
def pixels_that_are_nearly_black():
    use = Preprocessing.fit("mine", PIXELS, levels=16)
    images = (PIXELS > 8).astype(int)
    with pytest.warns(UserWarning, match="nearly black") as caught:
        use(images)
    use(eval(said(str(caught[0].message), r"pass (images .*)$"), {"images": images}))


@follows(
    "pass levels={high}",
    "convert them with np.rint({factor}images).astype(np.{dtype})",
    "got bool; if True is white, ", "pass images * {levels}, or levels=1",
)  # fmt: skip
def pixels_to_fit():
    def refused_fit(images, **options):
        return refused(lambda: Preprocessing.fit("mine", images, **options))

    high = int(said(refused_fit(PIXELS, levels=15), r"pass levels=(\d+)$"))
    assert Preprocessing.fit("mine", PIXELS, levels=high).levels == 16
    for images, levels in ((PIXELS / 16, 255), (PIXELS / 16, 4095), (PIXELS + 0.25, 255)):
        way = said(refused_fit(images, levels=levels), r"convert them with (.*)$")
        made = eval(way, {"np": np, "images": images})
        assert Preprocessing.fit("mine", made, levels=levels).levels == levels
    text = refused_fit(PIXELS > 8)
    made = eval(said(text, r"pass (images .*),"), {"images": PIXELS > 8})
    assert made.max() == Preprocessing.fit("mine", made).levels == 255
    levels = int(said(text, r"or levels=(\d+)$"))
    assert Preprocessing.fit("mine", PIXELS > 8, levels=levels).levels == 1
