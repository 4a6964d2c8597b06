"""The recurrent layers: beside PyTorch, at the courses' figures, and refusing what does not fit."""

import numpy as np
import pytest

from handgrad import engines, gradcheck, layers
from handgrad.errors import DtypeError, LabelError, NonFiniteError, ShapeError

ENGINES = engines.available()


def line(first, last, *shape):
    return np.linspace(first, last, num=int(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_at_the_course_s_figures(engine):
    next_h, _ = layers.rnn_step_forward(
        line(-0.4, 0.7, 3, 10),
        line(-0.2, 0.5, 3, 4),
        line(-0.1, 0.9, 10, 4),
        line(-0.3, 0.7, 4, 4),
        line(-0.2, 0.4, 4),
        engine=engine,
    )
    expected = [
        [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
        [0.66854692, 0.79562378, 0.87755553, 0.92795967],
        [0.97934501, 0.99144213, 0.99646691, 0.99854353],
    ]
    np.testing.assert_allclose(next_h, expected, atol=5e-9)


def test_a_step_takes_lists_as_other_layers_do():
    arrays = [line(-1, 1, *shape) for shape in [(2, 3), (2, 4), (3, 4), (4, 4), (4,)]]
    expected, _ = layers.rnn_step_forward(*arrays)
    next_h, cache = layers.rnn_step_forward(arrays[0].tolist(), *arrays[1:])
    np.testing.assert_array_equal(next_h, expected)
    assert layers.rnn_step_backward(next_h, cache)[0].shape == (2, 3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_sequences_are_those_of_pytorch(kind, engine):
    torch = pytest.importorskip("torch")
    N, T, D, H = 3, 5, 4, 6
    gates = 4 if kind == "lstm" else 1
    rng = np.random.default_rng(1)
    x, h0 = rng.standard_normal((N, T, D)), rng.standard_normal((N, H))
    Wx, Wh = rng.standard_normal((D, gates * H)), rng.standard_normal((H, gates * H))
    b, dh = rng.standard_normal(gates * H), rng.standard_normal((N, T, H))
    h, cache = getattr(layers, f"{kind}_forward")(x, h0, Wx, Wh, b, engine=engine)
    dx, dh0, dWx, dWh, db = getattr(layers, f"{kind}_backward")(dh, cache)

    tensors = [torch.tensor(array, requires_grad=True) for array in (x, h0, Wx, Wh, b)]
    tx, th, tWx, tWh, tb = tensors
    if kind == "lstm":  # PyTorch's gates are i, f, g, o
        order = torch.cat([torch.arange(k * H, (k + 1) * H) for k in (0, 1, 3, 2)])
        args = (tWx[:, order].T, tWh[:, order].T, tb[order], torch.zeros(4 * H, dtype=tb.dtype))
        state = (th[None], torch.zeros(1, N, H, dtype=tb.dtype))
        out = torch._VF.lstm(tx, state, args, True, 1, 0.0, False, False, True)[0]
    else:
        args = (tWx.T, tWh.T, tb, torch.zeros(H, dtype=tb.dtype))
        out = torch._VF.rnn_tanh(tx, th[None], args, True, 1, 0.0, False, False, True)[0]
    np.testing.assert_allclose(h, out.detach().numpy(), atol=1e-13)
    out.backward(torch.tensor(dh))
    for got, tensor in zip((dx, dh0, dWx, dWh, db), tensors, strict=True):
        np.testing.assert_allclose(got, tensor.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_word_that_comes_again_gets_the_sum(engine):
    W, words = np.arange(8.0).reshape(4, 2), np.array([[1, 1, 3], [1, 0, 3]])
    out, cache = layers.word_embedding_forward(words, W, engine=engine)
    np.testing.assert_array_equal(out, W[words])
    dW = layers.word_embedding_backward(np.ones((2, 3, 2)), cache)
    np.testing.assert_array_equal(dW, [[1, 1], [3, 3], [0, 0], [2, 2]])


@pytest.mark.parametrize("engine", ENGINES)
def test_no_words_and_later_changes_of_them(engine):
    W = np.ones((3, 2))
    out, cache = layers.word_embedding_forward(np.zeros((0, 4), int), W, engine=engine)
    assert out.shape == (0, 4, 2)
    assert not layers.word_embedding_backward(out, cache).any()
    words = np.array([0, 1])
    _, cache = layers.word_embedding_forward(words, W, engine=engine)
    words[:] = 2
    dW = layers.word_embedding_backward(np.ones((2, 2)), cache)
    np.testing.assert_array_equal(dW, [[1, 1], [1, 1], [0, 0]])


@pytest.mark.parametrize("words", [[0, 3], [-1, 0], [0.0, 1.0], ["a"], None, [True, False]])
def test_what_is_no_word_is_refused(words):
    with pytest.raises((LabelError, DtypeError), match=r"^word_embedding_forward: x must "):
        layers.word_embedding_forward(words, np.ones((3, 2)))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_temporal_loss_is_its_formula(engine):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 3, 4)), rng.integers(4, size=(2, 3))
    mask = np.array([[True, False, True], [True, True, False]])
    loss, dx = layers.temporal_softmax_loss(x, y, mask, engine=engine)
    p = np.exp(x) / np.exp(x).sum(axis=2, keepdims=True)
    right = np.take_along_axis(p, y[:, :, None], axis=2)[:, :, 0]
    assert loss == pytest.approx(-np.sum(mask * np.log(right)) / 2, rel=1e-14)
    expected = mask[:, :, None] * (p - np.eye(4)[y]) / 2
    np.testing.assert_allclose(dx, expected, atol=1e-15)


def test_steps_that_are_left_out_are_not_looked_at():
    x, y = np.zeros((1, 2, 3)), np.array([[1, 99]])
    x[0, 1] = np.nan
    loss, dx = layers.temporal_softmax_loss(x, y, [[True, False]])
    assert loss == pytest.approx(np.log(3))
    assert not dx[0, 1].any()
    loss, dx = layers.temporal_softmax_loss(x, y, [[0, 0]])
    assert (loss, dx.any()) == (0, False)
    with pytest.raises(NonFiniteError):
        layers.temporal_softmax_loss(x, y, [[0, 1]])


@pytest.mark.parametrize(
    ("y", "mask", "error", "match"),
    [
        ([[0, 1]], [[1, 1]], ShapeError, r"y must have shape \(2, 2\)"),
        ([[0, 1], [1, 0]], [1, 1], ShapeError, r"mask must have shape \(2, 2\)"),
        ([[0, 1], [1, 0]], [[1, 2], [0, 0]], LabelError, "mask must hold booleans"),
        ([[0, 5], [1, 0]], [[1, 1], [1, 1]], LabelError, "y must be in"),
    ],
)
def test_labels_and_masks_that_do_not_fit(y, mask, error, match):
    with pytest.raises(error, match=match):
        layers.temporal_softmax_loss(np.zeros((2, 2, 3)), y, mask)


def lstm_step(rng, N=2, D=3, H=4):
    shapes = [(N, D), (N, H), (N, H), (D, 4 * H), (H, 4 * H), (4 * H,)]
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("place", [0, 1])
def test_each_upstream_gradient_of_an_lstm_step_is_checked(place):
    *_, cache = layers.lstm_step_forward(*lstm_step(np.random.default_rng(3)))
    name = ("dnext_h", "dnext_c")[place]
    for shape in [(2, 3), (1, 4), (4,), (2, 4, 1), ()]:
        gradients = [np.ones((2, 4)), np.ones((2, 4))]
        gradients[place] = np.ones(shape)
        with pytest.raises(ShapeError, match=f"^lstm_step_backward: {name} must have the output's"):
            layers.lstm_step_backward(*gradients, cache)
        gradients[place] = np.ones((2, 4), bool)
        with pytest.raises(DtypeError, match=f"^lstm_step_backward: {name} "):
            layers.lstm_step_backward(*gradients, cache)


def test_weights_of_another_number_of_gates_are_refused():
    x, h, c, Wx, Wh, b = lstm_step(np.random.default_rng(4))
    with pytest.raises(ShapeError, match=r"^rnn_step_forward: Wh must have shape \(4, 4\)"):
        layers.rnn_step_forward(x, h, Wx, Wh, b)
    with pytest.raises(ShapeError, match=r"^lstm_step_forward: Wx must have shape \(3, 16\)"):
        layers.lstm_step_forward(x, h, c, Wx[:, :12], Wh, b)
    with pytest.raises(ShapeError, match="must have at least one step"):
        layers.lstm_forward(np.ones((2, 0, 3)), h, Wx, Wh, b)


def test_a_language_model_s_whole_gradient_is_the_complex_step():
    """Embedding, RNN, affine and loss, one behind the other, as in the course's captioning network."""
    rng = np.random.default_rng(5)
    words, mask = rng.integers(5, size=(2, 4)), rng.random((2, 4)) < 0.7
    arrays = [rng.standard_normal(s) for s in [(5, 3), (2, 4), (3, 4), (4, 4), (4,), (4, 5), (5,)]]

    def forward(table, h0, Wx, Wh, b, w, c, engine="vectorized"):
        x, first = layers.word_embedding_forward(words, table, engine=engine)
        h, middle = layers.rnn_forward(x, h0, Wx, Wh, b, engine=engine)
        scores, last = layers.temporal_affine_forward(h, w, c, engine=engine)
        loss, dscores = layers.temporal_softmax_loss(scores, words, mask, engine=engine)
        return loss, (first, middle, last, dscores)

    def backward(dout, caches):
        first, middle, last, dscores = caches
        dh, dw, dc = layers.temporal_affine_backward(dout * dscores, last)
        dx, *rest = layers.rnn_backward(dh, middle)
        return (layers.word_embedding_backward(dx, first), *rest, dw, dc)

    for difference in gradcheck.check_pair(forward, backward, arrays):
        assert difference.error < 1e-12
