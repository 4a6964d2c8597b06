"""Networks to carry over: every ready one, every layer object, and generated graphs."""

from __future__ import annotations

import numpy as np

from handgrad import models, nn

SMALL = (3, 8, 8)


def ready(dtype=np.float32):
    """Every ready network, small, by name."""
    same = {"dtype": dtype, "rng": 0}
    conv = (
        {"num_filters": 4, "filter_size": 3},
        {"num_filters": 5, "filter_size": 3, "pool": False},
    )
    found = {"ThreeLayerConvNet": models.ThreeLayerConvNet(SMALL, 4, 3, 10, 5, 0.1, **same)}
    for kind in (None, "batchnorm", "layernorm"):
        found[f"FullyConnectedNet {kind}"] = models.FullyConnectedNet(
            [9, 7], 12, 5, 0.5, kind, weight_scale="kaiming", **same
        )
        found[f"ConvNet {kind}"] = models.ConvNet(SMALL, conv, (6,), 5, kind, 0.5, **same)
    found["resnet8"] = models.resnet8(SMALL, 5, **same)
    found["resnet20"] = models.resnet20(SMALL, 5, **same)
    found["densenet"] = models.densenet(SMALL, 5, depth=2, growth=4, **same)
    found["vgg"] = models.vgg(SMALL, 5, widths=(4, 6), hidden_dim=7, **same)
    found["allconv"] = models.allconv(SMALL, 5, widths=(4, 6), **same)
    found["speednet"] = models.speednet(SMALL, 5, widths=(4, 6), **same)
    two = models.TwoLayerNet(12, 7, 5, 0.1, rng=0)
    two.params = {name: w.astype(dtype) for name, w in two.params.items()}
    found["TwoLayerNet"] = two
    return found


def shape_of(model):
    """The shape of a row."""
    if isinstance(model, nn.Model):
        return model._input_shapes[0]
    dim = model._input_dim
    return dim if isinstance(dim, tuple) else (dim,)


