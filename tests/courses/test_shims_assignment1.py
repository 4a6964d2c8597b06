"""Assignment 1 by its own names: neighbours, linear classifiers, features, networks that train themselves."""

import numpy as np
import pytest

from handgrad import gradcheck
from handgrad.courses import stop_using, use
from handgrad.courses.shims import features
from handgrad.errors import OptionError, ShapeError


@pytest.fixture(autouse=True)
def clean():
    yield
    stop_using()


def data(N=7, D=5, C=4):
    rng = np.random.default_rng(3)
    return rng.normal(size=(D, C)), rng.normal(size=(N, D)), rng.integers(C, size=N)


@pytest.mark.parametrize("kind", ["svm", "softmax"])
@pytest.mark.parametrize(("course", "factor"), [("cs231n-2016", 0.5), ("cs231n-2019", 1.0)])
def test_the_losses_of_the_linear_classifiers(kind, course, factor):
    use(course)
    import importlib

    module = importlib.import_module(
        "cs231n.classifiers." + ("linear_svm" if kind == "svm" else "softmax")
    )
    W, X, y = data()
    naive, fast = (getattr(module, f"{kind}_loss_{how}") for how in ("naive", "vectorized"))
    for reg in (0.0, 0.7):
        loss, dW = naive(W, X, y, reg)
        again, dW_again = fast(W, X, y, reg)
        np.testing.assert_allclose(again, loss, rtol=1e-13)
        np.testing.assert_allclose(dW_again, dW, rtol=1e-12, atol=1e-14)
        numeric = gradcheck.eval_numerical_gradient(lambda W: naive(W, X, y, reg)[0], W, False)  # noqa: B023
        np.testing.assert_allclose(dW, numeric, rtol=1e-6, atol=1e-9)
    scores = X @ W
    rows = np.arange(len(X))
    if kind == "svm":
        margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
        expected = (margins.sum() - len(X)) / len(X)
    else:
        expected = np.mean(np.log(np.exp(scores).sum(1)) - scores[rows, y])
    np.testing.assert_allclose(
        naive(W, X, y, 0.7)[0], expected + factor * 0.7 * np.sum(W * W), rtol=1e-13
    )


def test_a_softmax_of_huge_scores_is_finite():
    use("cs231n-2019")
    from cs231n.classifiers.softmax import softmax_loss_naive

    loss, dW = softmax_loss_naive(np.eye(3) * 1e4, np.eye(3), np.array([0, 1, 1]), 0.0)
    assert np.isfinite(loss)
    assert np.isfinite(dW).all()


def test_shapes_that_do_not_fit_are_named():
    use("cs231n-2019")
    from cs231n.classifiers.linear_svm import svm_loss_vectorized

    with pytest.raises(ShapeError, match="must agree in D"):
        svm_loss_vectorized(np.ones((4, 3)), np.ones((2, 5)), np.array([0, 1]), 0.0)


def test_linear_classifiers_train_on_the_global_stream(capsys):
    use("cs231n-2019")
    from cs231n.classifiers import LinearSVM, Softmax
    from cs231n.classifiers.linear_svm import svm_loss_vectorized

    _, X, y = data(N=30)
    with pytest.raises(OptionError, match="call train first"):
        Softmax().predict(X)
    svm = LinearSVM()
    np.random.seed(5)
    history = svm.train(X, y, learning_rate=0.1, reg=0.3, num_iters=2, batch_size=6, verbose=True)
    np.random.seed(5)
    W = 0.001 * np.random.randn(5, 4)
    for loss in history:
        rows = np.random.choice(30, 6)
        expected, dW = svm_loss_vectorized(W, X[rows], y[rows], 0.3)
        assert loss == expected
        W -= 0.1 * dW
    np.testing.assert_array_equal(svm.W, W)
    np.testing.assert_array_equal(svm.predict(X), np.argmax(X @ W, axis=1))
    assert capsys.readouterr().out == f"iteration 0 / 2: loss {history[0]:f}\n"
    soft = Softmax()
    assert np.mean(np.diff(soft.train(X, y, learning_rate=0.5, num_iters=50))) < 0


