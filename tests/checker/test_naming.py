"""A mistake is named by its own cause, and by no other's."""

import numpy as np
import pytest
from checker import slips
from checker.needs import needs_a_copy

from handgrad import layers
from handgrad.checker import RIGHT, WRONG, check, update_rules
from handgrad.checker.hypotheses import generic
from handgrad.checker.reading import reused_loop_variable
from handgrad.checker.records import Call, Config, Raised
from handgrad.checker.wording import guilty_line

X = np.linspace(-1.0, 1.4, 12).reshape(4, 3)


@pytest.mark.parametrize(
    "slip", slips.SLIPS, ids=lambda slip: (slip[2] if slip[3] else slip[1]).__name__
)
def test_slips_are_named(slip):
    layer, forward, backward, which, names, words = slip
    report = check(forward, backward, layer=layer)
    verdict = report.verdicts[which]
    assert verdict.verdict == WRONG
    assert [cause.name for cause in verdict.causes][: len(names)] == names, verdict.causes
    assert words in " ".join(cause.says for cause in verdict.causes)
    assert not any("whole numbers" in cause.says for cause in verdict.causes)


def test_two_causes_are_said_together():
    report = check(slips.pool, slips.pool_backward_ties, layer="max_pool", strict=True)
    names = [cause.name for cause in report.verdicts[1].causes]
    assert names == ["every_maximum", "integer_truncation"]


def adam(w, dw, config, *, correct=lambda beta, t: 1 - beta**t, step=None):
    for key, value in (("learning_rate", 1e-3), ("beta1", 0.9), ("beta2", 0.999), ("t", 0)):
        config.setdefault(key, value)
    eps = config.setdefault("epsilon", 1e-8)
    config["t"] += 1
    config["m"] = config["beta1"] * config.get("m", 0) + (1 - config["beta1"]) * dw
    config["v"] = config["beta2"] * config.get("v", 0) + (1 - config["beta2"]) * dw * dw
    m = config["m"] / correct(config["beta1"], config["t"])
    root = np.sqrt(config["v"] / correct(config["beta2"], config["t"]))
    taken = m / (root + eps) if step is None else step(m, root, eps)
    return w - config["learning_rate"] * taken, config


def of_config(**more):
    return lambda w, dw, config=None: adam(w, dw, {} if config is None else config, **more)


def momentum(rate=1e-2, mu=0.9, key="momentum"):
    def rule(w, dw, config=None):
        config = {} if config is None else config
        v = (
            config.get(key, mu) * config.get("velocity", 0 * w)
            - config.get("learning_rate", rate) * dw
        )
        config["velocity"] = v
        return w + v, config

    return rule


@pytest.mark.parametrize(
    ("name", "rule", "causes", "words"),
    [
        ("adam", of_config(), [], ""),
        ("adam", of_config(correct=lambda b, t: 1 - (1 - b) ** t), ["correction_of_rest"], "(1 - beta)**t"),
        ("adam", of_config(step=lambda m, r, e: m / r + e), ["epsilon_outside"], "parenthesis"),
        ("adam", of_config(step=lambda m, r, e: m / (r - e)), ["epsilon_subtracted"], "subtracted"),
        ("sgd_momentum", momentum(), [], ""),
        ("sgd_momentum", momentum(rate=1e-4), ["default_learning_rate"], "learning_rate is 0.0001"),
        ("sgd_momentum", momentum(mu=0.95), ["default_momentum"], "momentum is 0.95"),
        ("sgd_momentum", momentum(key="mu"), ["momentum_fixed"], "not used"),
        (
            "sgd_momentum",
            momentum(rate=1e-3, key="mu"),
            ["default_learning_rate", "momentum_fixed"],
            "learning_rate is 0.001",
        ),
    ],
)  # fmt: skip
def test_settings_of_rules(name, rule, causes, words):
    verdict = update_rules.judge(name, rule)
    assert [cause.name for cause in verdict.causes] == causes
    assert words in " ".join(cause.says for cause in verdict.causes)