def trained(model, seed=0):
    """The model with running statistics and with biases, scales and shifts that are not 0 or 1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((8, *shape_of(model))).astype(model.dtype or np.float64)
    for _ in range(2):
        model.loss(X, rng.integers(0, model.num_classes, len(X)))
    for w in model.params.values():
        w += (0.1 * rng.standard_normal(w.shape)).astype(w.dtype)
    return model


def rows(model, count=4, seed=1):
    """Inputs for the model, in the dtype of its parameters."""
    rng = np.random.default_rng(seed)
    dtype = next(iter(model.params.values())).dtype
    return rng.standard_normal((count, *shape_of(model))).astype(dtype)


def layers():
    """Networks that hold every layer object once or more, by what is special in them."""
    same = {"input_shape": SMALL, "rng": 0}
    conv = nn.Conv2d
    lists = {
        "activations": [conv(4, 3, pad=1), nn.ReLU(), conv(4, 1), nn.Sigmoid(), conv(4, 1), nn.Tanh(),
                        conv(4, 1), nn.Softplus(), conv(4, 1), nn.LeakyReLU(0.2), conv(4, 1),
                        nn.ELU(0.7), conv(4, 1), nn.GELU(), conv(4, 1), nn.GELU("tanh"),
                        nn.Affine(6), nn.ReLU(), nn.Affine(5)],
        "prelu": [conv(6, 3), nn.PReLU(), conv(4, 3), nn.PReLU(shared=True), nn.Affine(6), nn.PReLU(),
                  nn.Affine(5)],
        "maxout": [conv(6, 3), nn.Maxout(3), nn.Affine(8), nn.Maxout(2), nn.Affine(5)],
        "strides": [conv(4, (3, 2), stride=(2, 1), pad=(0, 1)), conv(6, 3, pad=2, dilation=2, groups=2),
                    nn.ReLU(), nn.Flatten(), nn.Affine(5, bias=False)],
        "transposed": [conv(4, 3, stride=2), nn.ConvTranspose2d(6, 3, stride=2, pad=1, output_pad=1,
                       groups=2), nn.ReLU(), nn.ConvTranspose2d(2, 2, bias=False), nn.Affine(5)],
        "norms": [conv(4, 3, bias=False), nn.BatchNorm(eps=1e-3, momentum=0.8), nn.ReLU(), conv(4, 1),
                  nn.GroupNorm(2, eps=1e-4), conv(4, 1), nn.InstanceNorm(), conv(4, 1), nn.LayerNorm(),
                  nn.Affine(6), nn.LayerNorm(), nn.Affine(6), nn.BatchNorm(), nn.Affine(5)],
        "bare norms": [conv(4, 3), nn.BatchNorm(scale=False), conv(4, 1), nn.BatchNorm(shift=False),
                       nn.GroupNorm(2, shift=False), nn.Affine(6), nn.LayerNorm(scale=False),
                       nn.Affine(5)],
        "pools": [conv(4, 3, pad=1), nn.MaxPool(3, 2, pad=1), nn.AvgPool(2, 1), nn.Upsample((2, 3)),
                  nn.AvgPool(3, 2, pad=1, count_include_pad=False), nn.Upsample(2, "bilinear"),
                  nn.MaxPool((2, 3)), nn.GlobalAvgPool(), nn.Affine(5)],
        "ceil": [conv(4, 2), nn.MaxPool(2, ceil_mode=True), nn.Upsample(2), nn.AvgPool(3, ceil_mode=True),
                 nn.Dropout(0.5), nn.Affine(5)],
        "padded ceil": [conv(4, 2), nn.Upsample(2), nn.AvgPool(3, 2, pad=1, ceil_mode=True),
                        nn.AvgPool(3, 2, pad=1, ceil_mode=True, count_include_pad=False), nn.Affine(5)],
        "whitening": [nn.Whitening(3, 4), nn.ReLU(), nn.Affine(5)],
    }  # fmt: skip
    found = {name: nn.Sequential(parts, **same) for name, parts in lists.items()}
    rows = [nn.Conv1d(4, 3, pad=1), nn.BatchNorm1d(), nn.ReLU(), nn.MaxPool1d(3, 2, pad=1),
            nn.Conv1d(6, 2, groups=2, stride=2), nn.PReLU(), nn.AvgPool1d(2, 1), nn.Affine(6), nn.ReLU(),
            nn.Affine(5)]  # fmt: skip
    found["sequences"] = nn.Sequential(rows, input_shape=(2, 16), rng=0)
    return {
        **found,
        "graph": Branches(),
        "shared": Shared(),
        "waves": Waves(),
        "two inputs": TwoInputs(),
    }


class Branches(nn.Model):
    """Residual and dense connections."""

    def __init__(self):
        super().__init__(input_shape=SMALL, rng=0)
        self.a, self.b, self.c = (nn.Conv2d(4, 3, pad=1) for _ in range(3))
        self.relu, self.norm = nn.ReLU(), nn.BatchNorm()
        self.scores = nn.Affine(5)

    def forward(self, x):
        x = self.relu(self.a(x))
        y = self.norm(self.b(x)) + x
        z = nn.concat(y, self.c(y), x)
        return self.scores(nn.MaxPool(2)(z))


class Waves(nn.Model):
    """Sequences with residual and dense connections."""

    def __init__(self):
        super().__init__(input_shape=(2, 16), rng=0)
        self.a, self.b = nn.Conv1d(4, 3, pad=1), nn.Conv1d(4, 3, pad=2, dilation=2)
        self.norm, self.relu = nn.BatchNorm1d(), nn.ReLU()
        self.mean, self.scores = nn.GlobalAvgPool1d(), nn.Affine(5)

    def forward(self, x):
        x = self.relu(self.norm(self.a(x)))
        return self.scores(self.mean(nn.concat(x, self.b(x) + x)))


class Shared(nn.Model):
    """One layer, used twice."""

    def __init__(self):
        super().__init__(input_shape=(6,), rng=0)
        self.fc, self.tanh, self.scores = nn.Affine(6), nn.Tanh(), nn.Affine(5)

    def forward(self, x):
        return self.scores(self.tanh(self.fc(self.tanh(self.fc(x)))))


class TwoInputs(nn.Model):
    """An image and a row."""

    def __init__(self):
        super().__init__(input_shape=[SMALL, (4,)], rng=0)
        self.conv, self.fc, self.scores = nn.Conv2d(2, 3), nn.Affine(6), nn.Affine(5)

    def forward(self, image, row):
        return self.scores(nn.concat(nn.Flatten()(self.conv(image)), self.fc(row)))
