"""Both decays of the weights in every rule, the global norm, and clipping by it."""

import numpy as np
import pytest

from handgrad.errors import OptionError
from handgrad.optim import RULES, clip_by_norm, global_norm

every_rule = pytest.mark.parametrize("name", RULES)
NO_DECAY = {"weight_decay": 0.0}  # adamw has one of its own


def arrays(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((3, 4)).astype(dtype) for _ in range(4)]


def run(name, config, dtype=np.float64, kept=1.0, l2=0.0):
    """Three steps from ``kept * w`` with the gradients ``dw + l2 * w``; return the weights of each."""
    w, *gradients = arrays(dtype)
    config = {"learning_rate": 0.1, **config}
    trace = []
    for dw in gradients:
        dw = dw + l2 * w if l2 else dw
        w, config = RULES[name](kept * w, dw, config)
        w = w.copy()
        trace.append(w)
    return trace


@every_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_l2_is_part_of_the_gradient(name, dtype):
    got = run(name, {**NO_DECAY, "l2": 3.0}, dtype)
    for a, b in zip(got, run(name, NO_DECAY, dtype, l2=3.0), strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(got[0], run(name, NO_DECAY, dtype)[0])


@every_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weight_decay_is_decoupled_from_the_gradient(name, dtype):
    """Each step goes from (1 - rate decay) w by what the rule makes of dw alone."""
    got = run(name, {"weight_decay": 0.2}, dtype)
    tolerance = 4 * np.finfo(dtype).eps
    for a, b in zip(got, run(name, NO_DECAY, dtype, kept=1 - 0.1 * 0.2), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert not np.allclose(got[0], run(name, NO_DECAY, dtype)[0])


@every_rule
def test_decays_leave_the_arrays_and_the_settings_that_came_in(name):
    w, dw, *_ = arrays()
    before, config = (w.copy(), dw.copy()), {"l2": 0.1, "weight_decay": 0.1}
    RULES[name](w.copy() if name == "sgd" else w, dw, config)
    np.testing.assert_array_equal([w, dw], before)
    assert (config["l2"], config["weight_decay"]) == (0.1, 0.1)


@every_rule
@pytest.mark.parametrize("key", ["l2", "weight_decay"])
@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, "much", None])
def test_a_decay_that_is_none_names_the_rule(name, key, value):
    w, dw, *_ = arrays()
    before = w.copy()
    with pytest.raises(OptionError, match=f"^{name}: {key} must be"):
        RULES[name](w, dw, {key: value})
    np.testing.assert_array_equal(w, before)


TORCH = {
    "sgd": ("SGD", {}, {}),
    "sgd_momentum": ("SGD", {"momentum": 0.9}, {}),
    "sgd_nesterov_momentum": ("SGD", {"momentum": 0.9, "nesterov": True}, {}),
    "adagrad": ("Adagrad", {"eps": 1e-8}, {}),
    "rmsprop": ("RMSprop", {"alpha": 0.99}, {}),
    "adadelta": ("Adadelta", {"rho": 0.95}, {}),
    "adam": ("Adam", {}, {}),
}


@pytest.mark.parametrize("name", TORCH)
def test_l2_beside_torch(name):
    """What PyTorch's rules but AdamW call weight_decay is L2."""
    torch = pytest.importorskip("torch")
    kind, theirs, ours = TORCH[name]
    w = arrays()[0]
    tensor = torch.tensor(w, requires_grad=True)
    optimizer = getattr(torch.optim, kind)([tensor], lr=0.01, weight_decay=0.3, **theirs)
    config = {"learning_rate": 0.01, "l2": 0.3, **ours}
    for dw in np.random.default_rng(1).standard_normal((50, 3, 4)):
        tensor.grad = torch.tensor(dw)
        optimizer.step()
        w, config = RULES[name](w, dw, config)
    np.testing.assert_allclose(w, tensor.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_adam_with_weight_decay_is_adamw():
    for a, b in zip(run("adam", {"weight_decay": 0.01}), run("adamw", {}), strict=True):
        np.testing.assert_array_equal(a, b)


def gradients(scale=1.0):
    rng = np.random.default_rng(2)
    return {
        "W": (scale * rng.standard_normal((300, 301))).astype(np.float32),
        "b": scale * rng.standard_normal(7),
        "none": np.zeros((0, 3)),
    }


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 100.0])
def test_clipping_beside_torch(max_norm):
    torch = pytest.importorskip("torch")
    grads = gradients()
    before = {name: dw.copy() for name, dw in grads.items()}
    clipped, norm = clip_by_norm(grads, max_norm)
    tensors = [torch.zeros(dw.shape, dtype=torch.float64) for dw in grads.values()]
    for tensor, dw in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.tensor(dw, dtype=torch.float64)
    expected = torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    assert norm == pytest.approx(expected.item(), rel=1e-12)
    for (name, dw), tensor in zip(clipped.items(), tensors, strict=True):
        assert dw.dtype == grads[name].dtype
        np.testing.assert_allclose(dw, tensor.grad.numpy(), rtol=1e-5, atol=1e-12)
        np.testing.assert_array_equal(grads[name], before[name])
    assert global_norm(clipped) == pytest.approx(min(norm, max_norm), rel=1e-6)


def test_a_norm_within_the_limit_changes_nothing():
    grads = gradients()
    clipped, norm = clip_by_norm(grads, global_norm(grads))
    assert norm == global_norm(grads)
    assert all(clipped[name] is grads[name] for name in grads)


def test_norms_at_the_ends_of_the_numbers():
    assert global_norm({}) == 0.0
    assert clip_by_norm({"w": np.zeros(3)}, 1.0)[1] == 0.0
    large = {"w": np.full(4, 1e30, np.float32)}
    assert global_norm(large) == pytest.approx(2e30, rel=1e-6)  # the squares are no float32
    np.testing.assert_allclose(clip_by_norm(large, 2.0)[0]["w"], 1.0, rtol=1e-6)
    for wrong in (np.nan, np.inf):
        clipped, norm = clip_by_norm({"w": np.array([1.0, wrong])}, 1.0)
        assert norm == np.inf
        assert clipped["w"][0] == 1.0
    for wrong in (0.0, -1.0, np.nan, "1"):
        with pytest.raises(OptionError, match=r"^clip_by_norm: max_norm must be"):
            clip_by_norm({}, wrong)