def test_a_factor_needs_two_sizes_to_be_named():
    def forward(x):
        return x**2, x

    def too_large(dout, x):
        return 2 * x * dout * len(x) / (len(x) - 1)

    (cause,) = check(forward, too_large, [X[:3]]).verdicts[1].causes
    assert "1.5 times" in cause.says
    assert "N / (N - 1)" in cause.says
    (cause,) = check(forward, too_large, [[X], [X[:3]]]).verdicts[1].causes
    assert cause.says.startswith("dx is too large by the factor N / (N - 1)")
    (cause,) = check(forward, lambda dout, x: 3 * x * dout, [[X], [X[:3]]]).verdicts[1].causes
    assert cause.name == "factor"
    assert "N /" not in cause.says


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_repeated_indices(shape):
    index = np.zeros(shape, int)

    def embed(W, index):
        return W[index], (W.shape, index)

    def backward(dout, cache):
        dW = np.zeros(cache[0])
        dW[cache[1]] += dout
        return dW

    def right(dout, cache):
        dW = np.zeros(cache[0])
        np.add.at(dW, cache[1], dout)
        return dW

    assert check(embed, right, {"W": X}, options=[index]).exit_code == 0
    (cause,) = check(embed, backward, {"W": X}, options=[index]).verdicts[1].causes
    assert cause.name == "repeated_index"
    assert "np.add.at" in cause.says


def scatter(x, index):
    return x[:, index] ** 2, (x, index)


def scatter_backward(dout, cache):
    x, index = cache
    dx = np.zeros(x.shape)
    dx[:, index] += 2 * x[:, index] * dout
    return dx


@needs_a_copy
def test_repeated_indices_by_an_edit():
    index = np.array([0, 2, 0])
    (cause,) = check(scatter, scatter_backward, {"x": X}, options=[index]).verdicts[1].causes
    assert cause.name == "repair"
    assert "np.add.at(dx" in cause.says


def test_a_wrong_shape_of_out_does_not_condemn_a_right_backward():
    def forward(x, gamma, beta, G, param):
        out, cache = layers.spatial_groupnorm_forward(x, gamma, beta, G, param)
        return out[:, None], cache

    report = check(forward, layers.spatial_groupnorm_backward, layer="spatial_groupnorm")
    assert [verdict.verdict for verdict in report.verdicts] == [WRONG, RIGHT]

    def wrong(dout, cache):
        dx, dgamma, dbeta = layers.spatial_groupnorm_backward(dout, cache)
        return 2 * dx, dgamma, dbeta

    report = check(forward, wrong, layer="spatial_groupnorm")
    assert [verdict.verdict for verdict in report.verdicts] == [WRONG, WRONG]


def norm_backward(dout, cache, own_hat=True):
    hat, gamma, std, centred = cache
    xhat = hat if own_hat else centred / std
    g = dout * gamma
    dx = (g - g.mean(axis=0) - xhat * (g * xhat).mean(axis=0)) / std
    return dx, (dout * hat).sum(axis=0), dout.sum(axis=0)


@needs_a_copy
@pytest.mark.parametrize(
    ("own_hat", "words"),
    [(True, "right as soon as batchnorm_forward is"), (False, "right for a right forward")],
)
def test_what_follows_from_a_wrong_forward_is_said_to(own_hat, words):
    def batchnorm_forward(x, gamma, beta, param):
        mean, var = x.mean(axis=0), x.var(axis=0)
        if param["mode"] == "test":
            mean, var = param["running_mean"], param["running_var"]
        eps, share = param.get("eps", 1e-5), param.get("momentum", 0.9)
        if param["mode"] == "train":
            for key, new in (("running_mean", mean), ("running_var", var)):
                param[key] = share * param.get(key, 0 * new) + (1 - share) * new
        hat = (x - mean) / (np.sqrt(var) + eps)
        return gamma * hat + beta, (hat, gamma, np.sqrt(var + eps), x - mean)

    def backward(dout, cache):
        return norm_backward(dout, cache, own_hat)

    forward, backward = check(batchnorm_forward, backward, layer="batchnorm").verdicts
    assert names_of(forward) == ["epsilon_outside"]
    assert names_of(backward) == ["forward"]
    assert words in backward.causes[0].says
    assert backward.causes[0].line == forward.causes[0].line


