"""Plans that call Python for layers and losses: to the bit what the steps are without a plan."""

import pytest
from nn import own_layers as own
from nn.test_compiled import KINDS, _compare, _images, _sequential

from handgrad import engines, nn
from handgrad.models.speed import scaled

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)


class _Branches(nn.Model):
    """A layer of Python inside of a branch, one of two inputs, and one whose output is read twice."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first, self.second = nn.Conv2d(4, 3, pad=1), nn.Conv2d(4, 3, pad=1)
        self.act, self.gate, self.out = own.swish(), own.gated(), nn.Affine(3)

    def forward(self, x):
        a = self.act(self.first(x))
        b = self.second(a)
        return self.out(self.gate(a + b, b))


NETWORKS = {
    "in the middle": lambda: _sequential(nn.Affine(8), own.swish(), nn.Affine(3)),
    "first": lambda: _sequential(own.swish(), nn.Affine(8), nn.ReLU(), nn.Affine(3)),
    "first, with parameters": lambda: _sequential(own.scaled(), nn.Affine(8), nn.ReLU(), nn.Affine(3)),
    "last": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Affine(3), own.swish()),
    "last, with parameters": lambda: _sequential(nn.Affine(8), nn.ReLU(), own.Projection(3)),
    "alone": lambda: _sequential(own.Projection(3)),
    "two, one behind the other": lambda: _sequential(
        nn.Affine(8), own.swish(beta=0.7), own.scaled(), nn.Affine(3)
    ),
    "two, apart": lambda: _sequential(
        nn.Affine(8), nn.BatchNorm(), own.swish(), nn.Affine(8), nn.Dropout(0.7), own.Projection(7),
        nn.LayerNorm(), nn.Affine(3),
    ),
    "images": lambda: _images(
        nn.Conv2d(4, 3, pad=1), own.scaled(), nn.ReLU(), nn.MaxPool(2), own.less_mean(),
        nn.Conv2d(5, 3), nn.BatchNorm(), own.swish(), own.scaled(), nn.Affine(3),
    ),
    "images in rows order": lambda: _images(
        own.less_mean(), nn.Conv2d(4, 3, pad=1), own.in_rows_order(), own.less_mean(), nn.ReLU(),
        own.scaled(), nn.MaxPool(2), own.scaled(), nn.GroupNorm(2), own.less_mean(), nn.Affine(3),
    ),
    "images as sequences": lambda: _sequential(
        nn.Conv1d(4, 3), own.scaled(), nn.BatchNorm1d(), own.less_mean(), nn.Affine(3), shape=(2, 12)
    ),
    "behind a flatten": lambda: _images(
        nn.Conv2d(4, 3), nn.ReLU(), nn.Flatten(), own.less_mean(), own.scaled(), nn.Affine(3)
    ),
    "branches": lambda: _Branches(input_shape=(3, 8, 8), reg=1e-2, rng=0),
    "a stream of NumPy's": lambda: _sequential(
        nn.Affine(8), nn.Dropout(0.7), own.noisy(), nn.Affine(8), nn.Dropout(0.6), nn.Affine(3)
    ),
    "a loss": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Affine(3), loss=own.squared_hinge),
    "a loss and a layer": lambda: _sequential(
        nn.Affine(8), own.swish(), nn.Affine(3), loss=own.squared_hinge
    ),
    "focal loss": lambda: _sequential(nn.Affine(8), nn.ReLU(), nn.Affine(3), loss="focal"),
    "PReLU": lambda: _sequential(nn.Affine(8), nn.PReLU(), nn.Affine(3)),
    "a mask that is always the same": lambda: _sequential(
        nn.Affine(8), nn.Dropout(0.5, seed=1), nn.Affine(3)
    ),
    "a pooling with a border": lambda: _images(
        nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.MaxPool(3, 2, pad=1), nn.BatchNorm(), nn.ReLU(),
        nn.AvgPool(3, 2, pad=1), nn.Affine(3),
    ),
    "no penalty, no fusing": lambda: _images(
        nn.Conv2d(4, 3, pad=1), own.swish(), nn.BatchNorm(), own.scaled(), nn.Affine(3), reg=0.0, fuse=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_bits_of_networks(name, kind):
    _compare(NETWORKS[name], kind=kind)


class _Joined(nn.Model):
    """A layer that tells orders apart, in front of two values that are joined."""

    def __init__(self, left, right, *, adds, **options):
        super().__init__(**options)
        self.first, self.told = nn.Conv2d(4, 3, pad=1), own.order_told()
        self.left, self.right = left, right
        self.join = nn.Add() if adds else nn.Concat()
        self.out = nn.Affine(3)

    def forward(self, x):
        x = self.told(self.first(x))
        return self.out(self.join(self.left(x), self.right(x)))


FOLLOWERS = {
    "affine": lambda: (),
    "relu": lambda: (nn.ReLU(),),
    "leaky relu": lambda: (nn.LeakyReLU(),),
    "curve": lambda: (nn.GELU(),),
    "softplus": lambda: (nn.Softplus(),),
    "dropout": lambda: (nn.Dropout(0.7),),
    "two dropouts": lambda: (nn.Dropout(0.7), nn.Dropout(0.6)),
    "PReLU and dropout": lambda: (nn.PReLU(), nn.Dropout(0.7)),
    "PReLU and softplus": lambda: (nn.PReLU(), nn.Softplus()),
    "maxout": lambda: (nn.Maxout(2),),
    "maxout and a convolution": lambda: (nn.Maxout(2), nn.Conv2d(4, 3)),
    "maxout and PReLU": lambda: (nn.Maxout(2), nn.PReLU()),
    "batch norm": lambda: (nn.BatchNorm(),),
    "group norm": lambda: (nn.GroupNorm(2),),
    "max pool": lambda: (nn.MaxPool(2),),
    "average pool": lambda: (nn.AvgPool(2),),
    "upsampling": lambda: (nn.Upsample(2),),
    "a number": lambda: (scaled(),),
    "global pool": lambda: (nn.GlobalAvgPool(),),
    "transposed": lambda: (nn.ConvTranspose2d(4, 3),),
    "rows order": lambda: (own.in_rows_order(),),
}


@pytest.mark.parametrize("name", FOLLOWERS)
def test_order_of_what_a_layer_in_front_gets(name):
    """A layer in Python is given values and gradients that lie in memory as they do without a plan."""
    _compare(
        lambda: _images(nn.Conv2d(4, 3, pad=1), own.order_told(), *FOLLOWERS[name](), nn.Affine(3))
    )


@pytest.mark.parametrize("adds", [True, False], ids=["sum", "concat"])
@pytest.mark.parametrize("right", [nn.ReLU, lambda: nn.Dropout(0.7), own.in_rows_order])
def test_order_of_what_a_layer_in_front_of_a_join_gets(right, adds):
    def make():
        joined = own.order_told(), right()
        return _Joined(*joined, adds=adds, input_shape=(3, 8, 8), reg=1e-2, rng=0)

    _compare(make)
