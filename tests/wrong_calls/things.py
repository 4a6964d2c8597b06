"""Right arrays and objects, of which the wrong calls are made."""

import array_api_strict
import numpy as np

from handgrad import models, training

rng = np.random.default_rng(231)
X, W, B = rng.standard_normal((4, 6)), rng.standard_normal((6, 3)), np.zeros(3)
Y = np.array([0, 1, 2, 0])
IMAGES, FILTERS = rng.standard_normal((2, 3, 6, 6)), rng.standard_normal((4, 3, 3, 3))
ONE3, ONE4, ONE6 = np.ones(3), np.ones(4), np.ones(6)
CONV = {"stride": 1, "pad": 1}
POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}
TRAIN = {"mode": "train"}
HUGE = 10**400  # an integer that is no float


def net(**options):
    options = {"hidden_dims": [4], "input_dim": 6, "num_classes": 3, "rng": 0, **options}
    return models.FullyConnectedNet(**options)


def rows(**changes):
    """Return data for the Solver, with `changes`."""
    return {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y, **changes}


def solver(model=None, given=None, **options):
    options = {"verbose": False, "num_epochs": 1, "batch_size": 2, **options}
    return training.Solver(model or net(), given or rows(), **options)


def strict(array):
    return array_api_strict.asarray(array)


def changed(thing, **attributes):
    """Return `thing` with other attributes."""
    for name, value in attributes.items():
        setattr(thing, name, value)
    return thing
