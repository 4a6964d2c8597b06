# ruff: noqa: E501  (one bug a line)
"""A catalogue of planted bugs: what students get wrong, in a right solution, one at a time.

Each bug is a change of the text of one function of a solution.  The checker must call that function
wrong and name the bug first: by one of its names, or, as "repair", by the edit of the very line that
it was planted in.  Run this file for the confusion table:

    python tests/checker/catalogue.py [GROUP ...]

There are six groups.  The hypotheses were tuned on "solution".  The others were written as fresh sets,
in solutions of other styles, and run once before anything was tuned on them; `HISTORY` keeps what
that first run gave.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

from handgrad.checker import Report, Verdict, check_path

SOLUTION = Path(__file__).with_name("solution.py")
FRESH = ("matrices", "loops", "windows", "again", "assignments", "ucla")
HISTORY = {
    "matrices": "first run: 116 bugs, all found, 76 named first (65.5 %)",
    "loops": "first run: 114 bugs, all found, 71 named first (62.3 %); with the search for edits, 95 %",
    "windows": "first run: 92 bugs, 91 found (98.9 %), 86 named first (93.5 %)",
    "assignments": "first run: 77 bugs, all found, 66 named first (85.7 %)",
    "ucla": "first run: 62 bugs, all found, 52 named first (83.9 %), 8 others by a right name that was not listed",
    "again": "first run: 45 bugs, all found, 41 named first (91.1 %); nothing was tuned on it since",
}


class Bug(NamedTuple):
    """In `function`, `old` becomes `new`; the diagnosis must be one of `names`.

    group: the solution that it is planted in; words: what was planted.
    """

    function: str
    old: str
    new: str
    names: tuple[str, ...]
    group: str = "solution"
    words: str = ""

    @property
    def id(self) -> str:
        return f"{self.function}-{self.names[0]}-{abs(hash_of(self.new)) % 1000:03d}"

    @property
    def outer(self) -> str:
        """The function, or the class of the method."""
        return self.function.partition(".")[0]

    @property
    def solution(self) -> Path:
        """The right file."""
        if self.group in ("solution", "again"):
            return SOLUTION
        return SOLUTION.parent / "students" / f"{self.group}.py"


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())


def planted(bug: Bug) -> str:
    """The text of the solution with the bug in it."""
    text = bug.solution.read_text("utf-8")
    start = re.search(rf"^(def|class) {bug.outer}\b", text, re.M)
    assert start, f"no {bug.function}"
    end = re.search(r"^(def|class) ", text[start.end() :], re.M)
    stop = start.end() + end.start() if end else len(text)
    body = text[start.start() : stop]
    assert bug.old in body, f"{bug.id}: {bug.old!r} is not in {bug.function}"
    return text[: start.start()] + body.replace(bug.old, bug.new) + text[stop:]


# what no course takes points for: right by default, WRONG by the strict contract
_STRICT = {
    "input_changed", "dout_changed", "cache_changed", "integer_truncation", "log_of_probability",
    "shift_over_all",
}  # fmt: skip
_STRICT_WORDS = {"db shape (1,M)", "test-mode raise (KeyError) in backward"}


def is_strict(bug: Bug) -> bool:
    """Whether the bug breaks the library's contract only, not the courses'."""
    odd_image = bug.function == "ThreeLayerConvNet" and "weight_shape" in bug.names
    if "input_changed" in bug.names and bug.function == "affine_forward":
        return False  # its output is wrong too
    return bool(_STRICT & set(bug.names)) or bug.words in _STRICT_WORDS or odd_image


def check_bug(bug: Bug, folder: Path, strict: bool | None = None) -> Report:
    """Check the solution's function with the bug in it, by the contract that the bug breaks."""
    path = folder / "submission.py"
    path.write_text(planted(bug), "utf-8")
    strict = is_strict(bug) if strict is None else strict
    return check_path(str(path), only=bug.outer, strict=strict)


def verdict_on(bug: Bug, report: Report) -> Verdict:
    """The verdict on the function that the bug is in."""
    return report[bug.function]


def rows(function: str, *bugs: tuple[str, str, str]) -> list[Bug]:
    return [Bug(function, old, new, tuple(names.split("|"))) for old, new, names in bugs]