def test_since_2025_a_classifier_is_saved(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    use("cs231n-2025", trust_pickles=True)
    from cs231n.classifiers.linear_classifier import Softmax

    _, X, y = data()
    one, other = Softmax(), Softmax()
    one.train(X, y, num_iters=1)
    one.save("best.npy")
    assert other.load("best.npy")
    np.testing.assert_array_equal(other.W, one.W)
    assert "best.npy loaded." in capsys.readouterr().out


def test_the_three_forms_of_the_distances_agree():
    use("cs231n-2020")
    from cs231n.classifiers import KNearestNeighbor

    rng = np.random.default_rng(1)
    X, y, T = rng.normal(size=(9, 4)), rng.integers(3, size=9), rng.normal(size=(5, 4))
    classifier = KNearestNeighbor()
    classifier.train(X, y)
    expected = np.linalg.norm(T[:, None] - X, axis=2)
    for loops, name in enumerate(("no_loops", "one_loop", "two_loops")):
        dists = getattr(classifier, f"compute_distances_{name}")(T)
        np.testing.assert_allclose(dists, expected, rtol=1e-12)
        np.testing.assert_array_equal(
            classifier.predict(T, k=1, num_loops=loops), y[expected.argmin(1)]
        )
    same = classifier.compute_distances_no_loops(X).diagonal()  # rounding must not give NaN
    assert np.isfinite(same).all()
    with pytest.raises(ValueError, match="Invalid value 3 for num_loops"):
        classifier.predict(T, num_loops=3)
    with pytest.raises(ShapeError, match=r"\(M, 4\)"):
        classifier.compute_distances_one_loop(T[:, :2])


def test_the_nearest_vote_and_the_smaller_label_wins_a_tie():
    use("cs231n-2020")
    from cs231n.classifiers.k_nearest_neighbor import KNearestNeighbor

    classifier = KNearestNeighbor()
    classifier.train(np.zeros((5, 1)), np.array([7, 2, 2, 7, 0]))
    dists = np.array([[1.0, 2.0, 3.0, 4.0, 9.0]])
    assert [classifier.predict_labels(dists, k)[0] for k in (1, 2, 3, 4, 5)] == [7, 2, 2, 2, 2]


def test_nndls_classifiers(capsys):
    use("nndl-drop")
    from nndl import KNN, SVM, Softmax

    _, X, y = data(N=8)
    for kind in (SVM, Softmax):
        np.random.seed(1)
        model = kind(dims=[4, 5])
        scale = 1.0 if kind is SVM else 1e-4
        np.testing.assert_array_equal(model.W, scale * np.random.RandomState(1).normal(size=(4, 5)))
        loss, grad = model.loss_and_grad(X, y)
        fast, grad_fast = model.fast_loss_and_grad(X, y)
        np.testing.assert_allclose([fast, model.loss(X, y)], loss, rtol=1e-13)
        np.testing.assert_allclose(grad_fast, grad, rtol=1e-10, atol=1e-14)
        model.grad_check_sparse(X, y, grad)
        errors = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
        assert len(errors) == 10
        assert max(errors) < 1e-5
        history = model.train(X, y, learning_rate=0.01, num_iters=60)
        assert history[-1] < history[0]
        assert model.predict(X).shape == (8,)
    knn = KNN()
    knn.train(X=X, y=y)
    np.testing.assert_allclose(
        knn.compute_L2_distances_vectorized(X[:3] + 1), knn.compute_distances(X[:3] + 1)
    )
    ones = knn.compute_distances(X[:2], norm=lambda x: np.sum(np.abs(x)))
    np.testing.assert_allclose(ones, np.abs(X[:2, None] - X).sum(2))


@pytest.mark.parametrize(
    ("course", "module", "factor", "shape"),
    [
        ("cs231n-2016", "cs231n.classifiers.neural_net", 0.5, (4, 6)),
        ("cs231n-2018", "cs231n.classifiers.neural_net", 1.0, (4, 6)),
        ("skynet", "skynet.neural_network.classifiers.neural_net", 0.5, (4, 6)),
        ("nndl-drop", "nndl.neural_net", 0.5, (6, 4)),
    ],
)
def test_the_network_that_trains_itself(course, module, factor, shape):
    import importlib

    use(course)
    net_class = importlib.import_module(module).TwoLayerNet
    np.random.seed(0)
    net = net_class(4, 6, 3, std=0.1)
    draws = np.random.RandomState(0)
    np.testing.assert_array_equal(net.params["W1"], 0.1 * draws.randn(*shape))
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(5, 4)), rng.integers(3, size=5)
    loss, grads = net.loss(X, y, reg=0.3)
    squares = sum(np.sum(net.params[name] ** 2) for name in ("W1", "W2"))
    np.testing.assert_allclose(loss - net.loss(X, y)[0], factor * 0.3 * squares)
    for name, param in net.params.items():
        numeric = gradcheck.eval_numerical_gradient(
            lambda _: net.loss(X, y, reg=0.3)[0], param, False
        )
        np.testing.assert_allclose(grads[name], numeric, rtol=1e-5, atol=1e-9)
    options = {"learning_rate_decay": 1.0, "reg": 1e-5, "num_iters": 200, "batch_size": 5}
    stats = net.train(X, y, X, y, learning_rate=0.5, **options)
    assert stats["loss_history"][-1] < 0.5 * stats["loss_history"][0]


