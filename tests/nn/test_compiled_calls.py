"""Plans that call Python for layers and losses: to the bit what the steps are without a plan."""

import pytest
from nn import own_layers as own
from nn.test_compiled import KINDS, _compare, _images, _sequential

from handgrad import engines, nn

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