CATALOGUE = [
    *rows(
        "affine_forward",
        ("rows.dot(w) + b", "rows.dot(w)", "bias_missing"),
        ("rows.dot(w) + b", "rows.dot(w) - b", "bias_subtracted"),
        ("rows = x.reshape(N, -1)", "rows = x", "not_flattened|raises"),
        ("rows = x.reshape(N, -1)", "rows = x.reshape(N, -1)\n    rows *= 2", "input_changed"),
        ("(N, -1)", "(N, -1, order='F')", "reshaped_order"),
    ),
    *rows(
        "affine_backward",
        ("dout.dot(w.T)", "dout.dot(w)", "transposed"),
        (".T.dot(dout)", ".T.dot(dout).T", "transposed"),
        ("np.sum(dout, axis=0)", "dout", "missing_sum"),
        ("np.sum(dout, axis=0)", "np.sum(dout, axis=1)", "sum_over_columns"),
        ("np.sum(dout, axis=0)", "np.sum(dout)", "sum_over_all|extra_sum"),
        ("np.sum(dout, axis=0)", "np.mean(dout, axis=0)", "over_batch"),
        (".T.dot(dout)", ".T.dot(dout) / N", "over_batch"),
        (".reshape(x.shape)", "", "not_reshaped|shape"),
        ("dx = dout", "dx = -dout", "sign"),
        ("return dx, dw, db", "return dw, dx, db", "swapped_x_w"),
        ("    return", "    dout *= 0\n    return", "dout_changed"),
        (".T.dot(dout)", ".T.dot(np.ones_like(dout))", "dout_unused"),
        ("np.sum(dout, axis=0)", "np.zeros_like(b)", "zero"),
    ),
    *rows(
        "relu_forward",
        ("np.maximum(0, x)", "np.abs(x)", "relu_absolute"),
        ("np.maximum(0, x)", "np.maximum(0, x, out=x)", "input_changed"),
        ("np.maximum(0, x)", "np.maximum(1, x)", "relu_max_one"),
    ),
    *rows(
        "relu_backward",
        ("(x > 0)", "(dout > 0)", "relu_mask_of_dout"),
        ("dout * (x > 0)", "dout", "relu_mask_lost"),
        ("(x > 0)", "(x < 0)", "relu_mask_negated"),
        ("dout * (x > 0)", "1.0 * (x > 0)", "relu_mask_without_dout|dout_unused"),
        ("dx = ", "x[x < 0] = 0\n    dx = ", "cache_changed"),
        ("dx = dout * (x > 0)", "dout[x <= 0] = 0\n    dx = dout", "dout_changed"),
    ),
    *rows(
        "softmax_loss",
        ("x - np.max(x, axis=1, keepdims=True)", "x", "no_max_shift"),
        ("log_probs = shifted - np.log(Z)", "log_probs = np.log(np.exp(shifted) / Z)", "log_of_probability"),
        ("np.max(x, axis=1, keepdims=True)", "np.max(x)", "shift_over_all"),
        ("y]) / N", "y])", "times_batch"),
        ("dx /= N", "pass", "times_batch"),
        ("-= 1", "+= 1", "label_added"),
        ("dx[np.arange(N), y] -= 1", "dx[:, y] -= 1", "label_column"),
        ("dx[np.arange(N), y] -= 1", "pass", "label_missing"),
        ("loss = -np", "loss = np", "sign"),
    ),
    *rows(
        "svm_loss",
        ("    margins[np.arange(N), y] = 0\n", "", "true_class_counted"),
        (" + 1.0)", ")", "margin_missing"),
        ("num_pos\n", "1\n", "own_class_once"),
        ("-= num_pos", "+= num_pos", "own_class_sign"),
        ("dx[np.arange(N), y] -= num_pos", "pass", "own_class_gradient"),
        ("dx /= N", "pass", "times_batch"),
    ),
    *rows(
        "batchnorm_forward",
        ("(1 - momentum) * var", "(1 - momentum) * np.var(x, axis=0, ddof=1)", "unbiased_running"),
        ("var = np.mean(xmu**2, axis=0)", "var = np.var(x, axis=0, ddof=1)", "unbiased_normalised"),
        ("momentum * running_mean + (1 - momentum) * mu", "(1 - momentum) * running_mean + momentum * mu", "momentum_swapped"),
        ("running_mean = momentum * running_mean + (1 - momentum) * mu\n        running_var = momentum * running_var + (1 - momentum) * var", "running_mean, running_var = mu, var", "momentum_unused"),
        ('    bn_param["running_mean"] = running_mean\n    bn_param["running_var"] = running_var\n', "", "running_not_stored"),
        ("np.sqrt(var + eps)", "np.sqrt(var) + eps", "epsilon_outside"),
        ("np.sqrt(running_var + eps)", "np.sqrt(running_var) + eps", "epsilon_outside"),
        ("xhat = (x - running_mean) / std", "xhat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)", "batch_statistics_at_test"),
        ("np.sqrt(running_var + eps)", "(running_var + eps)", "root_missing|variance_as_deviation"),
        ("axis=0)", "axis=1, keepdims=True)", "wrong_axis"),
        ("gamma * xhat + beta", "gamma * xhat", "beta_missing"),
        ('bn_param.get("eps", 1e-5)', "1e-5", "epsilon_fixed"),
        ('bn_param.get("momentum", 0.9)', "0.9", "momentum_fixed"),
        ("np.mean(xmu**2, axis=0)", "np.mean(x**2, axis=0)", "variance_not_centred"),
        ("xmu = x - mu", "x -= mu\n        xmu = x", "input_changed"),
    ),
    *rows(
        "batchnorm_backward",
        ("dxmu += 2.0 * xmu * dvar / N", "pass", "variance_path_forgotten"),
        ("dx = dxmu + dmu / N", "dx = dxmu", "mean_path_forgotten"),
        ("dx = dxmu + dmu / N", "dx = dxhat / std", "statistics_constant"),
        ("dmu / N", "dmu", "mean_not_divided"),
        ("dvar / N", "dvar", "variance_not_divided"),
        ("2.0 * xmu", "xmu", "variance_path_halved"),
        ("* -1 / std", "/ std", "variance_path_sign"),
        ("dxhat = dout * gamma", "dxhat = dout", "gamma_missing"),
        ("np.sum(dout * xhat, axis=0)", "np.sum(dout * x, axis=0)", "dgamma_of_x"),
        ("np.sum(dout * xhat, axis=0)", "np.sum(dout, axis=0)", "dgamma_without_xhat"),
        ("return dx, dgamma, dbeta", "return dx, dbeta, dgamma", "swapped_gamma_beta"),
    ),
    *rows(
        "batchnorm_backward_alt",
        ("- xhat * dgamma", "", "variance_path_forgotten"),
        ("- dbeta", "", "mean_path_forgotten"),
        ("(N * std)", "std", "times_batch"),
        ("gamma / (N * std)", "1 / (N * std)", "gamma_missing"),
    ),
    *rows(
        "layernorm_forward",
        ("axis=1", "axis=0", "wrong_axis"),
        ("np.sqrt(var + eps)", "np.sqrt(var) + eps", "epsilon_outside"),
        ("np.var(x, axis=1, keepdims=True)", "np.var(x, axis=1, ddof=1, keepdims=True)", "unbiased_normalised"),
        ("np.sqrt(var + eps)", "np.sqrt(var)", "epsilon_missing"),
    ),
    *rows(
        "layernorm_backward",
        ("dxhat = dout * gamma", "dxhat = dout", "gamma_missing"),
        ("    dx = dx - xhat * np.sum(dxhat * xhat, axis=1, keepdims=True)\n", "", "variance_path_forgotten"),
        (" - np.sum(dxhat, axis=1, keepdims=True)", "", "mean_path_forgotten"),
        ("np.sum(dout * xhat, axis=0)", "np.sum(dout * xhat, axis=1)", "wrong_sum"),
        ("(D * std)", "std", "times_row"),
    ),
    *rows(
        "dropout_forward",
        ("(np.random.rand(*x.shape) < p) / p", "np.random.rand(*x.shape) < p", "unscaled"),
        ("(np.random.rand(*x.shape) < p) / p", "(np.random.rand(*x.shape) > p) / (1 - p)", "p_swapped"),
        ("(np.random.rand(*x.shape) < p) / p", "(np.random.rand(*x.shape) > p) / p", "wrong_scale"),
        ("< p) / p", "< p) / (1 - p)", "wrong_scale"),
        ("np.random.rand(*x.shape)", "np.random.rand(1, *x.shape[1:])", "mask_shared"),
        ("        out = x\n", "        out = x * p\n", "scaled_at_test"),
        ("np.random.rand(*x.shape)", "np.random.RandomState(0).rand(*x.shape)", "mask_reused"),
        ("np.random.rand(*x.shape)", "np.random.default_rng().random(x.shape)", "not_repeatable"),
        ("out = x * mask", "x *= mask\n        out = x", "input_changed"),
    ),
    *rows(
        "dropout_backward",
        ("dx = dout * mask", "dx = dout", "mask_lost"),
        ("dx = dout * mask", "dx = dout * mask / p", "mask_scaled_twice"),
        ("dx = dout * mask", "dx = dout * (mask > 0)", "mask_unscaled"),
        ("dx = dout * mask", "dx = dout * (np.random.rand(*dout.shape) < p) / p", "mask_regenerated"),
        ("dx = dout * mask", "dx = dout * (mask == 0) / p", "mask_negated"),
    ),
    *rows(
        "conv_forward_naive",
        (" + b[f]", "", "bias_missing"),
        ("window * w[f]) + b[f]", "window * w[f] + b[f])", "bias_in_sum"),
        ("* w[f])", "* w[f, :, ::-1, ::-1])", "kernel_flipped"),
        ("i * stride, j * stride", "i, j", "stride_ignored"),
        ('mode="constant"', 'mode="edge"', "padding_edge"),
        ("np.zeros((N, F, H_out, W_out))", "np.zeros((N, F, H_out, W_out), dtype=x.dtype)", "integer_truncation"),
        ("i * stride, j * stride", "i * stride, j", "stride_rows_only"),
    ),
    *rows(
        "conv_backward_naive",
        ("+= w[f] * dout[n, f, i, j]", "= w[f] * dout[n, f, i, j]", "assigned"),
        ("dx_pad[n, :, h : h + HH, v : v + WW] +=", "dx_pad[f, :, h : h + HH, v : v + WW] +=", "index_by_filter"),
        ("dx_pad[n, :, h : h + HH, v : v + WW] += w[f] * dout", "dx_pad[f, :, h : h + HH, v : v + WW] += w[f] + dout", "index_by_filter"),
        ("pad : pad + H, pad : pad + W]", "pad:-pad, pad:-pad]", "crop_negative"),
        ("dx_pad[:, :, pad : pad + H, pad : pad + W]", "dx_pad", "crop_missing"),
        ("pad : pad + H, pad : pad + W]", ":H, :W]", "crop_corner"),
        ("i * stride, j * stride", "i, j", "stride_ignored"),
        ("db[f] += np.sum(dout[n, f])", "db[f] = np.sum(dout[n, f])", "assigned_db"),
        ("dw[f] +=", "dw[f] =", "assigned_dw"),
        ("np.zeros(b.shape)", "np.zeros_like(b)", "integer_truncation"),
        ("np.zeros(x_pad.shape)", "np.zeros_like(x_pad)", "integer_truncation"),
        ("np.sum(dout[n, f])", "np.mean(dout[n, f])", "over_space"),
        ("+= w[f] * dout[n, f, i, j]", "+= w[f, :, ::-1, ::-1] * dout[n, f, i, j]", "kernel_flipped"),
    ),
    *rows(
        "max_pool_forward_naive",
        ("np.max(", "np.mean(", "pool_mean"),
        ("np.max(x[:, :, h : h + ph, v : v + pw], axis=(2, 3))", "np.maximum(0, np.max(x[:, :, h : h + ph, v : v + pw], axis=(2, 3)))", "pool_from_zero"),
    ),
    *rows(
        "max_pool_backward_naive",
        ("v + q] +=", "v + q] =", "assigned"),
        ("r, q = np.unravel_index(np.argmax(window), window.shape)\n                    dx[n, c, h + r, v + q] +=", "dx[n, c, h : h + ph, v : v + pw] += (window == np.max(window)) *", "every_maximum"),
        ("r, q = np.unravel_index(np.argmax(window), window.shape)\n                    dx[n, c, h + r, v + q] +=", "dx[n, c, h : h + ph, v : v + pw] = (window == np.max(window)) *", "assigned"),
        ("h + r, v + q", "r, q", "window_offset"),
        ("np.zeros(x.shape)", "np.zeros_like(x)", "integer_truncation"),
    ),
    *rows(
        "spatial_batchnorm_forward",
        ("x.transpose(0, 2, 3, 1).reshape(-1, C)", "x.reshape(-1, C)", "channels_not_moved"),
    ),
    *rows(
        "spatial_groupnorm_forward",
        ("axis=(2, 3, 4)", "axis=(3, 4)", "wrong_axis"),
        ("axis=(2, 3, 4)", "axis=(0, 2, 3, 4)", "wrong_axis"),
        ("x.reshape(N, G, C // G, H, W)", "x.reshape(N, C // G, G, H, W)", "group_size"),
    ),
    *rows(
        "spatial_groupnorm_backward",
        (", keepdims=True)\n    dgamma", ")\n    dgamma", "shape"),
        ("axis=(0, 2, 3), keepdims=True)\n    dxhat", "axis=(2, 3), keepdims=True)\n    dxhat", "wrong_sum"),
        ("m = C // G * H * W", "m = H * W", "wrong_count"),
    ),
    *rows("sgd", ("w -= ", "w += ", "sgd_sign")),
    *rows(
        "sgd_momentum",
        ('config["momentum"] * v - config', '(1 - config["momentum"]) * v - config', "momentum_swapped"),
        ('* v - config["learning_rate"]', '* v + config["learning_rate"]', "momentum_sign"),
        ('    config["velocity"] = v\n', '    config.setdefault("velocity", np.zeros_like(w))\n', "velocity_not_stored"),
        ("next_w = w + v", "next_w = w - v", "momentum_subtracted"),
        ('config["learning_rate"] * dw', "dw", "learning_rate_missing"),
    ),
    *rows(
        "rmsprop",
        ('(np.sqrt(cache) + config["epsilon"])', 'np.sqrt(cache + config["epsilon"])', "epsilon_inside"),
        ('decay * config["cache"] + (1 - decay)', '(1 - decay) * config["cache"] + decay', "decay_swapped"),
        ("dw**2", "dw", "not_squared"),
        ("np.sqrt(cache)", "cache", "root_missing"),
        ('    config["cache"] = cache\n', "", "cache_not_stored"),
    ),
    *rows(
        "adam",
        ("m / (1 - beta1**t)", "m", "no_first_correction"),
        ("mt = m / (1 - beta1**t)\n    vt = v / (1 - beta2**t)", "mt, vt = m, v", "no_bias_correction"),
        ('config["t"] + 1', 'config["t"]', "t_never|t_late"),
        ('"t", 0', '"t", 1', "t_from_one"),
        ("(np.sqrt(vt) + eps)", "np.sqrt(vt + eps)", "epsilon_inside"),
        ("dw**2", "dw", "not_squared"),
        ("beta1**t", "beta1", "no_power"),
        ('beta1, beta2, eps = config["beta1"], config["beta2"]', 'beta2, beta1, eps = config["beta1"], config["beta2"]', "betas_swapped"),
        ('config["m"], config["v"], config["t"] = m, v, t', 'config["m"], config["v"], config["t"] = mt, vt, t', "corrected_stored"),
        (', config["t"] = m, v, t', " = m, v", "t_fixed"),
    ),
    *rows(
        "TwoLayerNet",
        ("0.5 * self.reg * (", "self.reg * (", "reg_without_half"),
        ('        grads["W1"] += self.reg * W1\n        grads["W2"] += self.reg * W2\n', "", "reg_not_in_gradient"),
        ('grads["W1"] += self.reg * W1', 'grads["W1"] += self.reg * W1\n        grads["b1"] += self.reg * b1', "reg_gradient_biases"),
        ("weight_scale * np.random.randn(input_dim", "np.random.randn(input_dim", "weight_scale"),
        ("np.zeros(hidden_dim)", "np.random.randn(hidden_dim)", "bias_start"),
    ),
    *rows(
        "FullyConnectedNet",
        ("list(hidden_dims) + [num_classes]", "list(hidden_dims) + [hidden_dims[-1] if hidden_dims else num_classes]", "weight_shape"),
        ('bn_param["mode"] = mode', "bn_param[mode] = mode", "test_mode"),
        ("grads[\"gamma%d\" % i], grads[\"beta%d\" % i] = dgamma, dbeta", "pass", "gradient_missing"),
        ("grads[\"gamma%d\" % i], grads[\"beta%d\" % i] = dgamma, dbeta", "grads[\"gamma%d\" % i], grads[\"beta%d\" % i] = 0 * dgamma, dbeta", "gamma_unused"),
        ("            loss += 0.5 * self.reg * np.sum(W * W)\n", "            loss += 0.5 * self.reg * np.sum(W * W)\n            loss += 0.5 * self.reg * np.sum(self.params['b%d' % i] ** 2)\n            grads['b%d' % i] = grads['b%d' % i] + self.reg * self.params['b%d' % i]\n", "reg_biases"),
        ("for i in range(1, L + 1):", "for i in range(1, L):", "reg_not_last"),
        ("[input_dim] + list(hidden_dims) + [num_classes]", "hidden_dims\n        dims.insert(0, input_dim)\n        dims.append(num_classes)", "argument_changed|raises"),
        ("dout = dropout_backward(dout, drop)", "pass", "dropout_gradient"),
        ('self.dropout_param["mode"] = mode', "pass", "dropout_at_test"),
        ("+ self.reg * W", "+ 2 * self.reg * W", "reg_gradient_doubled"),
    ),
    *rows(
        "ThreeLayerConvNet",
        ("num_filters * (H // 2) * (W // 2)", "num_filters * H // 2 * W // 2", "weight_shape"),
        ('grads["W1"] += self.reg * W1', "pass", "reg_one_not_in_gradient"),
        (
            "        grads[\"W1\"] += self.reg * W1\n        grads[\"W2\"] += self.reg * W2\n        grads[\"W3\"] += self.reg * W3\n",
            "        for k in (\"W1\", \"W2\", \"W3\"):\n            grads[k] += self.reg * self.params[k].sum()\n",
            "reg_gradient_summed",
        ),
        ("for W in (W1, W2, W3)", "for W in (W2, W3)", "reg_one_not_in_loss"),
    ),
]  # fmt: skip


