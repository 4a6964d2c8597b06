"""Networks with losses by name, with weights of rows, and the gradients of their inputs."""

import numpy as np
import pytest

from handgrad import layers, models, nn
from handgrad.errors import LabelError, OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient

X = np.random.default_rng(0).standard_normal((6, 4))
LABELS = np.array([0, 2, 1, 1, 0, 2])


def network(loss="softmax", **options):
    parts = [nn.Affine(5), nn.Tanh(), nn.Affine(3)]
    return nn.Sequential(parts, input_shape=(4,), loss=loss, dtype=np.float64, rng=0, **options)


def targets(name):
    return LABELS if name in ("softmax", "svm", "focal") else (X[:, :3] > 0) * 1.0


@pytest.mark.parametrize("name", nn.LOSSES)
def test_every_loss_by_its_name(name):
    model, y = network(name), targets(name)
    loss, grads = model.loss(X, y)
    scores = model.loss(X)
    assert loss == pytest.approx(nn.LOSSES[name](scores, y)[0], rel=1e-14)
    assert model.loss_of(scores, y) == pytest.approx(loss, rel=1e-14)
    W = model.params["affine1.W"]
    numerical = eval_numerical_gradient(lambda W: model.loss(X, y)[0], W, verbose=False)
    np.testing.assert_allclose(grads["affine1.W"], numerical, atol=1e-8)


def test_the_task_is_that_of_the_loss():
    tasks = {name: network(name).task for name in nn.LOSSES}
    assert tasks.pop("binary_cross_entropy") == "multilabel"
    assert {n for n, task in tasks.items() if task == "classification"} == {
        "softmax",
        "svm",
        "focal",
    }
    assert set(tasks.values()) == {"classification", "regression"}
    assert network(lambda scores, y: (0.0, scores)).task is None


def test_a_table_gives_options_and_survives_the_configuration():
    table = {"name": "huber", "delta": 0.1}
    model, y = network(table), X[:, :3]
    expected, _ = layers.huber_loss(model.loss(X), y, delta=0.1)
    assert model.loss(X, y)[0] == pytest.approx(expected, rel=1e-14)
    again = models.build(**{**model.config(), "rng": 0})
    assert again.loss(X, y)[0] == model.loss(X, y)[0]


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        ({"name": "huber", "detla": 1}, 'loss huber: unrecognized "detla".*did you mean "delta"'),
        ({"delta": 1}, "loss lacks the key 'name'"),
        ("l2", "loss .or a function. must be one of 'softmax'"),
        (3, "must be one of 'softmax'"),
    ],
)
def test_wrong_losses_are_refused(loss, match):
    with pytest.raises(OptionError, match=match):
        network(loss)


def test_weights_of_rows_are_repetitions():
    model = network()
    weights = np.array([2, 0, 1, 0, 3, 1])
    loss, grads = model.loss(X, LABELS, sample_weight=weights)
    rows = np.repeat(np.arange(6), weights)
    repeated, expected = model.loss(X[rows], LABELS[rows])
    assert loss == pytest.approx(repeated, rel=1e-14)
    for name, gradient in expected.items():
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-12, atol=1e-15)
    with pytest.raises(OptionError, match="svm takes no sample_weight"):
        network("svm").loss(X, LABELS, sample_weight=weights)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_gradients_of_the_input(mode):
    model = network(reg=0.1)
    loss, params, dx = model.gradients(X, LABELS, mode)
    expected, grads = model.loss(X, LABELS)
    assert loss == pytest.approx(expected, rel=1e-14)
    for name, gradient in grads.items():
        np.testing.assert_allclose(params[name], gradient, rtol=1e-12, atol=1e-15)
    numerical = eval_numerical_gradient(lambda x: model.loss(x, LABELS)[0], X.copy(), verbose=False)
    np.testing.assert_allclose(dx, numerical, atol=1e-8)


def test_gradients_with_branches_norms_and_several_inputs_leave_no_trace():
    class Two(nn.Model):
        def __init__(self, **options):
            super().__init__(input_shape=[(4,), (4,)], dtype=np.float64, rng=0, **options)
            self.first, self.norm, self.last = nn.Affine(4), nn.BatchNorm(), nn.Affine(3)

        def forward(self, a, b):
            hidden = self.norm(self.first(a))
            return self.last(hidden + b + a)

    model = Two()
    other = X[::-1].copy()
    before = model.buffers()
    _, _, (da, db) = model.gradients((X, other), LABELS)
    assert model.buffers().keys() == before.keys()
    for i, dx in ((0, da), (1, db)):
        given = [X.copy(), other.copy()]
        numerical = eval_numerical_gradient(
            lambda x, given=given: model.loss(tuple(given), LABELS)[0], given[i], verbose=False
        )
        np.testing.assert_allclose(dx, numerical, atol=1e-8)


def test_gradients_of_a_score():
    """A function of the scores: its slopes by the pixels, as a saliency map needs them."""
    model = network()

    def first_score(scores, y):
        slope = np.zeros_like(scores)
        slope[:, 1] = 1.0
        return scores[:, 1].sum(), slope

    dx = model.gradients(X, first_score, "test").dx
    numerical = eval_numerical_gradient(
        lambda x: model.loss(x)[:, 1].sum(), X.copy(), verbose=False
    )
    np.testing.assert_allclose(dx, numerical, atol=1e-8)


def test_wrong_calls_of_gradients():
    with pytest.raises(OptionError, match="mode must be one of 'train', 'test'"):
        network().gradients(X, LABELS, "both")
    with pytest.raises(LabelError, match="softmax_loss: y must be in"):
        network().gradients(X, LABELS + 1)
    with pytest.raises(ShapeError, match="X must have shape"):
        network().gradients(X[:, :2], LABELS)
