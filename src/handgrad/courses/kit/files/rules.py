"""Chapter 2: update rules.

A rule takes weights w, their gradient dw, and config, a dictionary with its settings and what it keeps
from step to step.  It returns the new weights and config.
"""

import numpy as np


def sgd_momentum(w, dw, config=None):
    """v = momentum v - learning_rate dw;  w = w + v."""
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    config.setdefault("momentum", 0.9)
    v = config.get("velocity", np.zeros_like(w))
    # TODO: the new velocity v, and next_w
    v = config["momentum"] * v - config["learning_rate"] * dw
    next_w = w + v
    # END
    config["velocity"] = v
    return next_w, config


def rmsprop(w, dw, config=None):
    """Divide each step by the size of the gradients so far.

    cache = decay_rate cache + (1 - decay_rate) dw^2;  w = w - learning_rate dw / (sqrt(cache) + epsilon)
    """
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    config.setdefault("decay_rate", 0.99)
    config.setdefault("epsilon", 1e-8)
    config.setdefault("cache", np.zeros_like(w))
    # TODO: config["cache"], and next_w
    config["cache"] = config["decay_rate"] * config["cache"] + (1 - config["decay_rate"]) * dw**2
    next_w = w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"])
    # END
    return next_w, config


def adam(w, dw, config=None):
    """Averages m of dw and v of dw^2, each divided by 1 - beta^t.

    t counts the steps; the first one has t = 1.  w = w - learning_rate m / (sqrt(v) + epsilon)
    """
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-3)
    config.setdefault("beta1", 0.9)
    config.setdefault("beta2", 0.999)
    config.setdefault("epsilon", 1e-8)
    config.setdefault("m", np.zeros_like(w))
    config.setdefault("v", np.zeros_like(w))
    config.setdefault("t", 0)
    # TODO: count t first; then config["m"], config["v"], and next_w from the corrected averages
    config["t"] += 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dw**2
    m = config["m"] / (1 - config["beta1"] ** config["t"])
    v = config["v"] / (1 - config["beta2"] ** config["t"])
    next_w = w - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"])
    # END
    return next_w, config
