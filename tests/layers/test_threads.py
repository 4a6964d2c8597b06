"""A call of a pair has its own mode, statistics and draws, whatever other threads do meanwhile."""

import numpy as np
import pytest

from handgrad import engines, layers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 2, 4, 4))
W, B, V = RNG.standard_normal((3, 2, 3, 3)), np.zeros(3), RNG.standard_normal((32, 3))
GAMMA, BETA = np.ones(3), np.zeros(3)
CONV, POOL = {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}
SANDWICHES = {
    "affine_bn_relu": lambda p: layers.affine_bn_relu_forward(X, V, B, GAMMA, BETA, p),
    "conv_bn_relu": lambda p: layers.conv_bn_relu_forward(X, W, B, GAMMA, BETA, CONV, p),
    "conv_bn_relu_pool": lambda p: layers.conv_bn_relu_pool_forward(
        X, W, B, GAMMA, BETA, CONV, p, POOL
    ),
}


def besides(forward, param, mode):
    """Return `forward`, beside which another thread changes `param`."""

    def call(*arguments, **options):
        param.update(mode=mode, running_mean=GAMMA * 1e3)
        return forward(*arguments, **options)

    return call


@pytest.mark.parametrize("engine", ["vectorized", "auto"])
@pytest.mark.parametrize("name", SANDWICHES)
@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_sandwich_reads_its_mode_when_it_begins(name, mode, engine, monkeypatch):
    with engines.use(engine):
        quiet = {"mode": mode}
        expected, _ = SANDWICHES[name](quiet)
        param = {"mode": mode}
        other = "test" if mode == "train" else "train"
        module = engines.get("vectorized" if engine == "vectorized" else engines.available()[-1])
        for linear in ("affine_forward", "conv_forward"):
            monkeypatch.setattr(module, linear, besides(getattr(module, linear), param, other))
        for names, run in (module.fused.CHAINS if module.fused else {}).items():
            monkeypatch.setitem(module.fused.CHAINS, names, besides(run, param, other))
        out, _ = SANDWICHES[name](param)
        np.testing.assert_array_equal(out, expected)
        if mode == "train":
            np.testing.assert_array_equal(param["running_mean"], quiet["running_mean"])
            np.testing.assert_array_equal(param["running_var"], quiet["running_var"])


class Steps(dict):
    """A dictionary that says how often the running statistics were written, and what was half done."""

    writes = 0

    def __setitem__(self, key, value):
        if key.startswith("running"):
            raise AssertionError(f"{key} is written alone")
        super().__setitem__(key, value)

    def update(self, *args, **kwargs):
        self.writes += 1
        super().update(*args, **kwargs)


@pytest.mark.parametrize("engine", ["naive", "vectorized", "auto"])
def test_statistics_are_written_in_one_step(engine):
    rows = X[:, 0, 0, :3].copy()
    calls = [
        *SANDWICHES.values(),
        lambda p: layers.batchnorm_forward(rows, GAMMA, BETA, p),
        lambda p: layers.spatial_batchnorm_forward(X, GAMMA[:2], BETA[:2], p),
        lambda p: layers.bn_gelu_forward(rows, GAMMA, BETA, p),
    ]
    with engines.use(engine):
        for call in calls:
            param = Steps(mode="train")
            call(param)
            assert param.writes == 1
            assert {"running_mean", "running_var"} <= param.keys()


def test_a_seed_leaves_the_global_stream_as_the_courses_have_it():
    def mask():
        return layers.dropout_forward(np.ones((50, 4)), {"mode": "train", "p": 0.5, "seed": 3})[0]

    expected = mask()
    state = np.random.get_state()[1].copy()
    np.random.seed(3)
    np.testing.assert_array_equal(expected, 2.0 * (np.random.rand(50, 4) < 0.5))
    np.testing.assert_array_equal(state, np.random.get_state()[1])


def test_a_seeded_mask_is_drawn_from_a_stream_of_its_own(monkeypatch):
    param = {"mode": "train", "p": 0.5, "seed": 3}
    expected, _ = layers.dropout_forward(np.ones((50, 4)), param)

    class Beside(np.random.RandomState):
        """While it draws, another thread uses NumPy's global stream."""

        def random(self, shape):
            np.random.rand(7)
            return super().random(shape)

    monkeypatch.setattr(np.random, "RandomState", Beside)
    seeded = np.random.seed

    def seed(value):
        seeded(value)
        np.random.rand(7)

    monkeypatch.setattr(np.random, "seed", seed)
    out, _ = layers.dropout_forward(np.ones((50, 4)), param)
    np.testing.assert_array_equal(out, expected)
