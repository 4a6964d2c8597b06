"""Advice on half precision."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from advice.rows import follows, refused
from training.toys import Softmax, make_data

from handgrad import engines, nn
from handgrad.training import Solver


def mlp(*layers, dtype=np.float32):
    return nn.Sequential([*layers, nn.Affine(3)], input_shape=(6,), rng=0, dtype=dtype)


def twice():
    layer = nn.Affine(6)
    return mlp(layer, nn.Tanh(), layer)


def trained(model, cls=Solver, **options):
    solver = cls(model, make_data(), num_epochs=1, verbose=False, **options)
    solver.train()
    return solver


@follows("leave precision out, or set it to 'auto'")
def networks_that_no_plan_covers():
    for make in (Softmax, twice):
        text = refused(lambda make=make: trained(make(), precision="bf16"))
        assert "leave precision out, or set it to 'auto'" in text
        assert len(trained(make()).loss_history) == 1
        assert trained(make(), precision="auto").precision == "float32"


@follows("dtype=np.float32, or leave precision out")
def networks_of_float64():
    assert "build the network with dtype=np.float32" in refused(
        lambda: trained(mlp(dtype=np.float64), precision="bf16")
    )
    assert trained(mlp(), precision="bf16").precision == "bf16"
    assert trained(mlp(dtype=np.float64)).precision == "float32"


@follows("choose engine 'auto' or 'native', or leave precision out")
def other_engines():
    with engines.use("vectorized"):
        assert "choose engine 'auto' or 'native'" in refused(
            lambda: trained(mlp(), precision="bf16")
        )
        assert trained(mlp()).precision == "float32"
    for engine in ("auto", "native"):
        with engines.use(engine):
            assert trained(mlp(), precision="bf16").precision == "bf16"


@follows("freeze is for scores; leave it or update_rule out")
def freezing_with_a_rule():
    model = mlp()
    assert "leave it or update_rule out" in refused(
        lambda: model.compile((8, 6), "sgd", freeze=True)
    )
    assert model.compile((8, 6), "sgd") is not None
    model.compile((8, 6), freeze=True)
    assert not any(w.flags.writeable for w in model.params.values())


@follows("precision and freeze are for networks of one input")
def scores_of_two_inputs():
    class Two(nn.Model):
        def __init__(self):
            super().__init__(rng=0)
            self.out = nn.Affine(3)

        def forward(self, a, b):
            return self.out(a) + b

    model, shapes = Two(), [(8, 6), (8, 3)]
    for options in ({"precision": "bf16"}, {"freeze": True}):
        text = refused(lambda options=options: model.compile(shapes, **options))
        assert "leave them out" in text
    model.compile(shapes)


@follows("and shards do not go together; leave one of them out")
def precision_and_shards():
    assert "leave one of them out" in refused(lambda: trained(mlp(), precision="bf16", shards=2))
    assert trained(mlp(), precision="bf16").precision == "bf16"
    assert trained(mlp(), shards=2).precision == "float32"


@follows("is for a training in one process; leave it out")
def precision_over_several_processes():
    wire = SimpleNamespace(own=range(2))
    solver = Solver(mlp(), make_data(), verbose=False, precision="bf16")
    assert "leave it out" in refused(lambda: solver.use_wire(wire))
    solver = Solver(mlp(), make_data(), verbose=False, shards=2)
    solver.use_wire(wire)
    assert solver.shards.wire is wire


class OwnGradients(Solver):
    def gradients_of(self, X, y, weights):
        return super().gradients_of(X, y, weights)


@follows("computes gradients of its own; leave ")
def gradients_of_ones_own():
    assert "leave precision out" in refused(lambda: trained(mlp(), OwnGradients, precision="bf16"))
    assert trained(mlp(), OwnGradients).precision == "float32"
