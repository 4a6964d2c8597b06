"""Batches in shards: one tree, one result; gradients by complex step; draws by shard."""

import numpy as np
import pytest
from distributed.matrix import digest, solver_of

from handgrad import engines, nn
from handgrad.errors import NonFiniteError, OptionError
from handgrad.training import Solver
from handgrad.training.ahead import Batch
from handgrad.training.checkpoint import save_checkpoint, state_of
from handgrad.training.shard_streams import drawing
from handgrad.training.shards import Cut, Shards, bounds_of
from handgrad.training.tree import nodes_of, share_out, split, total

# the tree


def is_node(shards, node):
    """Whether the tree over so many shards has this node."""
    low, high = 0, shards
    while (low, high) != node:
        if high - low <= 1 or node[0] < low or node[1] > high:
            return False
        middle = split(low, high)
        low, high = (low, middle) if node[1] <= middle else (middle, high)
    return True


def text(shards, parts):
    return total(shards, parts, lambda a, b: f"({a}+{b})")


@pytest.mark.parametrize("shards", range(1, 18))
def test_every_division_gives_the_same_sum(shards):
    leaves = {(i, i + 1): str(i) for i in range(shards)}
    whole = text(shards, leaves)
    for ranks in range(1, shards + 1):
        parts = {}
        for own in share_out(shards, ranks):
            for node in nodes_of(shards, own.start, own.stop):
                assert is_node(shards, node)
                low, high = node
                inner = {k: v for k, v in leaves.items() if low <= k[0] < high}
                parts[node] = part(inner, low, high)
        assert text(shards, parts) == whole
        assert sorted(i for own in share_out(shards, ranks) for i in own) == list(range(shards))
        sizes = [len(own) for own in share_out(shards, ranks)]
        assert max(sizes) - min(sizes) <= 1


def part(leaves, low, high):
    if high - low == 1:
        return leaves[low, high]
    middle = split(low, high)
    return f"({part(leaves, low, middle)}+{part(leaves, middle, high)})"


def test_the_tree_of_eight():
    assert text(8, {(i, i + 1): str(i) for i in range(8)}) == "(((0+1)+(2+3))+((4+5)+(6+7)))"
    assert text(6, {(i, i + 1): str(i) for i in range(6)}) == "(((0+1)+(2+3))+(4+5))"
    assert not is_node(8, (1, 3))


def test_rows_are_cut_evenly():
    for rows in range(20):
        for count in range(1, 9):
            cuts = bounds_of(rows, count)
            assert [i for cut in cuts for i in range(rows)[cut]] == list(range(rows))
            sizes = [cut.stop - cut.start for cut in cuts]
            assert max(sizes) - min(sizes) <= 1


# gradients

RNG = np.random.default_rng(5)
X = RNG.standard_normal((13, 2, 4, 4))
Y = RNG.integers(0, 3, 13)


def network(dtype, kind="batch"):
    norms = {"batch": nn.BatchNorm(), "bare": nn.BatchNorm(scale=False), "none": nn.Flatten()}
    return nn.Sequential(
        [nn.Conv2d(3, 3, pad=1), nn.Tanh(), norms[kind]]
        + ([nn.Flatten()] if kind != "none" else [])
        + [nn.Affine(4), nn.BatchNorm(), nn.Tanh(), nn.Affine(3)],
        (2, 4, 4), reg=0.1, dtype=dtype, rng=0,
    )  # fmt: skip


class Fake:
    """As much of a Solver as the shards look at."""

    def __init__(self, model, count, sync):
        self.model, self.rng, self.sampler = model, None, None
        self.shards = Shards(count, 13, norm_sync=sync)


def loss_of(model, count, sync, weights=None):
    cuts = bounds_of(13, count)
    cut = Cut({s: X[cuts[s]] for s in range(count)}, dict(enumerate(cuts)), 0)
    with engines.use("vectorized"):
        loss, grads = Shards(count, 13, norm_sync=sync).gradients(
            Fake(model, count, sync), cut, Y, weights
        )
    return loss, grads