def test_a_wrong_backward_beside_a_wrong_forward_has_its_own_cause():
    def batchnorm_forward(x, gamma, beta, param):
        out, cache = layers.batchnorm_forward(x, gamma, beta, param)
        return out + 1, cache

    def backward(dout, cache):
        dx, dgamma, dbeta = layers.batchnorm_backward(dout, cache)
        return dx, 2 * dgamma, dbeta

    _, verdict = check(batchnorm_forward, backward, layer="batchnorm").verdicts
    assert names_of(verdict) == ["factor_2"]


def names_of(verdict):
    return [cause.name for cause in verdict.causes]


@pytest.mark.parametrize("sign", [0.0, -1.0, 2.0])
def test_a_sandwich_whose_forward_misplaces_the_bias(sign):
    def forward(x, w, b):
        out, affine = layers.affine_forward(x, w, sign * b)
        out, relu = layers.relu_forward(out)
        return out, (affine, relu)

    def backward(dout, cache, factor=1.0):
        return layers.affine_backward(layers.relu_backward(factor * dout, cache[1]), cache[0])

    report = check(forward, backward, layer="affine_relu")
    assert [verdict.verdict for verdict in report.verdicts] == [WRONG, RIGHT]
    report = check(forward, lambda dout, cache: backward(dout, cache, -1.0), layer="affine_relu")
    assert [verdict.verdict for verdict in report.verdicts] == [WRONG, WRONG]


def test_images_are_not_spoken_of_where_there_are_none():
    def forward(x, gamma, beta, param):
        if param["mode"] == "test":
            raise ValueError("not enough values to unpack (expected 4, got 2)")
        return layers.batchnorm_forward(x, gamma, beta, param)

    report = check(forward, layers.batchnorm_backward, layer="batchnorm", strict=True)
    assert report.verdicts[0].verdict == WRONG
    assert "image" not in str(report)
    assert "rows of C" not in str(report)


def idle_forward(x):
    return np.sin(x) * x, x


def idle_backward(dout, x):
    grad = np.cos(x) * x
    grad = grad - 0.0
    return dout * grad


def test_an_edit_that_computes_nothing_is_no_repair():
    (cause,) = check(idle_forward, idle_backward, [0 * X]).verdicts[1].causes or [None]
    assert cause is None or cause.name != "repair"


def test_docstrings_are_no_guilty_lines():
    text = 'def f(x):\n    """the sum\n    of sum\n    """\n    # sum\n    return sum(x)\n'
    lines = text.splitlines(keepends=True)
    assert guilty_line("sum", (lines, 10)) == 15


def test_loops_that_reuse_a_variable():
    nested = ["for i in a:\n", "    for j in b:\n", "        for i in c:\n", "            pass\n"]
    assert reused_loop_variable(nested) == ("i", 2, 0)
    apart = ["for i in a:\n", "    pass\n", "for i in b:\n", "    pass\n"]
    assert reused_loop_variable(apart) is None


@pytest.mark.parametrize(
    ("message", "cast"),
    [
        ("Cannot cast ufunc 'add' output from dtype('float64') to dtype('int64')", True),
        ("could not broadcast input array from shape (3,0,0) into shape (3,4,4)", False),
        ("cannot cast the plan into a tuple", False),
    ],
)
def test_only_a_cast_to_integers_is_called_one(message, cast):
    config = Config("x", {"x": X})
    call = Call(config, expected={"dx": X}, got={"dx": Raised("ValueError", message)})
    assert bool(generic._integers(call)) == cast
