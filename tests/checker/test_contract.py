"""What no course takes points for is a caution beside right; the strict contract calls it wrong."""

import importlib.util
import inspect
import sys

import numpy as np
import pytest
from checker import catalogue, right_pairs, slips

from handgrad import layers, models, optim
from handgrad.checker import RIGHT, UNTESTED, WRONG, check, update_rules
from handgrad.checker import models as model_judge
from handgrad.checker.known.table import LAYERS


def names(verdict):
    return [cause.name for cause in verdict.causes]


def softmax_loss(x, y):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    p[np.arange(len(y)), y] -= 1
    return loss, p / len(y)


def shifting_loss(x, y):
    x -= x.max(axis=1, keepdims=True)
    logs = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    dx = np.exp(logs)
    dx[np.arange(len(y)), y] -= 1
    return -logs[np.arange(len(y)), y].mean(), dx / len(y)


def relu_into_dout(dout, x):
    dout[x <= 0] = 0
    return dout


def relu_into_cache(dout, x):
    x[x > 0] = 1
    x[x < 0] = 0
    return x * dout


def affine_with_row(dout, cache):
    dx, dw, db = layers.affine_backward(dout, cache)
    return dx, dw, db[None]


def conv_of_contiguous(x, w, b, param):
    s, p = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="constant")
    N, C, H, W = padded.shape
    rows, columns = slips.conv_sizes(x, w, param)
    steps = padded.itemsize * np.array([C * H * W, s * W, s, H * W, W, 1])
    views = np.lib.stride_tricks.as_strided(padded, (N, rows, columns, C, *w.shape[2:]), steps)
    return np.einsum("nijcuv,fcuv->nfij", views, w) + b[:, None, None], (x, w, b, param)


def pool_like(dout, cache):
    return slips.pool_backward(dout, cache, like=lambda shape: np.zeros(shape, cache[0].dtype))


def loss_with_one_shift(x, y):
    p = np.exp(x - np.max(x))
    p /= np.sum(p, axis=1, keepdims=True)
    dx = p.copy()
    dx[np.arange(len(x)), y] -= 1
    return -np.sum(np.log(p[np.arange(len(x)), y])) / len(x), dx / len(x)


def loss_in_a_box(x, y):
    loss, dx = layers.softmax_loss(x, y)
    return np.reshape(loss, (1, 1)), dx


def tiled_pool(x, param):
    a, b, s = param["pool_height"], param["pool_width"], param["stride"]
    assert a == b == s, "windows must tile the image"
    assert x.shape[2] % a == 0
    assert x.shape[3] % b == 0
    return slips.pool(x, param)


tiled_pool.__name__ = "max_pool_forward_fast"

CAUTIONS = [
    (softmax_loss, None, "softmax_loss", 0, "scores of thousands", ["log_of_probability"]),
    (loss_with_one_shift, None, "softmax_loss", 0, "differ by thousands", ["shift_over_all"]),
    (loss_in_a_box, None, "softmax_loss", 0, "the courses' is one number", ["shape"]),
    (shifting_loss, None, "softmax_loss", 0, "changes x in place", ["scores_changed"]),
    (layers.relu_forward, relu_into_dout, "relu", 1, "dout in place", ["dout_changed"]),
    (layers.relu_forward, relu_into_cache, "relu", 1, "cache in place", ["cache_changed"]),
    (layers.affine_forward, affine_with_row, "affine", 1, "(1, M)", ["shape"]),
    (slips.pool, pool_like, "max_pool", 1, "integer x", ["integer_truncation"]),
    (conv_of_contiguous, None, "conv", 0, "memory layout", ["strides"]),
]


@pytest.mark.parametrize("row", CAUTIONS, ids=lambda row: row[-1][0])
def test_cautions(row):
    forward, backward, layer, which, words, causes = row
    if backward is layers.affine_backward or layer == "relu":
        forward = (lambda x: (np.maximum(x, 0), x)) if layer == "relu" else forward
    verdict = check(forward, backward, layer=layer).verdicts[which]
    assert verdict.verdict == RIGHT, verdict.causes
    assert words in " ".join(verdict.cautions)
    strict = check(forward, backward, layer=layer, strict=True).verdicts[which]
    assert strict.verdict == WRONG
    assert set(causes) <= set(names(strict))
    assert f"note: {verdict.cautions[0]}" in str(check(forward, backward, layer=layer))