def reference(model, count, sync, weights=None):
    """The loss in complex numbers, by its formula: of the parts, or of the batch in one piece."""
    with engines.use("vectorized"):
        if sync:
            return model.loss(X, Y, sample_weight=weights)[0]
        whole = 13 if weights is None else weights.sum()
        penalty = model.penalised(0.0, {n: 0 * w for n, w in model.params.items()}, model.params)[0]
        value = penalty
        for rows in bounds_of(13, count):
            own = None if weights is None else weights[rows]
            share = (rows.stop - rows.start if own is None else own.sum()) / whole
            value += share * (model.loss(X[rows], Y[rows], sample_weight=own)[0] - penalty)
        return value


@pytest.mark.parametrize("kind", ["batch", "bare", "none"])
@pytest.mark.parametrize("sync", [False, True], ids=["ghost", "sync"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_by_complex_step(kind, sync, weighted):
    """Every 7th number of each parameter, of the loss in shards as it is defined."""
    weights = RNG.uniform(0.1, 2, 13) if weighted else None
    count = 4
    model = network(np.float64, kind)
    start = {name: w.copy() for name, w in model.params.items()}
    _, grads = loss_of(model, count, sync, weights)
    twin = network(np.complex128, kind)
    for name, w in start.items():
        for i in range(0, w.size, 7):
            twin.params = {n: v.astype(complex) for n, v in start.items()}
            twin.params[name].ravel()[i] += 1e-30j
            expected = reference(twin, count, sync, weights).imag / 1e-30
            found = grads[name].ravel()[i]
            assert abs(found - expected) <= 1e-11 * (1 + abs(expected)), (name, i)


@pytest.mark.parametrize("sync", [False, True], ids=["ghost", "sync"])
def test_the_loss_and_the_running_statistics(sync):
    model, twin = network(np.float64), network(np.float64)
    loss, _ = loss_of(model, 4, sync)
    assert loss == pytest.approx(reference(twin, 4, sync), rel=1e-12)
    if sync:  # those of the batch in one piece
        for name, value in twin.buffers().items():
            assert np.allclose(model.buffers()[name], value, rtol=1e-12), name
        return
    means = []
    for rows in bounds_of(13, 4):
        alone = network(np.float64)
        alone.loss(X[rows], Y[rows])
        share = (rows.stop - rows.start) / 13
        means.append({name: share * value for name, value in alone.buffers().items()})
    found = model.buffers()
    for name, value in found.items():
        is_steps = name.endswith("steps")
        expected = 1 if is_steps else sum(part[name] for part in means)
        assert np.allclose(value, expected, rtol=1e-12), name
    assert len(found) == 6


def test_one_shard_is_the_batch():
    grads = loss_of(network(np.float64), 1, False)[1]
    expected = network(np.float64).loss(X, Y)[1]
    for name in expected:
        assert np.allclose(grads[name], expected[name], rtol=1e-12, atol=1e-14)


class Reuses:
    """A model that writes each gradient into the same array again."""

    def __init__(self):
        self.params, self._grads = {"W": np.zeros((32, 3))}, {"W": np.empty((32, 3))}

    def loss(self, X, y=None):
        X = X.reshape(len(X), -1)
        self._grads["W"][...] = X.sum(0)[:, None] * np.arange(3) / len(X)
        return 1.0, self._grads


@pytest.mark.parametrize("rows", [12, 13])
def test_gradients_may_lie_in_memory_that_is_used_again(rows):
    cuts = bounds_of(rows, 4)
    cut = Cut({s: X[cuts[s]] for s in range(4)}, dict(enumerate(cuts)), 0)
    _, grads = Shards(4, rows).gradients(Fake(Reuses(), 4, False), cut, Y[:rows], None)
    expected = X[:rows].reshape(rows, -1).mean(0)[:, None] * np.arange(3)
    assert np.allclose(grads["W"], expected, rtol=1e-12, atol=1e-14)


# draws


def test_each_shard_draws_from_streams_of_its_own():
    np.random.seed(1)
    fake = Fake(network(np.float64), 4, False)
    before = np.random.get_state()[1].copy()
    drawn = []
    for shard in (0, 1, 0):
        with drawing(fake, 7, shard):
            drawn.append(np.random.rand(3))
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(np.random.get_state()[1], before)
    with drawing(fake, 8, 0):
        assert not np.array_equal(np.random.rand(3), drawn[0])


CASE = {"rule": "adam", "norm": "batchnorm", "dtype": "float32"}


def trained(**changes):
    solver = solver_of({**CASE, **changes})
    solver.train()
    return digest(state_of(solver))


def test_threads_change_no_bit():
    if "native" not in engines.available():
        pytest.skip("the native engine is not built")
    before = engines.get("native").control.threads()
    found = set()
    try:
        for threads in (1, 2, 3):
            engines.set_threads(threads)
            found.add(trained())
    finally:
        engines.set_threads(before)
    assert len(found) == 1


def test_a_run_in_shards_resumes_exactly(tmp_path):
    expected = trained(epochs=2, sync=True)
    solver = solver_of({**CASE, "epochs": 2, "sync": True})
    stop_after(solver, 8)
    save_checkpoint(solver, tmp_path / "stopped.safetensors")
    np.random.seed(99)
    again = solver_of({**CASE, "epochs": 2, "sync": True})
    again.resume(tmp_path / "stopped.safetensors")
    again.train()
    assert digest(state_of(again)) == expected
    other = solver_of({**CASE, "epochs": 2, "shards": 4})
    with pytest.raises(ValueError, match="shards was 8, is 4"):
        other.resume(tmp_path / "stopped.safetensors")


def stop_after(solver, steps):
    from handgrad.training.callback import Callback

    class Stop(Callback):
        def on_step_end(self, own, record):
            if own.iteration == steps:
                own.stop()

    solver.callbacks = [Stop()]
    solver.train()
    solver.callbacks = []


def test_the_batch_made_ahead_is_the_same(monkeypatch):
    expected = trained()
    monkeypatch.setattr("handgrad.training.ahead.WORTH", 0)
    taken = []
    real = Batch.__new__
    monkeypatch.setattr(Batch, "__new__", lambda *a: taken.append(a) or real(*a))
    solver = solver_of(CASE)
    solver.train()
    assert digest(state_of(solver)) == expected


# what is refused


def test_wrong_options():
    data = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
    with pytest.raises(OptionError, match="shards must be at most batch_size, 4, got 5"):
        Solver(network(np.float64), data, batch_size=4, shards=5)
    with pytest.raises(OptionError, match="accumulate and shards both cut a batch"):
        Solver(network(np.float64), data, batch_size=8, shards=4, accumulate=2)

    class Own:
        def __init__(self):
            self.params = {"W": np.zeros((32, 3))}

        def loss(self, X, y=None):
            scores = X.reshape(len(X), -1) @ self.params["W"]
            return scores if y is None else (1.0, {"W": np.ones((32, 3))})

    solver = Solver(Own(), data, batch_size=8, shards=4, norm_sync=True, verbose=False)
    with pytest.raises(OptionError, match=r"norm_sync needs a network of handgrad.nn, got Own"):
        solver.train()
    solver = Solver(Own(), data, batch_size=8, shards=4, verbose=False, num_epochs=1)
    solver.train()  # in ghost batches any model will do
    assert np.allclose(solver.grads.get("W", 1.0), 1.0)


def test_what_is_not_finite_is_named():
    case = solver_of({**CASE, "dropout": 1.0})
    case.X_train = case.X_train.copy()
    case.X_train[:] = np.inf
    with pytest.raises(NonFiniteError, match="images of the batch that are not finite"):
        case.train()
