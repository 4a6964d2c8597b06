"""Plans: a whole training step in one native call, to the bit what the step is without it."""

import threading

import numpy as np
import pytest

from handgrad import engines, models, nn, optim
from handgrad.errors import ConcurrencyError, LabelError, NonFiniteError, OptionError, ShapeError
from handgrad.nn.compiled.half import InHalf
from handgrad.nn.compiled.memory import Memory, NotCovered
from handgrad.nn.compiled.rules import RULES

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)
ROWS, STEPS = 40, 4
KINDS = ["float32", "float64", "bf16"]  # of bf16 the network is float32


def _sequential(*layers, shape=(6,), **options):
    return nn.Sequential(list(layers), input_shape=shape, rng=0, **{"reg": 1e-2, **options})


def _images(*layers, shape=(3, 8, 8), **options):
    return _sequential(*layers, shape=shape, **options)


class _Dense(nn.Model):
    """Each convolution sees all that was computed before it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first, self.second = nn.Conv2d(4, 3, pad=1), nn.Conv2d(5, 3, pad=1)
        self.out = nn.Affine(3)

    def forward(self, x):
        a = nn.ReLU()(self.first(x))
        b = nn.ReLU()(self.second(nn.concat(x, a)))
        return self.out(nn.Concat()(x, nn.MaxPool(1)(a), b))


class _Wide(nn.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.first, self.out = nn.Affine(5), nn.Affine(3)

    def forward(self, x):
        return self.out(nn.concat(x, nn.Tanh()(self.first(x)), x))


NETWORKS = {
    "one affine layer": lambda: _sequential(nn.Affine(3)),
    "no penalty": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Affine(3), reg=0.0),
    "wide": lambda: _sequential(nn.Affine(300), nn.ReLU(), nn.Affine(300), nn.ReLU(), nn.Affine(3)),
    "no bias": lambda: _sequential(nn.Affine(8, bias=False), nn.ReLU(), nn.Affine(3, bias=False)),
    "batch norm": lambda: _sequential(nn.Affine(8), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)),
    "batch norm, gelu": lambda: _sequential(nn.Affine(8), nn.BatchNorm(), nn.GELU(), nn.Affine(3)),
    "batch norm, tanh": lambda: _sequential(nn.Affine(8), nn.BatchNorm(eps=1e-3), nn.Tanh(), nn.Affine(3)),
    "batch norm, no scale": lambda: _sequential(
        nn.Affine(8), nn.BatchNorm(scale=False, momentum=0.5), nn.ReLU(), nn.Affine(3)
    ),
    "layer norm": lambda: _sequential(nn.Affine(8), nn.LayerNorm(), nn.ReLU(), nn.Affine(3)),
    "layer norm, no shift": lambda: _sequential(nn.LayerNorm(shift=False), nn.Affine(3)),
    "activations": lambda: _sequential(
        nn.Affine(9), nn.Tanh(), nn.Affine(8), nn.Sigmoid(), nn.Affine(7), nn.ELU(0.7), nn.Affine(6),
        nn.LeakyReLU(0.2), nn.Affine(7), nn.GELU(), nn.Affine(5), nn.GELU("tanh"), nn.Affine(3),
    ),
    "sequences": lambda: _sequential(
        nn.Conv1d(8, 5, pad=2), nn.BatchNorm1d(), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 3, stride=2, groups=2), nn.GELU(), nn.AvgPool1d(2, 1), nn.Dropout(0.7),
        nn.Conv1d(6, 2, dilation=2, bias=False),
        nn.BatchNorm1d(scale=False), nn.Tanh(), nn.Affine(3), shape=(3, 40),
    ),
    "means of sequences": lambda: _sequential(
        nn.Conv1d(4, 3), nn.ReLU(), nn.GlobalAvgPool1d(), nn.Affine(3), shape=(2, 12)
    ),
    "dropout": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Dropout(0.6), nn.Affine(3)),
    "dropout of its own": lambda: _sequential(
        nn.Affine(8), nn.Dropout(0.6, rng=1), nn.Affine(8), nn.Dropout(0.5, rng=np.random.RandomState(2)),
        nn.Affine(3),
    ),
    "svm": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Affine(3), loss="svm"),
    "label smoothing": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Affine(3), label_smoothing=0.1),
    "no fusing": lambda: _sequential(nn.Affine(8), nn.BatchNorm(), nn.ReLU(), nn.Affine(3), fuse=False),
    "fully connected": lambda: models.FullyConnectedNet(
        [9, 8], 6, 3, normalization="batchnorm", reg=1e-2, rng=0
    ),
    "fully connected, layer norm, dropout": lambda: models.FullyConnectedNet(
        [9, 8], 6, 3, normalization="layernorm", dropout_keep_ratio=0.7, rng=0
    ),
    "two layers": lambda: models.TwoLayerNet(6, 9, 3, reg=1e-2, rng=0),
    "conv, relu, pool": lambda: _images(
        nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.MaxPool(2), nn.Conv2d(5, 3), nn.ReLU(), nn.Flatten(),
        nn.Affine(3),
    ),
    "conv, batch norm, pool": lambda: _images(
        nn.Conv2d(16, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2),
        nn.Conv2d(32, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Affine(3),
    ),
    "conv, batch norm, gelu": lambda: _images(
        nn.Conv2d(4, 3, pad=1, bias=False), nn.BatchNorm(), nn.GELU(), nn.MaxPool(3, 2), nn.Affine(3)
    ),
    "conv, pool": lambda: _images(
        nn.Conv2d(16, 3, pad=1), nn.MaxPool(2), nn.ReLU(), nn.MaxPool(2), nn.Affine(3)
    ),
    "strides, dilation, groups": lambda: _images(
        nn.Conv2d(8, 3, stride=2, pad=1), nn.ReLU(), nn.Conv2d(8, (3, 1), groups=4, pad=(1, 0)),
        nn.GroupNorm(2), nn.ReLU(), nn.InstanceNorm(), nn.Conv2d(8, 3, dilation=2, pad=2), nn.Affine(3),
    ),
    "pools": lambda: _images(
        nn.MaxPool(2), nn.Conv2d(6, 1), nn.Upsample(2), nn.AvgPool(2), nn.Upsample(2, "bilinear"),
        nn.LayerNorm(), nn.Dropout(0.7), nn.GlobalAvgPool(), nn.Affine(3),
    ),
    "ConvNet": lambda: models.ConvNet(
        (1, 8, 8),
        [{"num_filters": 4, "filter_size": 3, "pool": False}, {"num_filters": 8, "filter_size": 3}],
        (9,),
        3,
        "batchnorm",
        dropout_keep_ratio=0.6,
        reg=1e-2,
        rng=0,
    ),
    "three layers": lambda: models.ThreeLayerConvNet((3, 8, 8), 4, 3, 9, 3, reg=1e-2, rng=0),
    "softplus, maxout": lambda: _sequential(
        nn.Affine(8), nn.Softplus(), nn.Affine(12), nn.Maxout(3), nn.Affine(6), nn.Softplus(), nn.Affine(3)
    ),
    "transposed convolution, maxout": lambda: _images(
        nn.Conv2d(8, 3, stride=2, pad=1), nn.ReLU(), nn.Maxout(2), nn.ConvTranspose2d(6, 3, stride=2, pad=1),
        nn.BatchNorm(), nn.ReLU(), nn.ConvTranspose2d(4, (2, 3), stride=(2, 1), output_pad=(1, 0), groups=2),
        nn.Softplus(), nn.ConvTranspose2d(3, 2, dilation=2, bias=False), nn.Affine(3),
    ),
    "concat": lambda: _Dense(input_shape=(3, 8, 8), reg=1e-2, rng=0),
    "concat of rows": lambda: _Wide(input_shape=(6,), rng=0),
    "resnet": lambda: models.resnet20(input_shape=(3, 8, 8), num_classes=3, rng=0),
}  # fmt: skip


def _data(model, dtype):
    rng = np.random.default_rng(1)
    shape = model._input_shapes[0]
    X = rng.standard_normal((ROWS, *shape)).astype(dtype)
    return X, rng.integers(0, 3, ROWS)


def _precision_of(kind):
    """The precision, and the dtype of the network."""
    return ("bf16" if kind == "bf16" else "float32"), np.dtype(
        "float32" if kind == "bf16" else kind
    )


def _state(model, configs):
    """All that training changes, by name."""
    found = {f"params {name}": w for name, w in model.params.items()}
    found |= {f"buffers {name}": array for name, array in model.buffers().items()}
    for name, config in configs.items():
        found |= {f"config {name} {key}": np.asarray(value) for key, value in config.items()}
    return found | {"scores": model.last_scores}


def _by_hand(model, rule, config, X, y, rows, clip_norm=None, precision="float32"):
    """Train as the courses do; return the losses, and the settings and states of the rule."""
    rule, losses = optim.get_rule(rule), []
    loss_of = InHalf(model, "test").loss if precision == "bf16" else model.loss
    configs = {name: dict(config) for name in model.params}
    for batch in rows:
        loss, grads = loss_of(X[batch], y[batch])
        if clip_norm is not None:
            grads, _ = optim.clip_by_norm(grads, clip_norm)
        for name, w in list(model.params.items()):
            model.params[name], configs[name] = rule(w.copy(), grads[name], configs[name])
        losses.append(loss)
    return losses, configs


def _compare(make, rule="adam", config=None, kind="float32", clip_norm=None, batch=9):
    """Train twice, by hand and by a plan: all must be the same, to the bit."""
    precision, dtype = _precision_of(kind)
    by_hand, compiled = make(), make()
    for model in (by_hand, compiled):
        model.params = {name: w.astype(dtype) for name, w in model.params.items()}
        model.dtype = dtype
    X, y = _data(by_hand, dtype)
    rows = np.random.default_rng(2).integers(0, ROWS, (1 + STEPS, batch))
    config = {"learning_rate": 1e-2} if config is None else config
    np.random.seed(3)
    losses, configs = _by_hand(by_hand, rule, config, X, y, rows, clip_norm, precision)
    after = np.random.random()
    np.random.seed(3)
    steps = compiled.compile((batch, *X.shape[1:]), rule, config, clip_norm, precision)
    assert steps.run(X, y, rows=rows) == losses
    assert np.random.random() == after
    assert steps.why is None
    expected, got = _state(by_hand, configs), _state(compiled, steps.configs)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype, name
        assert got[name].shape == array.shape, name
        assert got[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_bits_of_networks(name, kind):
    _compare(NETWORKS[name], kind=kind)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_bits_of_scores(name, dtype):
    """By one native call, before training and behind it, whatever is put in the place of parameters."""
    model = NETWORKS[name]()
    model.params = {key: w.astype(dtype) for key, w in model.params.items()}
    model.dtype = dtype
    X, y = _data(model, dtype)
    scored = []

    def compare():
        for n in (1, 9):
            model.compile(None)
            expected = model.loss(X[:n])
            model.compile((n, *X.shape[1:]))
            assert model._scorer is not None
            scored.append(model._scorer(X[:n]))
            for got in (scored[-1], model.loss(X[:n]), model.loss(X[:n].copy(order="F"))):
                assert got.dtype == expected.dtype
                assert got.tobytes() == np.ascontiguousarray(expected).tobytes()

    compare()
    model.compile((8, *X.shape[1:]), "adam").run(X, y, steps=3, rng=0)
    compare()
    for key, w in model.params.items():
        w *= 0.9  # in place
        model.params[key] = w + 0.01
    compare()
    assert all(scores is not None for scores in scored)


def test_scores_of_a_plan_see_each_change():
    model = NETWORKS["fully connected"]()
    X, y = _data(model, np.float32)
    model.loss(X, y)
    model.compile((4, 6))
    assert model._scorer is not None
    before = model.loss(X[:4])
    model.params["W1"][0] += 1.0
    changed = model.loss(X[:4])
    assert not np.array_equal(changed, before)
    model.load_buffers({**model.buffers(), "running_mean1": np.ones(9, np.float32)})
    assert not np.array_equal(model.loss(X[:4]), changed)
    model.bn_params[0]["eps"] = 1.0
    other = model.loss(X[:4])
    assert model._scorer(X[:4]) is None
    model.compile(None)
    assert np.array_equal(model.loss(X[:4]), other)
    with model.fixed():
        seen = model.loss(X[:4])
        model._params["W1"] = 0 * model._params["W1"]
        assert np.array_equal(model.loss(X[:4]), seen)


def test_copies_score_with_a_plan_of_their_own():
    import copy

    model = NETWORKS["wide"]()
    X, _ = _data(model, np.float32)
    model.compile((4, 6))
    other = copy.deepcopy(model)
    other.params["0.W" if "0.W" in other.params else next(iter(other.params))][:] = 0.0
    assert not np.array_equal(other.loss(X[:4]), model.loss(X[:4]))
    assert other._scorer(X[:4]) is not None


def test_threads_that_score_at_the_same_time():
    model = NETWORKS["wide"]()
    X, _ = _data(model, np.float32)
    model.compile((4, 6))
    expected = model.loss(X[:4])
    wrong = []

    def score():
        for _ in range(200):
            if not np.array_equal(model.loss(X[:4]), expected):
                wrong.append(1)

    threads = [threading.Thread(target=score) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


SETTINGS = {
    "plain": {},
    "decays": {"l2": 1e-2, "weight_decay": 0.1},
    "weight decay": {"weight_decay": 0.1},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("rule", RULES)
def test_bits_of_rules(rule, settings, kind):
    _compare(NETWORKS["batch norm"], rule, {"learning_rate": 1e-2, **SETTINGS[settings]}, kind)


@pytest.mark.parametrize("clip_norm", [0.05, 1e6])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_of_clipping(kind, clip_norm):
    _compare(NETWORKS["wide"], clip_norm=clip_norm, kind=kind)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_bits_of_a_regression(precision):
    def make():
        return _sequential(nn.Affine(8), nn.Tanh(), nn.Affine(2), loss="mse")

    by_hand, compiled = make(), make()
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((ROWS, 6)).astype(np.float32), rng.standard_normal((ROWS, 2))
    rows = rng.integers(0, ROWS, (5, 7))
    losses, configs = _by_hand(by_hand, "rmsprop", {}, X, y, rows, precision=precision)
    steps = compiled.compile((7, 6), "rmsprop", precision=precision)
    assert steps.run(X, y, rows=rows) == losses
    assert steps.why is None
    for name, array in _state(by_hand, configs).items():
        assert _state(compiled, steps.configs)[name].tobytes() == array.tobytes(), name


def test_batch_of_one_row_and_of_all():
    _compare(NETWORKS["wide"], batch=1)
    _compare(NETWORKS["wide"], batch=ROWS)


def test_rows_are_drawn_as_by_the_solver():
    model, other = NETWORKS["wide"](), NETWORKS["wide"]()
    X, y = _data(model, np.float32)
    rng = np.random.default_rng(5)
    rows = np.stack([rng.choice(ROWS, 8) for _ in range(6)])
    losses = model.compile((8, 6), "sgd").run(X, y, steps=6, rng=5)
    assert losses == other.compile((8, 6), "sgd").run(X, y, rows=rows)


def test_goes_on():
    once, twice = NETWORKS["batch norm"](), NETWORKS["batch norm"]()
    X, y = _data(once, np.float32)
    rows = np.random.default_rng(0).integers(0, ROWS, (9, 8))
    losses = once.compile((8, 6), "adam").run(X, y, rows=rows)
    steps = twice.compile((8, 6), "adam")
    assert steps.run(X, y, rows=rows[:4]) + steps.run(X, y, rows=rows[4:]) == losses


def test_inputs_of_a_call_stay():
    model = NETWORKS["wide"]()
    X, y = _data(model, np.float32)
    before = {name: (w, w.copy()) for name, w in model.params.items()}
    steps = model.compile((8, 6), "adam")
    steps.run(X, y, steps=3, rng=0)
    for name, (w, copy) in before.items():
        assert (w == copy).all(), name
        assert model.params[name] is not w


def test_what_changes_between_calls_is_seen():
    """The penalty, options of layers and parameters are those of the network at each call."""
    make = NETWORKS["fully connected"]
    X, y = _data(make(), np.float32)
    rows = np.random.default_rng(0).integers(0, ROWS, (6, 8))

    def change(model):
        model.reg = 0.5
        model.bn_params[0]["eps"] = 1e-2
        model.bn_params[1]["momentum"] = 0.3
        model.params["W1"] *= 0.5

    by_hand, compiled = make(), make()
    rule = optim.get_rule("sgd_momentum")
    configs = {name: {} for name in by_hand.params}
    for i, batch in enumerate(rows):
        if i == 3:
            change(by_hand)
        _, grads = by_hand.loss(X[batch], y[batch])
        for name, w in by_hand.params.items():
            by_hand.params[name], configs[name] = rule(w, grads[name], configs[name])
    steps = compiled.compile((8, 6), "sgd_momentum")
    steps.run(X, y, rows=rows[:3])
    change(compiled)
    steps.run(X, y, rows=rows[3:])
    assert steps.why is None
    for name, array in _state(by_hand, configs).items():
        assert _state(compiled, steps.configs)[name].tobytes() == array.tobytes(), name


class _Twice(nn.Model):
    """One layer two times."""

    def __init__(self, **options):
        super().__init__(**options)
        self.again, self.out = nn.Affine(6), nn.Affine(3)

    def forward(self, x):
        return self.out(self.again(nn.Tanh()(self.again(x))))


def test_what_no_plan_covers_is_done_one_by_one():
    by_hand, compiled = _Twice(input_shape=(6,), rng=0), _Twice(input_shape=(6,), rng=0)
    X, y = _data(by_hand, np.float32)
    rows = np.random.default_rng(0).integers(0, ROWS, (3, 8))
    steps = compiled.compile((8, 6), "sgd")
    losses, _ = _by_hand(by_hand, "sgd", {}, X, y, rows)
    assert steps.run(X, y, rows=rows) == losses
    assert "used twice" in steps.why
    assert "used twice" in repr(steps)


def test_other_engines_do_it_one_by_one():
    by_hand, compiled = NETWORKS["wide"](), NETWORKS["wide"]()
    X, y = _data(by_hand, np.float32)
    rows = np.random.default_rng(0).integers(0, ROWS, (3, 8))
    with engines.use("vectorized"):
        losses, _ = _by_hand(by_hand, "sgd", {}, X, y, rows)
        steps = compiled.compile((8, 6), "sgd")
        assert steps.run(X, y, rows=rows) == losses
    assert "engine" in steps.why


def test_not_finite():
    model = NETWORKS["batch norm"]()
    X, y = _data(model, np.float32)
    steps = model.compile((8, 6), "sgd_momentum", {"learning_rate": 1e-2})
    steps.run(X, y, steps=3, rng=0)
    before = {name: array.copy() for name, array in _state(model, steps.configs).items()}
    for config in steps.configs.values():
        config["learning_rate"] = 1e38
    with pytest.raises(NonFiniteError, match="finite"):
        steps.run(X, y, steps=20, rng=0)
    for config in steps.configs.values():
        config["learning_rate"] = 1e-2
    for name, array in _state(model, steps.configs).items():
        if name != "scores":
            assert array.tobytes() == before[name].tobytes(), name


def test_mistakes():
    model = NETWORKS["wide"]()
    X, y = _data(model, np.float32)
    steps = model.compile((8, 6), "sgd")
    with pytest.raises(ShapeError, match="rows of"):
        steps.run(X[:, :5], y)
    with pytest.raises(ShapeError, match="rows of"):
        steps.run(X, y[:-1])
    with pytest.raises(ShapeError, match="rows must be"):
        steps.run(X, y, rows=np.zeros((2, 7), int))
    with pytest.raises(OptionError, match=r"in \[0, 40\)"):
        steps.run(X, y, rows=np.full((2, 8), 40))
    with pytest.raises(LabelError):
        steps.run(X, np.where(np.arange(ROWS) == 7, 3, y), rows=[[0] * 8, [7] * 8])
    with pytest.raises(OptionError, match="Invalid update_rule"):
        model.compile((8, 6), "newton")
    with pytest.raises(OptionError, match="learning_rat"):
        model.compile((8, 6), "sgd", {"learning_rat": 1})


def test_another_thread_that_trains_is_refused():
    """And a plan that is in use refuses to run twice."""
    model = NETWORKS["wide"]()
    X, y = _data(model, np.float32)
    steps = model.compile((8, 6), "sgd")
    steps.run(X, y, steps=2, rng=0)
    found = []

    def beside():
        try:
            steps.run(X, y, steps=2, rng=0)
        except ConcurrencyError as error:
            found.append(error)

    from handgrad.nn.state import training

    with training(model):
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["float32", "bf16"])
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(threads, kind):
    before = engines.get("native").control.threads()
    engines.set_threads(threads)
    try:
        _compare(NETWORKS["conv, batch norm, pool"], kind=kind)
    finally:
        engines.set_threads(before)


class TestMemory:
    def test_places_are_shared_by_what_does_not_meet(self):
        memory = Memory(np.dtype(np.float32))
        a, b, c, d = (memory.value(100) for _ in range(4))
        memory.op("copy", [a, b], [100])
        memory.op("copy", [b, c], [100])
        memory.op("copy", [c, d], [100])
        offsets, size = memory.places()
        assert len({offsets[a], offsets[b]}) == 2
        assert offsets[a] == offsets[c]
        assert size == 2 * 448

    def test_no_two_that_meet_overlap(self):
        rng = np.random.default_rng(0)
        memory = Memory(np.dtype(np.float64))
        slots = [memory.value(int(n)) for n in rng.integers(1, 200, 60)]
        for _ in range(120):
            memory.op("copy", [int(s) for s in rng.choice(slots, 2, replace=False)])
        offsets, size = memory.places()
        spans = {
            s: [at for at, (_, used, _, _) in enumerate(memory.ops) if s in used] for s in slots
        }
        used = [s for s in slots if spans[s]]
        for i, s in enumerate(used):
            assert offsets[s] % 64 == 0
            assert offsets[s] + memory.sizes[s] <= size
            for t in used[:i]:
                meet = spans[s][0] <= spans[t][-1] and spans[t][0] <= spans[s][-1]
                apart = (
                    offsets[s] + memory.sizes[s] <= offsets[t]
                    or offsets[t] + memory.sizes[t] <= offsets[s]
                )
                assert apart or not meet

    def test_a_slot_that_is_too_small_is_refused(self):
        from handgrad.engines.native import _kernels

        op = ("copy", [0, 1], [5], [])
        with pytest.raises(ValueError, match="needs more than its slot holds"):
            _kernels.plan32([16, 20], [0, 64], 128, [], [], [], [], [], 1, 0, 0, [op])
        with pytest.raises(ValueError, match="no operation"):
            _kernels.plan32([], [], 0, [], [], [], [], [], 1, 0, 0, [("dance", [], [], [])])
        with pytest.raises(ValueError, match="does not fit the memory"):
            _kernels.plan32([16], [64], 64, [], [], [], [], [], 1, 0, 0, [])


def test_not_covered_is_no_error_of_the_user():
    assert not issubclass(NotCovered, OptionError)