def test_no_shift_is_wrong_by_any_contract():
    def loss(x, y):
        p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        dx = p.copy()
        dx[np.arange(len(y)), y] -= 1
        return -np.log(p[np.arange(len(y)), y]).mean(), dx / len(y)

    (verdict,) = check(loss, layer="softmax_loss").verdicts
    assert names(verdict) == ["no_max_shift"]


def test_a_logarithm_does_not_stand_before_the_real_cause():
    def loss(x, y):
        value, dx = softmax_loss(x, y)
        return value, dx * len(y)

    (verdict,) = check(loss, layer="softmax_loss").verdicts
    assert names(verdict) == ["times_batch"]
    assert "scores of thousands" in verdict.cautions[0]
    (strict,) = check(loss, layer="softmax_loss", strict=True).verdicts
    assert "times_batch" in names(strict)


def without_cache_at_test(x, gamma, beta, param):
    out, cache = layers.batchnorm_forward(x, gamma, beta, param)
    return out, cache if param["mode"] == "train" else None


def test_backward_of_batchnorm_in_test_mode_is_not_judged():
    report = check(without_cache_at_test, layers.batchnorm_backward, layer="batchnorm")
    assert [verdict.verdict for verdict in report.verdicts] == [RIGHT, RIGHT]
    assert not report.verdicts[1].cautions
    strict = check(without_cache_at_test, layers.batchnorm_backward, layer="batchnorm", strict=True)
    assert strict.verdicts[1].verdict == WRONG


def test_it_does_not_drown_the_real_cause():
    def backward(dout, cache):
        dx, dgamma, dbeta = layers.batchnorm_backward(dout, cache)
        return -dx, dgamma, dbeta

    report = check(without_cache_at_test, backward, layer="batchnorm")
    assert names(report.verdicts[1]) == ["sign"]


def test_fast_layers_may_refuse_windows_that_do_not_tile():
    report = check(tiled_pool, slips.pool_backward, layer="max_pool")
    assert report.exit_code == 0
    assert check(tiled_pool, slips.pool_backward, layer="max_pool", strict=True).exit_code == 1

    def plain(x, param):
        return tiled_pool(x, param)

    assert check(plain, slips.pool_backward, layer="max_pool").exit_code == 1


def test_adam_with_the_epsilon_of_the_paper():
    def rule(w, dw, config=None):
        config = {} if config is None else config
        s = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **config}
        t = config["t"] = config.get("t", 0) + 1
        config["m"] = s["beta1"] * config.get("m", 0 * w) + (1 - s["beta1"]) * dw
        config["v"] = s["beta2"] * config.get("v", 0 * w) + (1 - s["beta2"]) * dw * dw
        rate = s["learning_rate"] * np.sqrt(1 - s["beta2"] ** t) / (1 - s["beta1"] ** t)
        return w - rate * config["m"] / (np.sqrt(config["v"]) + s["epsilon"]), config

    verdict = update_rules.judge("adam", rule)
    assert verdict.verdict == RIGHT
    assert "epsilon-hat" in verdict.cautions[0]
    assert names(update_rules.judge("adam", rule, strict=True)) == ["epsilon_hat"]


def test_adam_of_2017_counts_from_one():
    def rule(w, dw, config=None):
        config = {} if config is None else config
        config.setdefault("t", 1)
        return optim.get_rule("adam")(w, dw, config)

    assert update_rules.judge("adam", rule, adam_t=1).verdict == RIGHT
    assert names(update_rules.judge("adam", rule)) == ["t_from_one"]
    zero = update_rules.judge("adam", optim.get_rule("adam"), adam_t=1)
    assert zero.verdict == RIGHT
    assert "t starts at 0" in zero.cautions[0]


