"""What a model's scores, loss and gradients must be, beside the library's model of the same parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.networks.joins import Facts
from handgrad.checker.known.scenarios import Scenario
from handgrad.checker.records import Call, Config, is_numeric, scales_of
from handgrad.checker.undisturbed import fresh, run


def expected_of(truth: Any, scenario: Scenario, X: Any, y: Any, stored: Any) -> Call:
    """Return what scores, loss and gradients must be, with the facts that hypotheses need.

    stored: the code's own dictionaries of batch norm after its loss was called, if it has them.
    """
    base = fresh(truth)
    base.reg = 0.0
    data_loss, data_grads = base.loss(X, y)
    expected_loss, expected = truth.loss(X, y)
    norm = scenario.arguments.get("normalization", "")
    by_stored = _scores_by(truth, X, stored) if norm == "batchnorm" else None
    facts = Facts(
        scenario.reg, fresh(dict(truth.params)), y, norm, data_loss, data_grads, by_stored
    )
    size = scenario.arguments.get("filter_size")
    traits = frozenset({f"filter_size is {size}"} if size else ())
    call = Call(Config(scenario.name, {"X": X}, (facts,), traits=traits), tolerance=1e-7)
    call.expected = {"scores": truth.loss(X), "loss": expected_loss}
    call.expected |= {"d" + key: value for key, value in expected.items()}
    call.scale = scales_of({k: v for k, v in call.expected.items() if k not in ("scores", "loss")})
    return call


def _scores_by(truth: Any, X: Any, stored: Any) -> Any:
    """Return the right scores of test mode from running statistics that were stored; None without them."""
    keys = ("running_mean", "running_var")
    if not isinstance(stored, list) or not all(isinstance(one, dict) for one in stored):
        return None
    found = [{key: one.get(key) for key in keys} for one in stored]
    found = [one for one in found if all(is_numeric(value) for value in one.values())]
    if len(found) != len(truth.bn_params):
        return None
    other = fresh(truth)
    for param, one in zip(other.bn_params, found, strict=True):
        param.update({key: np.ravel(value) for key, value in one.items()})
    scores = run(other.loss, X)
    return scores if is_numeric(scores) else None