def fresh_bugs(group: str) -> list[Bug]:
    """The bugs of a fresh group."""
    rows = importlib.import_module(f"checker.students.{group}_bugs").ROWS
    return [
        Bug(f, old, new, tuple(names.split("|")), group, words)
        for f, old, new, names, words in rows
    ]


def bugs(group: str) -> list[Bug]:
    """The bugs of any group."""
    return CATALOGUE if group == "solution" else fresh_bugs(group)


def changed_lines(bug: Bug) -> set[int]:
    """The lines of the planted text that differ from the right one, and the line after a deletion."""
    right, wrong = bug.solution.read_text("utf-8").splitlines(), planted(bug).splitlines()
    matcher = difflib.SequenceMatcher(None, right, wrong, autojunk=False)
    return {
        line + 1
        for tag, _, _, first, last in matcher.get_opcodes()
        if tag != "equal"
        for line in range(first, max(last, first + 1))
    }


def is_named(bug: Bug, verdict: Verdict) -> bool:
    """Whether the first cause is the planted one."""
    if not verdict.causes or verdict.causes[0].name not in bug.names:
        return False
    first = verdict.causes[0]
    return first.name != "repair" or first.line in changed_lines(bug)


def table(group: str = "solution") -> tuple[str, float, float]:
    """The confusion table of a group, and the shares that were found and named."""
    lines, found, named = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for bug in bugs(group):
            verdict = verdict_on(bug, check_bug(bug, Path(folder)))
            first = verdict.causes[0].name if verdict.causes else "-"
            found += bool(verdict.causes)
            hit = is_named(bug, verdict)
            named += hit
            mark = " " if hit else "!" if verdict.causes else "MISSED"
            lines.append(f"{bug.function:<28} {bug.names[0]:<26} {first:<26} {mark}")
    total = len(bugs(group))
    head = f"{'function':<28} {'planted':<26} {'named':<26}"
    foot = f"{total} planted bugs: found {found} ({found / total:.1%}), named first {named} ({named / total:.1%})"
    foot = f"{group}: {foot}"
    if group in HISTORY:
        foot += f"\n    {HISTORY[group]}"
    return "\n".join([head, *lines, foot]), found / total, named / total


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sums = []
    for chosen in sys.argv[1:] or ["solution", *FRESH]:
        text, all_found, most_named = table(chosen)
        print(text, end="\n\n", flush=True)  # noqa: T201
        sums.append((all_found, most_named))
    sys.exit(not all(all_found == 1 and most_named >= 0.85 for all_found, most_named in sums))