class RowBiases(models.TwoLayerNet):
    def __init__(self, input_dim=12, hidden_dim=40, num_classes=7, weight_scale=1e-3, reg=0.0):
        super().__init__(input_dim, hidden_dim, num_classes, weight_scale, reg)
        self._params = {k: v[None] if k[0] == "b" else v for k, v in self.params.items()}

    def loss(self, X, y=None):
        kept = self.params
        flat = {k: v[0] if k[0] == "b" else v for k, v in kept.items()}
        try:
            self._params = flat
            result = super().loss(X, y)
        finally:
            self._params = kept
        return result


class NoEmpty(models.FullyConnectedNet):
    def __init__(self, hidden_dims, input_dim=15, num_classes=7, reg=0.0, weight_scale=1e-2):
        assert hidden_dims[0]
        super().__init__(
            hidden_dims, input_dim, num_classes, reg=reg, weight_scale=weight_scale, dtype=float
        )


@pytest.mark.parametrize(
    ("name", "cls", "words"),
    [("TwoLayerNet", RowBiases, "(1, 40)"), ("FullyConnectedNet", NoEmpty, "")],
)
def test_networks(name, cls, words):
    verdict = model_judge.judge(name, cls)
    assert verdict.verdict == RIGHT, verdict.causes
    assert words in " ".join(verdict.cautions)
    strict = model_judge.judge(name, cls, strict=True)
    assert strict.verdict == WRONG
    lines, first = inspect.getsourcelines(cls)
    inside = range(first, first + len(lines))
    assert all(cause.line is None or cause.line in inside for cause in strict.causes)


def test_a_line_of_the_courses_own_file_is_a_caution_in_that_course(tmp_path, monkeypatch):
    (bug,) = [bug for bug in catalogue.CATALOGUE if bug.new == "bn_param[mode] = mode"]
    path = tmp_path / "fc_net.py"
    path.write_text(catalogue.planted(bug), "utf-8")
    spec = importlib.util.spec_from_file_location("planted_fc_net", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "planted_fc_net", module)
    spec.loader.exec_module(module)
    judge = model_judge.judge
    name, cls = "FullyConnectedNet", module.FullyConnectedNet
    assert judge(name, cls).verdict == WRONG
    verdict = judge(name, cls, train_only=True)
    assert verdict.verdict == RIGHT, verdict.causes
    assert "bn_param['mode'] = mode" in verdict.cautions[0]
    assert judge(name, cls, strict=True, train_only=True).verdict == WRONG


OWN = [layer for layer in LAYERS if hasattr(layers, layer.name) or not layer.loss]


@pytest.mark.parametrize("layer", OWN, ids=lambda layer: layer.name)
def test_the_librarys_own_layers_pass_the_strict_contract(layer):
    if layer.loss:
        function = getattr(layers, layer.name)
        report = check(function, layer=layer.name, strict=True)
    else:
        forward = getattr(layers, f"{layer.name}_forward")
        backward = getattr(layers, f"{layer.name}_backward")
        report = check(forward, backward, layer=layer.name, strict=True)
    assert {verdict.verdict for verdict in report.verdicts} <= {RIGHT, UNTESTED}, str(report)
    assert RIGHT in {verdict.verdict for verdict in report.verdicts}
    assert not any(verdict.cautions for verdict in report.verdicts)


@pytest.mark.parametrize("name", update_rules.NAMES)
def test_the_librarys_own_rules_pass_the_strict_contract(name):
    assert update_rules.judge(name, optim.get_rule(name), strict=True).verdict == RIGHT


@pytest.mark.parametrize("name", model_judge.NAMES)
def test_the_librarys_own_networks_pass_the_strict_contract(name):
    verdict = model_judge.judge(name, getattr(models, name), strict=True)
    assert verdict.verdict == RIGHT, verdict.causes


def test_right_variants_are_right_by_the_strict_contract_too():
    pairs = list(right_pairs.variants())
    wrong = [
        name
        for name, forward, backward, options in pairs[:12]
        if check(forward, backward, **options, strict=True).exit_code == 1
    ]
    assert not wrong