# features


def test_a_slope_has_one_direction():
    falling = np.repeat(-np.arange(32.0)[None], 32, axis=0)  # to the right: 180 + 90 degrees
    assert not features.hog_feature(falling).any()  # which is outside of (0, 180)
    rising = -falling  # 0 + 90 degrees
    histogram = features.hog_feature(rising).reshape(4, 4, 9)
    assert histogram.any(axis=(0, 1)).tolist() == [False] * 4 + [True] + [False] * 4  # 80 to 100
    inner = histogram[:3, :, 4]
    np.testing.assert_allclose(inner, 1.0)  # a step of one in every pixel of the cell
    np.testing.assert_allclose(histogram[3, :, 4], 7 / 8)  # transposed: the last column has no step


def test_grey_colours_and_pure_hues():
    image = np.zeros((2, 3, 3))
    image[0, 0] = (255, 0, 0)
    image[0, 1] = (0, 255, 0)
    image[0, 2] = (0, 0, 255)
    image[1] = (90, 90, 90)
    histogram = features.color_histogram_hsv(image, nbin=3)
    np.testing.assert_allclose(histogram, [4 / 6, 1 / 6, 1 / 6])
    counts = features.color_histogram_hsv(image, nbin=3, normalized=False)
    np.testing.assert_allclose(counts, [4 * 85, 85, 85])
    assert features.rgb2gray(image)[0].tolist() == pytest.approx([76.245, 149.685, 36.72])


def test_hues_are_matplotlibs():
    matplotlib = pytest.importorskip("matplotlib.colors")
    rgb = np.random.default_rng(0).integers(0, 4, size=(50, 50, 3)) / 3.0  # many ties
    np.testing.assert_allclose(features._hue(rgb), matplotlib.rgb_to_hsv(rgb)[..., 0], atol=1e-15)


def test_features_stand_side_by_side(capsys):
    images = np.random.default_rng(0).uniform(0, 255, size=(3, 16, 16, 3))
    rows = features.extract_features(
        images, [features.hog_feature, lambda image: features.color_histogram_hsv(image, nbin=5)]
    )
    assert rows.shape == (3, 2 * 2 * 9 + 5)
    np.testing.assert_array_equal(rows[1, :36], features.hog_feature(images[1]))
    with pytest.raises(ShapeError, match="must be a vector"):
        features.extract_features(images, [lambda image: image])


@pytest.mark.parametrize("course", ["cs231n-2016", "cs231n-2020", "nndl-keep"])
def test_a_search_goes_on_where_a_learning_rate_is_too_high(course):
    """The courses' networks become NaN there, and predict the first class."""
    use(course)
    if course == "nndl-keep":
        from nndl.neural_net import TwoLayerNet
    else:
        from cs231n.classifiers.neural_net import TwoLayerNet
    rng = np.random.default_rng(0)
    X, y = 100 * rng.standard_normal((200, 50)), rng.integers(0, 10, 200)
    net = TwoLayerNet(50, 20, 10)
    with np.errstate(all="ignore"):
        history = net.train(X, y, X, y, learning_rate=1e3, num_iters=60)
    assert np.isnan(history["loss_history"][-1])
    assert set(net.predict(X)) == {0}
